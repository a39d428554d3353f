// Reasons and details in Persian: whatever the code says has its phrase, in Persian letters, with the figures
// of the English text and none of its words.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { IDEMPOTENCY_KEY_RULE } from "./idempotency-key.ts";
import { persianOf, PHRASES } from "./persian-phrases.ts";
import { countReplaced } from "./persian-text.ts";

const PERSIAN_LETTERS = /[\u0600-\u06ff]/;

/** Two English words in a row, outside quotes: a name of a field or header is one word. */
const hasEnglish = (persian: string): boolean =>
  /[a-z][\w'-]* [a-z]/i.test(persian.replaceAll(/"[^"]*"|`[^`]*`/g, ""));

test("every phrase is Persian and has as many places for figures as the English one", () => {
  for (const [english, persian] of Object.entries(PHRASES)) {
    expect(persian).toMatch(PERSIAN_LETTERS);
    expect(hasEnglish(persian)).toBe(false);
    expect(countReplaced(persian)).toBe(0);
    expect([english, persian.split("{}").length]).toEqual([english, english.split("{}").length]);
  }
});

test("figures stay where they belong", () => {
  expect(persianOf("needs 11 parts; at most 10 are allowed")).toBe(
    "به 11 بخش نیاز دارد؛ حداکثر 10 بخش مجاز است",
  );
  expect(persianOf('must be one of "a", "b"')).toBe('باید یکی از این‌ها باشد: "a", "b"');
  expect(persianOf("must be at most 31 days before `to`, or now, if the interval is hour")).toBe(
    "باید حداکثر 31 روز پیش از to (یا اکنون) باشد، وقتی بازه hour است",
  );
  expect(persianOf("must be at most 1 day before `to`, or now, if the interval is minute")).toBe(
    "باید حداکثر 1 روز پیش از to (یا اکنون) باشد، وقتی بازه minute است",
  );
  expect(persianOf("must be at most 30 days after the message is accepted")).toBe(
    "باید حداکثر 30 روز پس از پذیرش پیام باشد",
  );
});

describe("the table has what the code says", () => {
  const src = fileURLToPath(new URL("..", import.meta.url));
  const sourcesIn = (...folders: string[]) =>
    folders.flatMap((folder) =>
      readdirSync(`${src}${folder}`, { recursive: true, encoding: "utf8" })
        .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
        .map((path) => readFileSync(`${src}${folder}/${path}`, "utf8")),
    );
  const sources = sourcesIn("api", "control", "core", "customers", "ingest", "ledger", "reports");
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
      ...saidBy("[A-Z]_(?:REASON|REFUSED) = ", ";"),
      `${IDEMPOTENCY_KEY_RULE}; quotes around all of it are read over`,
      // A sentence is no field's reason, but an audit log's.
    ].filter((text) => !/^[A-Z]/.test(text));
    expect(said.length).toBeGreaterThan(30);
    for (const reason of ["must have 1 to 7 characters", "already has 7 live keys: revoke one first"])
      expect(said).toContain(reason);
    expect(said.filter((reason) => persianOf(reason) === null)).toEqual([]);
    expect(said.filter((reason) => hasEnglish(persianOf(reason) ?? ""))).toEqual([]);
  });

  test("of details", () => {
    const all = sourcesIn("api", "control", "core", "ingest", "operators", "platform", "reports");
    const said = saidBy("SluiceError\\([^;]*?\\bdetail: ", "", all);
    expect(said).toContain("The routes file 7.");
    for (const end of ["twice has the effect of once.", "before you repeat the request."])
      expect(said.some((detail) => detail.endsWith(end))).toBe(true);
    expect(said.length).toBeGreaterThan(5);
    expect(said.filter((detail) => persianOf(detail) === null)).toEqual([]);
    expect(said.filter((detail) => hasEnglish(persianOf(detail) ?? ""))).toEqual([]);
  });
});
