// The Persian of the errors table: whole, in Persian letters, and with the figures of the English text.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ERRORS, type ErrorCode, insufficientBalance, laneSaturated, SluiceError } from "./errors.ts";
import { inPersian, PERSIAN, persianOf, PHRASES } from "./persian-errors.ts";
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

test("every phrase is Persian and has as many places for figures as the English one", () => {
  for (const [english, persian] of Object.entries(PHRASES)) {
    expect(persian).toMatch(PERSIAN_LETTERS);
    expect(countReplaced(persian)).toBe(0);
    expect([english, persian.split("{}").length]).toEqual([english, english.split("{}").length]);
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
  expect(persianOf("needs 11 parts; at most 10 are allowed")).toBe(
    "به 11 بخش نیاز دارد؛ حداکثر 10 بخش مجاز است",
  );
  expect(persianOf('must be one of "a", "b"')).toBe('باید یکی از این‌ها باشد: "a", "b"');
  expect(persianOf("must be at most 31 days before `to`, or now, if the interval is hour")).toContain(
    "31 days",
  );
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

describe("the table has what the code says", () => {
  const src = fileURLToPath(new URL("..", import.meta.url));
  const sourcesIn = (...folders: string[]) =>
    folders.flatMap((folder) =>
      readdirSync(`${src}${folder}`, { recursive: true, encoding: "utf8" })
        .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
        .map((path) => readFileSync(`${src}${folder}/${path}`, "utf8")),
    );
  const sources = sourcesIn("api", "core", "reports");
  const QUOTED = '(?:"((?:[^"\\\\\\n]|\\\\.)*)"|`((?:[^`\\\\]|\\\\.)*)`)';
  /** The strings that stand between these, with a figure for each value in them. */
  const saidBy = (before: string, after: string, texts = sources): string[] =>
    texts.flatMap((text) =>
      [...text.matchAll(new RegExp(`${before}${QUOTED}${after}`, "g"))].map(([, plain, template]) =>
        (plain ?? template ?? "")
          .replaceAll(/\$\{[^}]*\}/g, "7")
          .replaceAll("\\`", "`")
          .replaceAll("\\\\", "\\"),
      ),
    );

  // Whatever completes a sentence about a field: `reason: "…"`, `fail("field", "…")`, `return "must …"`.
  test("of reasons", () => {
    const said = [
      ...saidBy("\\breason: ", "\\s*[,})]"),
      ...saidBy("\\breason =\\s+", ";"),
      ...saidBy('\\bfail\\([\\w"]+, ', "\\)"),
      ...saidBy("\\breturn ", ";").filter((text) => /^(must|is|needs|has) /.test(text)),
      ...saidBy("[?:] ", ";").filter((text) => text.startsWith("must ")),
      ...saidBy("\\bfound\\(", "\\)"),
    ];
    expect(said.length).toBeGreaterThan(30);
    expect(said.filter((reason) => persianOf(reason) === null)).toEqual([]);
  });

  test("of details", () => {
    const all = [...sources, ...sourcesIn("control", "operators")];
    const said = saidBy("SluiceError\\([^;]*?\\bdetail: ", "", all);
    expect(said).toContain("The routes file 7.");
    expect(said.length).toBeGreaterThan(5);
    expect(said.filter((detail) => persianOf(detail) === null)).toEqual([]);
  });
});
