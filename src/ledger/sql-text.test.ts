// Pieces of SQL text: every value can be read back, and nothing a customer wrote can end its literal.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds, allowSlowRuns } from "../../test/support/seed.ts";
import { blob, byKey, dateTime, pieces, quote, rows } from "./sql-text.ts";

allowSlowRuns();

/** Reads a MySQL string literal as its manual describes it; null if the text is not exactly one literal. */
function read(literal: string): string | null {
  if (!literal.startsWith("'")) return null;
  const named: Record<string, string> = { "0": "\0", b: "\b", n: "\n", r: "\r", t: "\t", Z: "\x1a" };
  let text = "";
  for (let at = 1; at < literal.length; at++) {
    const c = literal.charAt(at);
    if (c === "'") {
      if (at === literal.length - 1) return text;
      if (literal.charAt(at + 1) !== "'") return null;
      text += "'";
      at++;
    } else if (c === "\\") {
      const next = literal.charAt(++at);
      text += named[next] ?? next;
    } else text += c;
  }
  return null;
}

describe("quoted text", () => {
  test("plain text is quoted, and null becomes NULL", () => {
    expect(quote("سلام 1")).toBe("'سلام 1'");
    expect(quote("")).toBe("''");
    expect(quote(null)).toBe("NULL");
  });

  test("each character with a special meaning to MySQL is escaped", () => {
    for (const c of ["'", '"', "\\", "\0", "\b", "\t", "\n", "\r", "\x1a"]) {
      const literal = quote(`a${c}b`);
      expect([c, literal.includes("\\"), read(literal)]).toEqual([c, true, `a${c}b`]);
    }
  });

  test("any text is read back unchanged, whatever it contains", () => {
    const nasty = fc.array(fc.constantFrom("'", "\\", '"', "\0", "\n", "\x1a", "--", ";", "%", "سلام", "a"));
    const any = fc.oneof(
      nasty.map((all) => all.join("")),
      fc.string({ unit: "grapheme" }),
      fc.string(),
    );
    holds("quote", any, (text) => expect(read(quote(text))).toBe(text));
  });
});

describe("times", () => {
  test("a time is a literal of UTC to the millisecond", () => {
    expect(dateTime(0)).toBe("'1970-01-01 00:00:00.000'");
    expect(dateTime(Date.UTC(2026, 10, 21, 23, 59, 59, 7))).toBe("'2026-11-21 23:59:59.007'");
    expect(dateTime(Date.UTC(2026, 10, 21, 23, 59, 59, 42))).toBe("'2026-11-21 23:59:59.042'");
    expect(dateTime(Date.UTC(2026, 10, 22))).toBe("'2026-11-22 00:00:00.000'");
  });

  test("every time equals its ISO form, in whatever order times come", () => {
    const start = Date.UTC(2026, 0, 1);
    const near = fc.integer({ min: start, max: start + 5_000 });
    const any = fc.array(fc.oneof(near, fc.integer({ min: 0, max: Date.UTC(9999, 0, 1) })), { minLength: 1 });
    holds("dateTime", any, (times) => {
      for (const ms of times)
        expect(dateTime(ms)).toBe(`'${new Date(ms).toISOString().slice(0, 23).replace("T", " ")}'`);
    });
  });
});

test("bytes and rows are written for VALUES tables", () => {
  expect(blob(Buffer.from([0, 255, 39]))).toBe("x'00ff27'");
  expect(rows([[1, "'a'"], [2]])).toBe("ROW(1,'a'),ROW(2)");
  expect(rows([])).toBe("");
});

test("a value by key is the value itself if all rows get the same, otherwise a CASE", () => {
  expect(byKey("id", [[1, 5]], 0)).toBe("5");
  expect(
    byKey(
      "id",
      [
        [1, 5],
        [2, 5],
      ],
      0,
    ),
  ).toBe("5");
  expect(
    byKey(
      "id",
      [
        [1, 5],
        [2, 0],
        [3, "'x'"],
      ],
      0,
    ),
  ).toBe("CASE id WHEN 1 THEN 5 WHEN 3 THEN 'x' ELSE 0 END");
  expect(byKey("id", [], 0)).toBe("0");
});

test("more than eight keys are halved, in the order of the keys, until at most eight are left", () => {
  const keys = [9, 3, 7, 1, 5, 8, 2, 6, 4];
  const sql = byKey(
    "id",
    keys.map((key) => [key, key * 10]),
    0,
  );
  const whens = (...of: number[]) =>
    `CASE id ${of.map((key) => `WHEN ${key} THEN ${key * 10} `).join("")}ELSE 0 END`;
  expect(sql).toBe(`IF(id<5,${whens(1, 2, 3, 4)},${whens(5, 6, 7, 8, 9)})`);
  expect(
    byKey(
      "id",
      keys.slice(1).map((key) => [key, key * 10]),
      0,
    ),
  ).toBe(whens(1, 2, 3, 4, 5, 6, 7, 8));
});

test("pieces have everything once, in order, and only the last may be short", () => {
  expect(pieces([], 2)).toEqual([]);
  expect(pieces([1], 2)).toEqual([[1]]);
  expect(pieces([1, 2], 2)).toEqual([[1, 2]]);
  expect(pieces([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
  expect(pieces([1, 2, 3, 4], 2)).toEqual([
    [1, 2],
    [3, 4],
  ]);
  const short = [1, 2];
  expect(pieces(short, 2)[0]).toBe(short);
});
