// Which language is answered, by RFC 9110's own rules and by what browsers send.

import { expect, test } from "bun:test";
import { languageOf } from "./language.ts";
import { ACCEPT_LANGUAGE_RANGES_MAX } from "./limits.ts";

const cases: [accepted: string | null, language: "en" | "fa"][] = [
  [null, "en"],
  ["", "en"],
  ["*", "en"],
  ["en", "en"],
  ["de, fr;q=0.5", "en"],
  ["fa", "fa"],
  ["FA", "fa"],
  ["fa-IR", "fa"],
  ["fa-IR,fa;q=0.9,en-US;q=0.8,en;q=0.7", "fa"],
  ["en-US,en;q=0.9,fa;q=0.8", "en"],
  ["en;q=0.8,fa", "fa"],
  ["fa, en", "fa"],
  ["en, fa", "en"],
  ["fa;q=0.5, *;q=0.5", "fa"],
  ["*;q=0.9, fa;q=0.5", "en"],
  ["*;q=0.1, fa;q=0.2", "fa"],
  ["en;q=0, *", "fa"],
  ["fa;q=0, *", "en"],
  ["fa;q=0", "en"],
  ["fa;q=0, en;q=0", "en"],
  ["fa ; q = 1.000", "fa"],
  ["fa;Q=0.001", "fa"],
  ["fa;q=2", "en"],
  ["fa;q=0.1234", "en"],
  ["fa;q=", "en"],
  ["fab", "en"],
  ["fa_IR", "en"],
  ["\u0641\u0627", "en"],
  [",,fa,,", "fa"],
];
for (const [accepted, language] of cases)
  test(`${JSON.stringify(accepted)} is answered in ${language}`, () =>
    expect(languageOf(accepted)).toBe(language));

test("ranges beyond the bound are read over", () => {
  const others = Array<string>(ACCEPT_LANGUAGE_RANGES_MAX).fill("de");
  expect(languageOf([...others.slice(1), "fa"].join(","))).toBe("fa");
  expect(languageOf([...others, "fa"].join(","))).toBe("en");
  expect(languageOf("fa,".repeat(100_000))).toBe("fa");
});
