// Parts against an independent calculator (sms-segments-calculator): encoding, number of parts and the text
// of each part, on seeded random texts of up to ten parts and more. `TEXTS=100000 bun test <this file>`
// compares more of them, in about a minute of CPU.
//
// The calculator differs on purpose in one thing: it keeps clusters whole (a letter with its joiner or
// accent, an emoji of several characters). The standard asks that of characters alone (3GPP TS 23.040,
// 9.2.3.24.1), phones put the parts together before they show them, and whole clusters make more parts for
// the same text. So a text is compared with the calculator's parts of its characters; of a text without
// clusters those are the calculator's own, untouched.

import { expect, setDefaultTimeout, test } from "bun:test";
import { SegmentedMessage } from "sms-segments-calculator";
import { allowSlowRuns, printedSeed, randomFrom } from "../../test/support/seed.ts";
import type { Encoding } from "./message.ts";
import { countParts, splitParts } from "./parts.ts";

const TEXTS = Number(process.env.TEXTS ?? 10_000);

if (TEXTS <= 10_000) allowSlowRuns();
else setDefaultTimeout(20 * 60_000);

const ALPHABETS = [
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCXYZÄÖÑÜ§¿abcxyzäöñüà",
  "^{}\\[~]|€\f",
  "سلام دنیا پژگچی۰۱۲۳،؟ی\u200cه\u200dك",
  "éçś…中“”\u0301\ufe0f",
  "😀🌍👍🏽👩\u200d👩\u200d👧🇮🇷❤\ufe0f𝒜",
  everyFew(397),
].map((all) => Array.from(all));
// What texts are made of, by alphabet: all of GSM-7 first, whose parts have the most edges.
const MIXES = [
  [0],
  [0, 1],
  [0, 0, 0, 1],
  [1],
  [2],
  [2, 0],
  [2, 4],
  [4],
  [0, 1, 2, 3, 4],
  [3, 0],
  [5],
  [5, 0],
];
// UTF-16 units near the end of a part, up to the tenth.
const GSM7_ENDS = [0, 70, 76, 153, 160, 230, 306, 459, 612, 765, 1_530];
const UCS2_ENDS = [0, 67, 70, 134, 201, 268, 335, 402, 603, 670];

/** Characters of the whole of Unicode: no surrogates. */
function everyFew(step: number): string {
  let all = "";
  for (let point = 1; point <= 0x10ffff; point += step)
    if (point < 0xd800 || point > 0xdfff) all += String.fromCodePoint(point);
  return all;
}

/** Texts of one mix, half of them with a length near the end of a part. */
function createTexts(random: () => number): () => string {
  const one = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  return () => {
    const mix = one(MIXES);
    const ends = Math.max(...mix) < 2 ? GSM7_ENDS : UCS2_ENDS;
    // The short ones most often: they have the edges, and the calculator's time grows with the square.
    const end = ends[Math.floor(random() ** 2 * ends.length)] as number;
    const length = random() < 0.5 ? end + Math.floor(random() * 9) - 4 : Math.floor(random() * end);
    let text = "";
    while (text.length < length) text += one(ALPHABETS[one(mix)] as string[]);
    return text;
  };
}

// The calculator's own steps, which its types leave out.
type Steps = {
  _encodeChars(characters: readonly string[]): { raw: string }[];
  _buildSegments(encoded: { raw: string }[]): SegmentedMessage["segments"];
};
const textsOf = (segments: SegmentedMessage["segments"]): string[] =>
  segments.map((segment) => Array.from(segment, ({ raw = "" }: { raw?: string }) => raw).join(""));

function calculated(text: string): {
  encoding: Encoding;
  segments: string[];
  withClustersWhole: number;
} {
  const whole = new SegmentedMessage(text);
  const characters = Array.from(text);
  const hasClusters = whole.graphemes.length !== characters.length;
  const steps = whole as unknown as Steps;
  const segments = hasClusters ? steps._buildSegments(steps._encodeChars(characters)) : whole.segments;
  const encoding = whole.getEncodingName() === "GSM-7" ? "gsm7" : "ucs2";
  return { encoding, segments: textsOf(segments), withClustersWhole: whole.segmentsCount };
}

test("random texts have the calculator's encoding, number of parts and parts", () => {
  const random = randomFrom(printedSeed("parts by the calculator"));
  const next = createTexts(random);
  const seen = { gsm7: 0, ucs2: 0, mostParts: 0, clustersMakeMore: 0 };
  for (let i = 0; i < TEXTS; i++) {
    const text = next();
    const theirs = calculated(text);
    const { encoding, parts } = countParts(text);
    const ours = { encoding, parts, segments: splitParts(text) };
    const expected = {
      encoding: theirs.encoding,
      parts: theirs.segments.length,
      segments: theirs.segments,
    };
    if (!Bun.deepEquals(ours, expected)) expect({ text, ...ours }).toEqual({ text, ...expected });
    if (theirs.withClustersWhole < parts) throw new Error(`clusters kept whole made fewer parts: ${text}`);
    seen[encoding] += 1;
    seen.mostParts = Math.max(seen.mostParts, parts);
    if (theirs.withClustersWhole > parts) seen.clustersMakeMore += 1;
  }
  console.log(`parts by the calculator: ${JSON.stringify(seen)}`);
  expect(Math.min(seen.gsm7, seen.ucs2)).toBeGreaterThan(TEXTS / 10);
  expect(seen.mostParts).toBeGreaterThanOrEqual(10);
  expect(seen.clustersMakeMore).toBeGreaterThan(0);
});
