// Parameters are put into a text exactly where their names are, and nothing else in it changes.

import { describe, expect, test } from "bun:test";
import { PARAMETER_NAME_CHARS_MAX } from "./batch-limits.ts";
import { FIELD_ERRORS_MAX, TEXT_CHARS_MAX } from "./limits.ts";
import { templateOf } from "./template.ts";

const fill = (text: string, values: Record<string, string> = {}) => templateOf(text).fill(values);

test("each name is replaced wherever it is, also twice, at either end, and by an empty value", () => {
  expect(fill("{a}, {b} and {a}", { a: "1", b: "سلام" })).toEqual({ text: "1, سلام and 1" });
  expect(fill("{a}{b}", { a: "x", b: "" })).toEqual({ text: "x" });
  expect(fill("no name")).toEqual({ text: "no name" });
});

test("the names are known, each once, in the order of the text", () => {
  expect(templateOf("{b} {a} {b} {1} {").names).toEqual(["b", "a"]);
  expect(templateOf("none").names).toEqual([]);
});

test("braces that hold no name stay as they are", () => {
  const long = "n".repeat(PARAMETER_NAME_CHARS_MAX);
  for (const text of ["{", "}", "{}", "{ a }", "{1a}", "{a-b}", "{نام}", `{${long}n}`])
    expect(fill(text)).toEqual({ text });
  expect(fill(`{{a}} {${long}}`, { a: "1", [long]: "2" })).toEqual({ text: "{1} 2" });
});

test("a value is not read for names, nor for patterns of a replacement", () => {
  expect(fill("{a} {b}", { a: "{b}", b: "$& $1 {a}" })).toEqual({ text: "{b} $& $1 {a}" });
});

describe("is refused", () => {
  test("a name without a value, and a value without a name, all of them at once", () => {
    expect(fill("{a} {b} {b}", { b: "1", "c\n": "2" })).toEqual({
      errors: [
        { field: "parameters.a", reason: "is missing" },
        { field: "parameters.c?", reason: "is not a parameter of the text" },
      ],
    });
  });

  test("a name that every object has, unless it is given", () => {
    expect(fill("{constructor}")).toEqual({
      errors: [{ field: "parameters.constructor", reason: "is missing" }],
    });
    expect(fill("{constructor}", { constructor: "x" } as never)).toEqual({ text: "x" });
  });

  test("at most FIELD_ERRORS_MAX errors are named", () => {
    const values = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`n${n}`, ""]));
    const missing = Array.from({ length: 1_000 }, (_, n) => `{n${n}}`).join("");
    for (const result of [fill("", values), fill(missing)])
      expect("errors" in result && result.errors).toHaveLength(FIELD_ERRORS_MAX);
  });

  test("what is longer than any text, and nothing below that", () => {
    const half = "x".repeat(TEXT_CHARS_MAX / 2);
    expect(fill("{a}{a}", { a: half })).toEqual({ text: half + half });
    expect(fill("{a}{a}.", { a: half })).toMatchObject({ errors: [{ field: "text" }] });
    expect(fill("{a}".repeat(1_000), { a: "x".repeat(100_000) })).toMatchObject({
      errors: [{ field: "text" }],
    });
  });
});
