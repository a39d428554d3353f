// Parts at every edge of a part, and what can't be sent. parts-laws.test.ts compares random texts with a
// model of the standard, parts-calculator.test.ts with an independent calculator.

import { describe, expect, test } from "bun:test";
import { countParts, isLonger, labelProblem, partRoom, senderProblem, textProblem } from "./parts.ts";

describe("edges", () => {
  const cases: [string, string, number, string][] = [
    ["160 septets are one part", "a".repeat(160), 1, "gsm7"],
    ["161 septets are two", "a".repeat(161), 2, "gsm7"],
    ["306 septets are two", "a".repeat(306), 2, "gsm7"],
    ["307 septets are three", "a".repeat(307), 3, "gsm7"],
    ["80 extension characters are one part", "€".repeat(80), 1, "gsm7"],
    [
      "an extension character is not split at 153, so 152 and its two make the next part",
      `${"a".repeat(152)}€${"a".repeat(152)}`,
      3,
      "gsm7",
    ],
    ["70 units of UCS-2 are one part", "س".repeat(70), 1, "ucs2"],
    ["71 units are two", "س".repeat(71), 2, "ucs2"],
    ["134 units are two", "س".repeat(134), 2, "ucs2"],
    ["135 units are three", "س".repeat(135), 3, "ucs2"],
    ["35 emoji are one part", "😀".repeat(35), 1, "ucs2"],
    ["a pair is not split at 67, so 66 emoji make two parts and 67 make three", "😀".repeat(67), 3, "ucs2"],
    ["the last character of the plane is one unit", "\uffff".repeat(71), 2, "ucs2"],
    ["67 of it fill a part of two", "\uffff".repeat(134), 2, "ucs2"],
    ["66 emoji still make two", "😀".repeat(66), 2, "ucs2"],
    ["one character outside the alphabet makes the whole text UCS-2", `${"a".repeat(80)}س`, 2, "ucs2"],
    ["c with cedilla in lower case is not in GSM-7", "ç", 1, "ucs2"],
    ["C with cedilla in upper case is", "Ç", 1, "gsm7"],
    ["ESC is no character of GSM-7", "\u001b", 1, "ucs2"],
    ["a form feed is an extension character", "\f".repeat(80), 1, "gsm7"],
  ];
  for (const [name, text, parts, encoding] of cases) {
    test(name, () => expect(countParts(text)).toMatchObject({ parts, encoding }));
  }

  test("units count septets or UTF-16 units of the text", () => {
    expect(countParts("a€").units).toBe(3);
    expect(countParts("س😀").units).toBe(3);
  });

  test("a part by itself has room for 160 septets or 70 units, one of several for 153 or 67", () => {
    expect([1, 2, 10].map((parts) => partRoom({ encoding: "gsm7", parts }))).toEqual([160, 153, 153]);
    expect([1, 2, 10].map((parts) => partRoom({ encoding: "ucs2", parts }))).toEqual([70, 67, 67]);
  });
});

describe("texts that can't be sent", () => {
  test("empty, NUL and lone surrogates are named", () => {
    expect(textProblem("")).toBe("must not be empty");
    expect(textProblem("a\0b")).toContain("NUL");
    for (const text of ["\ud83d", "\ude00", "a\ud83d", "\ude00\ud83d", "😀\ud83d"])
      expect(textProblem(text)).toContain("surrogate");
  });

  test("spaces, newlines, emoji and Persian are fine", () => {
    for (const text of [" ", "\n", "😀", "سلام", "\u200c"]) expect(textProblem(text)).toBeNull();
  });

  test("characters are counted as schemas and MySQL count them", () => {
    for (const char of ["a", "س", "😀"]) {
      expect([isLonger(char.repeat(5), 5), isLonger(char.repeat(6), 5)]).toEqual([false, true]);
      expect(isLonger(char.repeat(11), 5)).toBe(true);
    }
    expect([isLonger("", 0), isLonger("😀aaaa", 5), isLonger("😀aaaaa", 5)]).toEqual([false, false, true]);
  });

  test("a label is one line of whole characters", () => {
    expect(labelProblem("")).toBe("must not be empty");
    for (const label of ["a\nb", "a\0", "\u007f", "\u0085"])
      expect(labelProblem(label)).toBe("must not contain control characters");
    expect(labelProblem("\ud800")).toBe("must not contain a lone surrogate");
    for (const label of ["order-1", "سفارش", "a b", "😀"]) expect(labelProblem(label)).toBeNull();
  });
});

describe("who a message can be from", () => {
  const good = ["Sluice", "SLUICE 24/7", "12345", "+989121234567", "123456789012345", "+123456789012345"];
  for (const from of [...good, "@£$¥èéùìòÇØ", "{€}ab[", " a ", "0", "+", "12 345"])
    test(`${JSON.stringify(from)} is a sender`, () => expect(senderProblem(from)).toBeNull());

  const bad: [string, string][] = [
    ["", "must not be empty"],
    ["   ", "must not be blank"],
    ["abcdefghijkl", "at most 11 characters"],
    ["Ünal & Söhne", "at most 11 characters"],
    ["€€€€€€", "count two"],
    ["1234567890123456", "at most 15 digits"],
    ["+1234567890123456", "at most 15 digits"],
    ["+12345678901 x", "at most 11 characters"],
    ["😀", "GSM 7-bit alphabet"],
    ["شرکت", "GSM 7-bit alphabet"],
    ["۱۲۳۴۵", "GSM 7-bit alphabet"],
    ["naïve", "GSM 7-bit alphabet"],
    ["a\u00a0b", "GSM 7-bit alphabet"],
    ["a\nb", "control characters"],
    ["\u001b", "control characters"],
    ["\ud800", "lone surrogate"],
  ];
  for (const [from, reason] of bad)
    test(`${JSON.stringify(from)} is none`, () => expect(senderProblem(from)).toContain(reason));
});
