// What a preview says about a text, by example; its laws are in preview-laws.test.ts.

import { describe, expect, test } from "bun:test";
import { previewOf } from "./preview.ts";

describe("a text of GSM-7", () => {
  test("of one part has room for 160 septets and no warnings", () => {
    expect(previewOf("Hello")).toEqual({
      encoding: "gsm7",
      parts: 1,
      segments: ["Hello"],
      lastSegment: { used: 5, left: 155 },
      warnings: [],
      partsAsGsm7: null,
    });
    expect(previewOf("a".repeat(160)).lastSegment).toEqual({ used: 160, left: 0 });
  });

  test("is split at 153 septets, never inside an extension character", () => {
    const text = `${"a".repeat(152)}€${"b".repeat(10)}`;
    expect(previewOf(text)).toMatchObject({
      parts: 2,
      segments: ["a".repeat(152), `€${"b".repeat(10)}`],
      lastSegment: { used: 12, left: 141 },
    });
  });
});

describe("a text of UCS-2", () => {
  test("is split at 67 units, never inside a surrogate pair", () => {
    const text = `${"س".repeat(66)}😀${"س".repeat(9)}`;
    expect(previewOf(text)).toMatchObject({
      encoding: "ucs2",
      parts: 2,
      segments: ["س".repeat(66), `😀${"س".repeat(9)}`],
      lastSegment: { used: 11, left: 56 },
    });
  });

  test("counts its last segment in units, even if that is GSM-7 by itself", () => {
    expect(previewOf(`${"س".repeat(67)}a€b1`).lastSegment).toEqual({ used: 4, left: 63 });
  });
});

describe("warnings", () => {
  test("name each character once, at its first position in code points, with its look-alike", () => {
    const { warnings } = previewOf("😀 It’s “so” it’s 😀");
    const told = warnings.map(({ character, position, replacement }) => [character, position, replacement]);
    expect(told).toEqual([
      ["😀", 0, null],
      ["’", 4, "'"],
      ["“", 7, '"'],
      ["”", 10, '"'],
    ]);
    for (const { code } of warnings) expect(code).toBe("not_gsm7");
  });

  test("say what can be done about a character", () => {
    const said = "is not in the GSM 7-bit alphabet, so the whole text is sent as UCS-2";
    expect(previewOf("’😀\u200b").warnings.map(({ detail }) => detail)).toEqual([
      `U+2019 ${said}; its look-alike is.`,
      `U+1F600 ${said}.`,
      `U+200B ${said}; it is invisible and can be left out.`,
    ]);
  });
});

describe("the parts that a text would have without the characters it is warned of", () => {
  const cases: [string, string, number, number | null][] = [
    ["one apostrophe makes three parts of one", `It’s ${"a".repeat(150)}`, 3, 1],
    ["an emoji has no look-alike and is left out", `${"a".repeat(160)}😀`, 3, 1],
    ["replacements that are longer are counted", "…".repeat(60), 1, 2],
    ["a text of nothing else has none", "😀😀", 1, null],
    ["nor has one whose characters are all invisible", "\u200b", 1, null],
  ];
  for (const [name, text, parts, partsAsGsm7] of cases)
    test(name, () => expect(previewOf(text)).toMatchObject({ parts, partsAsGsm7 }));
});
