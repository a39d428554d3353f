// Laws of a preview, for any text that can be sent: it agrees with what a send would charge, and with the
// text itself.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds, allowSlowRuns } from "../../test/support/seed.ts";
import { draftOf } from "./draft.ts";
import { encodeGsm7 } from "./gsm7.ts";
import { countParts, textProblem } from "./parts.ts";
import { previewOf, type TextPreview } from "./preview.ts";

allowSlowRuns();

const plain = fc.constantFrom(...Array.from("abc XYZ 0189 @£é\n"), "€", "[", "~", "\f");
const similar = fc.constantFrom(...Array.from("’‘“”«»–—…•×½ﬁÁçśŁ"), "\u00a0", "\t", "\u200b", "Ａ");
const foreign = fc.constantFrom(...Array.from("سلام۱پ中"), "\u200c", "😀", "👩‍👩‍👧‍👦", "🇮🇷");
const anything = fc.string({ unit: "binary", maxLength: 4 });
const pieces = fc.oneof(
  fc.array(plain, { minLength: 1, maxLength: 6 }),
  fc.array(fc.oneof({ weight: 4, arbitrary: plain }, similar), { minLength: 1, maxLength: 8 }),
  fc.array(fc.oneof(plain, similar, foreign), { minLength: 1, maxLength: 8 }),
  fc.array(fc.oneof(foreign, anything), { minLength: 1, maxLength: 6 }),
);
// Near the ends of parts, and around the longest texts that may be sent.
const ends = fc.constantFrom(1, 8, 67, 70, 134, 153, 160, 306, 670, 1_530);
const texts = fc
  .tuple(pieces, ends, fc.integer({ min: -3, max: 3 }))
  .map(([of, end, off]) => {
    let text = "";
    for (let i = 0; text.length < end + off; i++) text += (of[i % of.length] as string) || "x";
    return text;
  })
  .filter((text) => textProblem(text) === null);

/** The text with every warned character replaced, or left out where it has no look-alike. */
const replaced = (text: string, { warnings }: TextPreview): string =>
  warnings.reduce((left, { character, replacement }) => left.split(character).join(replacement ?? ""), text);

describe("segments", () => {
  test("joined they are the text, and they are as many as are counted", () => {
    holds("preview segments", texts, (text) => {
      const { encoding, parts, segments } = previewOf(text);
      expect(segments.join("")).toBe(text);
      expect(segments).toHaveLength(parts);
      expect(countParts(text)).toMatchObject({ encoding, parts });
      for (const segment of segments) expect(segment.isWellFormed()).toBe(true);
    });
  });

  test("each fits a part, and what the last one uses and leaves is that part", () => {
    holds("preview room", texts, (text) => {
      const { encoding, parts, segments, lastSegment } = previewOf(text);
      const [single, each] = encoding === "gsm7" ? [160, 153] : [70, 67];
      const room = parts === 1 ? single : each;
      const widths = segments.map((segment) =>
        encoding === "gsm7" ? (encodeGsm7(segment)?.length ?? Number.NaN) : segment.length,
      );
      for (const width of widths) expect(width).toBeLessThanOrEqual(room);
      expect(lastSegment).toEqual({ used: widths.at(-1) as number, left: room - (widths.at(-1) as number) });
    });
  });

  test("encoding and parts are those of the draft that a send of the text makes", () => {
    holds("preview draft", texts, (text) => {
      const rest = { from: null, reference: null, callbackUrl: null, validForMs: null };
      const rules = { region: "IR", callbacks: { allowPrivate: false } };
      const made = draftOf({ phone: "09121234567", text, lane: "normal", ...rest }, rules);
      const { encoding, parts } = previewOf(text);
      if (made.kind === "draft") expect(made.draft).toMatchObject({ encoding, parts });
      else expect(parts).toBeGreaterThan(10);
    });
  });
});

describe("warnings", () => {
  test("are the distinct characters outside GSM-7, in order, each at its first position", () => {
    holds("preview warnings", texts, (text) => {
      const characters = Array.from(text);
      const outside = characters.filter((character) => encodeGsm7(character) === null);
      const { encoding, warnings } = previewOf(text);
      expect(warnings.map(({ character }) => character)).toEqual([...new Set(outside)]);
      for (const { character, position } of warnings) expect(characters.indexOf(character)).toBe(position);
      expect(warnings.length > 0).toBe(encoding === "ucs2");
    });
  });

  test("replaced where all have a look-alike, the text is GSM-7", () => {
    const some = fc.array(fc.oneof(plain, similar), { minLength: 1, maxLength: 200 });
    const similars = some.map((all) => all.join(""));
    holds("preview look-alikes", similars, (text) => {
      const preview = previewOf(text);
      for (const { replacement } of preview.warnings) expect(replacement).not.toBeNull();
      expect(countParts(replaced(text, preview)).encoding).toBe("gsm7");
    });
  });

  test("the parts without them are those of the text in which they are replaced or left out", () => {
    holds("preview without", texts, (text) => {
      const preview = previewOf(text);
      const without = replaced(text, preview);
      const isTold = preview.warnings.length > 0 && without !== "";
      expect(preview.partsAsGsm7).toBe(isTold ? countParts(without).parts : null);
    });
  });
});
