// Look-alikes: examples, and what must hold for every character of the plane.

import { describe, expect, test } from "bun:test";
import { encodeGsm7 } from "./gsm7.ts";
import { lookAlikeOf } from "./look-alikes.ts";

describe("a look-alike", () => {
  const cases: [string, string, string | null][] = [
    ["an apostrophe of a word processor", "’", "'"],
    ["an opening quotation mark", "“", '"'],
    ["a low quotation mark", "„", '"'],
    ["a guillemet", "«", '"'],
    ["an en dash", "–", "-"],
    ["an ellipsis", "…", "..."],
    ["a no-break space", "\u00a0", " "],
    ["a tab", "\t", " "],
    ["a line separator", "\u2028", "\n"],
    ["a zero-width space", "\u200b", ""],
    ["a full-width letter", "Ａ", "A"],
    ["a full-width tilde, the last of its block", "～", "~"],
    ["a full-width grave accent, of which the alphabet has no narrow one", "｀", "'"],
    ["a letter with an accent", "ś", "s"],
    ["a letter with two", "ṩ", "s"],
    ["a letter whose stroke is no accent", "ł", "l"],
    ["a capital I with a dot", "İ", "I"],
    ["a ligature", "ﬁ", "fi"],
    ["a sign that only contains one of the alphabet", "≠", null],
    ["a Persian letter", "س", null],
    ["a Persian letter that is composed of two", "آ", null],
    ["a syllable of Hangul", "한", null],
    ["an emoji", "😀", null],
    ["a joiner of emoji", "\u200d", null],
    ["ESC", "\u001b", null],
  ];
  for (const [name, character, lookAlike] of cases)
    test(`of ${name} is ${JSON.stringify(lookAlike)}`, () => expect(lookAlikeOf(character)).toBe(lookAlike));
});

test("every look-alike is in the alphabet, and never the character itself", () => {
  let found = 0;
  for (let code = 0; code <= 0xffff; code++) {
    const character = String.fromCharCode(code);
    if (encodeGsm7(character) !== null) continue;
    const lookAlike = lookAlikeOf(character);
    if (lookAlike === null) continue;
    found++;
    if (encodeGsm7(lookAlike) === null || lookAlike === character)
      throw new Error(`U+${code.toString(16)} must not be ${JSON.stringify(lookAlike)}`);
  }
  expect(found).toBeGreaterThan(300);
});
