// Laws of parts, for any text: compared with the simplest model, written from 3GPP TS 23.038 and 23.040 and
// independent of the code. parts.test.ts has hand-written edge cases, parts-calculator.test.ts the comparison
// with a calculator.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds, allowSlowRuns } from "../../test/support/seed.ts";
import { countParts, labelProblem, senderProblem, splitParts, textProblem } from "./parts.ts";

allowSlowRuns();

// TS 23.038, 6.2.1, column by column, 16 rows each. 0x1B is the escape to the extension table.
const COLUMNS = [
  "@£$¥èéùìòÇ\nØø\rÅå",
  "Δ_ΦΓΛΩΠΨΣΘΞ\u001bÆæßÉ",
  " !\"#¤%&'()*+,-./",
  "0123456789:;<=>?",
  "¡ABCDEFGHIJKLMNO",
  "PQRSTUVWXYZÄÖÑÜ§",
  "¿abcdefghijklmno",
  "pqrstuvwxyzäöñüà",
];
const ESCAPE = 0x1b;
// TS 23.038, 6.2.1.1: code in the extension table → character.
const EXTENSION: Record<number, string> = {
  0x0a: "\f",
  0x14: "^",
  0x28: "{",
  0x29: "}",
  0x2f: "\\",
  0x3c: "[",
  0x3d: "~",
  0x3e: "]",
  0x40: "|",
  0x65: "€",
};
const TABLE = new Map<string, number>();
for (const [column, characters] of COLUMNS.entries())
  for (const [row, c] of Array.from(characters).entries()) if (16 * column + row !== ESCAPE) TABLE.set(c, 1);
for (const c of Object.values(EXTENSION)) TABLE.set(c, 2);

type Expected = { encoding: "gsm7" | "ucs2"; parts: number; units: number };

// 140 bytes are 160 septets or 70 units; in a message of several parts each has a header of 6 bytes, which
// leaves 153 or 67 (TS 23.040, 9.2.3.24.1).
function model(text: string): Expected {
  const characters = Array.from(text);
  const isGsm7 = characters.every((c) => TABLE.has(c));
  const widths = characters.map((c) => (isGsm7 ? (TABLE.get(c) ?? 0) : c.length));
  const units = widths.reduce((sum, width) => sum + width, 0);
  const [single, each] = isGsm7 ? [160, 153] : [70, 67];
  return {
    encoding: isGsm7 ? "gsm7" : "ucs2",
    parts: units <= single ? 1 : fewestParts(widths, each),
    units,
  };
}

/** The fewest pieces of whole characters, found by trying every position for the last cut. */
function fewestParts(widths: number[], each: number): number {
  const fewest = [0];
  for (let end = 1; end <= widths.length; end++) {
    let best = Number.POSITIVE_INFINITY;
    let width = 0;
    for (let start = end - 1; start >= 0; start--) {
      width += widths[start] as number;
      if (width > each) break;
      best = Math.min(best, (fewest[start] as number) + 1);
    }
    fewest.push(best);
  }
  return fewest.at(-1) as number;
}

const gsm7 = fc.constantFrom(...TABLE.keys(), ...Object.values(EXTENSION));
const persian = fc.constantFrom(...Array.from("سلام دنیا پژگچی۰۱۲۳\u200c،؟ "));
const emoji = fc.constantFrom("😀", "🌍", "👩‍👩‍👧‍👦", "🇮🇷", "❤️", "👍🏽");
const lone = fc.constantFrom("\ud83d", "\ude00", "\udfff", "\ud800");
const anything = fc.string({ unit: "binary", maxLength: 6 });
const pieces = fc.oneof(
  { weight: 4, arbitrary: fc.array(gsm7, { minLength: 1, maxLength: 5 }) },
  { weight: 2, arbitrary: fc.array(fc.oneof(persian, gsm7, emoji), { minLength: 1, maxLength: 5 }) },
  {
    weight: 1,
    arbitrary: fc.array(fc.oneof(persian, emoji, lone, anything), { minLength: 1, maxLength: 5 }),
  },
);
// Repeated to a length near the end of a part, where counting can go wrong.
const ends = fc.constantFrom(1, 67, 70, 80, 134, 140, 153, 160, 201, 306, 320, 459);
const texts = fc.tuple(pieces, ends, fc.integer({ min: -3, max: 3 })).map(([of, end, off]) => {
  let text = "";
  for (let i = 0; text.length < end + off; i++) text += (of[i % of.length] as string) || "x";
  return text;
});

describe("against the model", () => {
  test("any text, even with lone surrogates, has the encoding, units and parts of the standard", () => {
    holds("parts model", texts, (text) => expect(countParts(text)).toEqual(model(text)), 800);
  });

  test("each single character of the plane is in the alphabet exactly when the standard's table has it", () => {
    for (let unit = 0; unit <= 0xffff; unit++) {
      const c = String.fromCharCode(unit);
      const { encoding, units } = countParts(c);
      if (encoding !== (TABLE.has(c) ? "gsm7" : "ucs2") || units !== (TABLE.get(c) ?? 1))
        throw new Error(`U+${unit.toString(16)} is ${units} of ${encoding}`);
    }
  });
});

