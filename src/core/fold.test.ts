// Folding: what people mean by the same word is equal, and nothing else is.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../test/support/seed.ts";
import { fold } from "./fold.ts";

test("letter case, accents, widths and blanks make no difference", () => {
  const same: [string, string][] = [
    ["  STOP! ", "stop"],
    ["\u201cStop\u201d.", "stop"],
    ["ＳＴＯＰ", "stop"],
    ["Arrêt", "arret"],
    ["ARRÊTER", "arreter"],
    ["İPTAL", "iptal"],
    ["ıptal", "iptal"],
    ["ÇIK", "cik"],
    ["opt\u00a0 out", "opt out"],
    ["opt\n\tout", "opt out"],
    ["Straße", "strasse"],
    ["СТОП", "стоп"],
  ];
  for (const [given, folded] of same) expect([given, fold(given)]).toEqual([given, folded]);
});

test("Arabic and Persian letters and digits are one, with and without marks and ZWNJ", () => {
  expect(fold("لغو\u06f1\u06f1")).toBe(fold("لغو11"));
  expect(fold("لغو\u0661\u0661")).toBe(fold("لغو11"));
  expect(fold("\u0643\u0645\u0643")).toBe(fold("\u06a9\u0645\u06a9")); // kaf
  expect(fold("إيقاف")).toBe(fold("ایقاف"));
  expect(fold("مساعدة")).toBe(fold("مساعده"));
  expect(fold("لـــغو")).toBe(fold("لغو")); // tatweel
  expect(fold("إِيقَاف")).toBe(fold("إيقاف")); // vowel signs
  expect(fold("فعال\u200cسازی")).toBe("فعال سازی");
  expect(fold("\ufedf\ufed0\ufeee")).toBe(fold("لغو")); // presentation forms
});

test("what is folded stays as it is", () => {
  holds("fold", fc.string({ unit: "binary", maxLength: 60 }), (text) => {
    expect(fold(fold(text))).toBe(fold(text));
  });
});
