// Arabic letters and digits to Persian ones, by example and by law: what is counted as UCS-2 stays the same.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../test/support/seed.ts";
import { SEPTETS } from "./gsm7.ts";
import { countParts, splitParts } from "./parts.ts";
import { countReplaced, PERSIAN_OF, replacementsIn, toPersian } from "./persian-text.ts";

const ZWNJ = "\u200c";

describe("toPersian", () => {
  const cases: [name: string, text: string, persian: string][] = [
    ["yeh and kaf", "\u0643\u062a\u0627\u0628\u064a", "\u06a9\u062a\u0627\u0628\u06cc"],
    ["digits", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669", "۰۱۲۳۴۵۶۷۸۹"],
    [
      "a ZWNJ between the parts of a word",
      `\u0645\u064a${ZWNJ}\u0631\u0648\u0645`,
      `\u0645\u06cc${ZWNJ}\u0631\u0648\u0645`,
    ],
    ["beside characters of two units", "😀\u064a😀", "😀\u06cc😀"],
    ["not alef maksura, teh marbuta or a yeh with hamza", "\u0649\u0629\u0626", "\u0649\u0629\u0626"],
    ["not what is Persian already", "کتابی ۱۲۳", "کتابی ۱۲۳"],
    ["not Latin text and digits", "Order 123", "Order 123"],
    ["nothing of nothing", "", ""],
  ];
  for (const [name, text, persian] of cases)
    test(name, () => {
      expect(toPersian(text)).toBe(persian);
      expect(toPersian(persian)).toBe(persian);
      expect(countReplaced(persian)).toBe(0);
    });
});

test("each distinct character is told once, with its count and its first place in code points", () => {
  expect(replacementsIn("😀\u064a\u0643\u064a \u0665")).toEqual([
    { character: "\u064a", replacement: "\u06cc", count: 2, position: 1 },
    { character: "\u0643", replacement: "\u06a9", count: 1, position: 2 },
    { character: "\u0665", replacement: "\u06f5", count: 1, position: 5 },
  ]);
  expect(replacementsIn("سلام")).toEqual([]);
});

describe("the count of UCS-2", () => {
  const at = (units: number) => "\u064a".repeat(units);
  for (const [units, parts] of [
    [1, 1],
    [70, 1],
    [71, 2],
    [134, 2],
    [135, 3],
    [670, 10],
  ] as const)
    test(`of ${units} Arabic letters is ${parts}, before and after`, () => {
      expect(countParts(at(units))).toEqual({ encoding: "ucs2", parts, units });
      expect(countParts(toPersian(at(units)))).toEqual({ encoding: "ucs2", parts, units });
    });

  test("of a ZWNJ is one unit: 69 letters and a ZWNJ are one part, with one more letter two", () => {
    expect(countParts(`${at(35)}${ZWNJ}${at(34)}`)).toMatchObject({ parts: 1, units: 70 });
    expect(countParts(toPersian(`${at(35)}${ZWNJ}${at(35)}`))).toMatchObject({ parts: 2, units: 71 });
  });

  test("no character of the table or its replacement is in GSM-7, and each is one unit", () => {
    for (const pair of PERSIAN_OF)
      for (const character of pair) {
        expect(character).toHaveLength(1);
        expect(SEPTETS[character.charCodeAt(0)] ?? 0).toBe(0);
      }
  });

  test("of any text stays as it is, split at the same places", () => {
    const piece = fc.constantFrom(...PERSIAN_OF.keys(), ...Array.from("سلام کتاب abc €"), ZWNJ, "😀");
    holds("persian text", fc.array(piece, { minLength: 1, maxLength: 400 }), (pieces) => {
      const text = pieces.join("");
      const persian = toPersian(text);
      expect(countParts(persian)).toEqual(countParts(text));
      expect(splitParts(persian)).toEqual(splitParts(text).map(toPersian));
      const replaced = Array.from(text).filter((character) => PERSIAN_OF.has(character)).length;
      expect(countReplaced(text)).toBe(replaced);
      expect(replacementsIn(text).reduce((sum, { count }) => sum + count, 0)).toBe(replaced);
    });
  });
});