describe("laws", () => {
  test("appending never makes fewer parts, and removing never more", () => {
    holds("parts grow", fc.tuple(texts, texts), ([a, b]) => {
      const together = countParts(a + b).parts;
      expect(together).toBeGreaterThanOrEqual(countParts(a).parts);
      expect(together).toBeGreaterThanOrEqual(countParts(b).parts);
    });
  });

  test("an extension character counts as two septets and is never split over parts", () => {
    const run = fc.tuple(fc.integer({ min: 0, max: 320 }), fc.integer({ min: 0, max: 160 }));
    holds("extension", run, ([plain, extended]) => {
      const { parts, units } = countParts(`${"a".repeat(plain)}${"€".repeat(extended)}`);
      expect(units).toBe(plain + 2 * extended);
      // After the plain characters the extension characters fill a part in twos: one septet of a part of 153
      // stays free unless the number of plain ones was odd.
      const left = (153 - (plain % 153)) % 153;
      const inLast = Math.min(extended, Math.floor(left / 2));
      const more = Math.ceil((extended - inLast) / 76);
      if (units > 160) expect(parts).toBe(Math.ceil(plain / 153) + more);
      else expect(parts).toBe(1);
    });
  });

  test("a pair of surrogates is never split over parts", () => {
    const run = fc.tuple(fc.integer({ min: 0, max: 140 }), fc.integer({ min: 0, max: 140 }));
    holds("pairs", run, ([single, pairs]) => {
      const { parts, units } = countParts(`${"س".repeat(single)}${"😀".repeat(pairs)}`);
      if (units > 70) expect(parts).toBe(model(`${"س".repeat(single)}${"😀".repeat(pairs)}`).parts);
      if (pairs > 0 && single === 0 && units > 70) expect(parts).toBe(Math.ceil(pairs / 33));
    });
  });

  test("the parts of a text are as many as are counted, make it up again, and each fits", () => {
    holds("split", texts, (text) => {
      const { encoding, parts, units } = countParts(text);
      const split = splitParts(text);
      expect(split).toHaveLength(parts);
      expect(split.join("")).toBe(text);
      const widths = split.map((part) =>
        encoding === "ucs2" ? part.length : Array.from(part).reduce((sum, c) => sum + (TABLE.get(c) ?? 0), 0),
      );
      expect(widths.reduce((sum, width) => sum + width, 0)).toBe(units);
      if (parts > 1) expect(Math.max(...widths)).toBeLessThanOrEqual(encoding === "gsm7" ? 153 : 67);
      for (const part of split) expect(part.isWellFormed() || !text.isWellFormed()).toBe(true);
    });
  });

  test("one character outside GSM-7 makes the whole text UCS-2, wherever it is", () => {
    const text = fc.array(gsm7, { minLength: 1, maxLength: 100 }).map((all) => all.join(""));
    holds(
      "one outside",
      fc.tuple(
        text,
        persian.filter((c) => c !== " "),
        fc.nat(),
      ),
      ([base, c, place]) => {
        const at = place % (base.length + 1);
        expect(countParts(base).encoding).toBe("gsm7");
        expect(countParts(base.slice(0, at) + c + base.slice(at)).encoding).toBe("ucs2");
      },
    );
  });
});

describe("what can be sent", () => {
  test("a text is refused exactly when it is empty, holds NUL or is not well-formed", () => {
    const any = fc.oneof(texts, fc.string({ unit: "binary" }), fc.constantFrom("", "\0", "a\0", "\ud83d"));
    holds("text problem", any, (text) => {
      const wellFormed = Buffer.from(text, "utf8").toString("utf8") === text;
      expect(textProblem(text) === null).toBe(text !== "" && !text.includes("\0") && wellFormed);
    });
  });

  test("a label is refused exactly when a text would be, or when it has a control character", () => {
    const any = fc.oneof(texts, fc.string({ unit: "binary", maxLength: 4 }), fc.constantFrom("", "\u009f"));
    holds("label problem", any, (label) => {
      const isControl = /\p{Cc}/u.test(label);
      expect(labelProblem(label) === null).toBe(textProblem(label) === null && !isControl);
    });
  });

  test("a sender is a number, or a name of at most 11 septets that is not blank", () => {
    const any = fc.oneof(
      fc.string({ maxLength: 14 }),
      fc
        .array(fc.constantFrom(...Array.from("ab1 @ΩÜ€{~ï\n😀+9")), { maxLength: 14 })
        .map((all) => all.join("")),
      fc.stringMatching(/^\+?[0-9]{1,18}$/),
    );
    holds("sender problem", any, (from) => {
      const isNumber = /^\+?\d{1,15}$/.test(from);
      const { encoding, units } = countParts(from);
      const isName = encoding === "gsm7" && units <= 11 && from.trim() !== "" && !/\p{Cc}/u.test(from);
      expect(senderProblem(from) === null).toBe(isNumber || isName);
    });
  });
});
