// Prices as people write them: amounts, surcharges, refusals, moments and whole files.

import { expect, test } from "bun:test";
import { momentOf, parseRates, pricesOfText } from "./price-file.ts";

const NOW = Date.UTC(2026, 0, 2, 3, 4);
const HEADER = "prefix,valid_from,normal,express";
const file = (...lines: string[]) => parseRates([HEADER, ...lines].join("\n"), NOW);

test("prices are two amounts, an amount and what express costs more, or refused", () => {
  expect(pricesOfText("500", "700")).toEqual({ prices: { normal: 500, express: 700 } });
  expect(pricesOfText("500", "+200")).toEqual({ prices: { normal: 500, express: 700 } });
  expect(pricesOfText("refused", "refused")).toEqual({ prices: null });
});

test.each([
  ["0", "1", ["normal"]],
  ["1", "0", ["express"]],
  ["1", "+0", ["express"]],
  ["1", "++1", ["express"]],
  ["1.5", "-1", ["normal", "express"]],
  ["1e3", " 1", ["normal", "express"]],
  ["1000000001", "1", ["normal"]],
  ["1000000000", "+1", ["express"]],
  ["refused", "1", ["normal"]],
  ["1", "refused", ["express"]],
  ["", "", ["normal", "express"]],
])("%p and %p are no prices", (normal, express, fields) => {
  const read = pricesOfText(normal, express);
  expect("errors" in read && read.errors.map(({ field }) => field)).toEqual(fields);
});

test("a moment is a day in UTC, or a time with its offset", () => {
  expect(momentOf("2026-01-02")).toBe(Date.UTC(2026, 0, 2));
  expect(momentOf("2026-01-02T03:04Z")).toBe(NOW);
  expect(momentOf("2026-01-02T03:04:05.678+03:30")).toBe(Date.parse("2026-01-01T23:34:05.678Z"));
  const none = ["", "2026", "2026-1-2", "2026-02-30", "2026-13-01", "2026-01-02T03:04", "tomorrow"];
  for (const text of [...none, "2026-01-02T24:00Z", "9999-12-31T23:59:59-01:00"])
    expect([text, momentOf(text)]).toEqual([text, null]);
});

test("a file is read line by line; blank ones and comments say nothing, no valid_from means now", () => {
  expect(
    file("+,2026-01-01,500,+200", "", "# mobile", "+98912, ,450,600\r", "+882,2026-02-01,refused,refused"),
  ).toEqual({
    rates: [
      { prefix: "+", validFromMs: Date.UTC(2026, 0, 1), prices: { normal: 500, express: 700 } },
      { prefix: "+98912", validFromMs: NOW, prices: { normal: 450, express: 600 } },
      { prefix: "+882", validFromMs: Date.UTC(2026, 1, 1), prices: null },
    ],
  });
});

test("everything that is wrong with a file is named, by line, and nothing of it is used", () => {
  const read = file("+98,2026-01-01,500,700", "98,yesterday,x,700", "+98,2026-01-01,1,1", "+1,,1");
  expect(read).toEqual({
    errors: [
      { field: "line 3", reason: "prefix must be a plus and up to 15 digits" },
      { field: "line 3", reason: expect.stringContaining("valid_from must be a day") },
      { field: "line 3", reason: expect.stringContaining("normal must be a whole number") },
      { field: "line 4", reason: "has the prefix and valid_from of line 2" },
      { field: "line 5", reason: "must have 4 fields, not 3" },
      { field: "line 5", reason: expect.stringContaining("express must be") },
    ],
  });
});

test("a file without its header, or without rates, is refused", () => {
  expect(parseRates("+98,,1,1", NOW)).toEqual({
    errors: [{ field: "line 1", reason: `must be the header ${HEADER}` }],
  });
  expect(file()).toEqual({ errors: [{ field: "the file", reason: "has no rates" }] });
});
