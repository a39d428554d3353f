// The Persian of the errors table: whole, and in Persian letters.

import { expect, test } from "bun:test";
import { ERRORS, type ErrorCode, insufficientBalance, laneSaturated, SluiceError } from "./errors.ts";
import { inPersian, PERSIAN } from "./persian-errors.ts";
import { countReplaced } from "./persian-text.ts";

const codes = Object.keys(ERRORS) as ErrorCode[];
const PERSIAN_LETTERS = /[\u0600-\u06ff]/;

test("every code has a title and a meaning, in Persian letters and no Arabic ones", () => {
  for (const code of codes)
    for (const text of Object.values(PERSIAN[code])) {
      expect(text).toMatch(PERSIAN_LETTERS);
      expect(countReplaced(text)).toBe(0);
    }
  expect(new Set(codes.map((code) => PERSIAN[code].title)).size).toBe(codes.length);
});

test("a meaning has the figures of the English one, and what that has in backticks", () => {
  for (const code of codes) {
    const { meaning } = ERRORS[code];
    const named = [
      ...(meaning.match(/\b\d+\b/g) ?? []),
      ...meaning.split("`").filter((_, at) => at % 2 === 1),
    ];
    expect([code, named.filter((each) => !PERSIAN[code].meaning.includes(each))]).toEqual([code, []]);
  }
});

test("an error without a text of its own is told by its code's meaning", () => {
  for (const code of codes)
    expect(inPersian(new SluiceError(code))).toEqual({
      title: PERSIAN[code].title,
      detail: PERSIAN[code].meaning,
      errors: [],
    });
});

test("figures stay where they belong", () => {
  expect(inPersian(insufficientBalance(700, 300)).detail).toBe(
    "هزینهٔ این درخواست 700 است؛ کیف پول 300 دارد.",
  );
  expect(inPersian(laneSaturated(45, 30, 15)).detail).toMatch(/45.*30/);
});

test("refused fields are named as in English, the first three of them in the detail", () => {
  const errors = ["phone", "text", "type", "from"].map((field) => ({ field, reason: "is required" }));
  const { detail, errors: persian } = inPersian(new SluiceError("validation_failed", { errors }));
  expect(persian).toEqual(errors.map(({ field }) => ({ field, reason: "لازم است" })));
  expect(detail).toBe("phone لازم است؛ text لازم است؛ type لازم است؛ و 1 مورد دیگر.");
});

test("what the table doesn't have: a reason stays English, a detail is the code's meaning", () => {
  const errors = [{ field: "x", reason: "is odd" }];
  expect(inPersian(new SluiceError("validation_failed", { errors })).errors).toEqual(errors);
  expect(inPersian(new SluiceError("not_found", { detail: "Odd." })).detail).toBe(PERSIAN.not_found.meaning);
});
