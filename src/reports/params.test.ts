// Values of query parameters: times to the millisecond, and phones whose plus was decoded as a blank.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../test/support/seed.ts";
import { ADMIN_NAME_CHARS_MAX } from "../core/audit.ts";
import type { SluiceError } from "../core/errors.ts";
import { isNumberCursor, readParams } from "./params.ts";

const timeOf = (from: string): string | null => {
  const timeMs = readParams(new Map([["from", from]])).time("from");
  return timeMs === null ? null : new Date(timeMs).toISOString();
};

describe("times", () => {
  const read: [string, string][] = [
    ["2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000Z"],
    ["2026-01-31t09:30:00z", "2026-01-31T09:30:00.000Z"],
    ["2026-01-31T09:30:00+03:30", "2026-01-31T06:00:00.000Z"],
    ["2026-01-31T09:30:00 03:30", "2026-01-31T06:00:00.000Z"],
    ["2026-01-01T00:00:00-00:30", "2026-01-01T00:30:00.000Z"],
    ["2024-02-29T23:59:59.999Z", "2024-02-29T23:59:59.999Z"],
    ["2026-01-31T09:30:00.0000000001Z", "2026-01-31T09:30:00.001Z"],
    ["2026-01-31T09:30:00.1Z", "2026-01-31T09:30:00.100Z"],
    ["2026-01-31T09:30:00.9991Z", "2026-01-31T09:30:01.000Z"],
    ["2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"],
    ["2017-01-01T03:29:60.5+03:30", "2017-01-01T00:00:00.500Z"],
    ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
  ];
  for (const [from, iso] of read) test(`${from} is ${iso}`, () => expect(timeOf(from)).toBe(iso));

  const refused = [
    "2026-01-31T24:00:00Z",
    "2026-01-31T23:60:00Z",
    "2026-01-31T23:59:61Z",
    "2026-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-31T09:30:00+24:00",
    "2026-01-31T09:30:00+03:60",
    "2026-01-31T09:30:00",
    "2026-01-31T09:30:00.Z",
    "2026-01-31 09:30:00Z",
    "2026-01-31",
    "0099-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "9999-12-31T23:59:59-00:01",
    "9999-12-31T23:59:60Z",
    "۲۰۲۶-01-31T09:30:00Z",
    "2026-01-31T09:30:00Z\n",
  ];
  for (const from of refused)
    test(`${JSON.stringify(from)} is refused`, () => expect(timeOf(from)).toBeNull());

  test("every millisecond is parsed exactly, whatever its offset", () => {
    const times = fc.tuple(fc.nat({ max: 4_000_000_000_000 }), fc.integer({ min: -1_439, max: 1_439 }));
    holds("times", times, ([timeMs, offsetMin]) => {
      const local = new Date(timeMs + offsetMin * 60_000).toISOString().slice(0, -1);
      if (!/^\d{4}-/.test(local) || timeMs + offsetMin * 60_000 < 0) return;
      const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
      const far = Math.abs(offsetMin);
      const offset = `${offsetMin < 0 ? "-" : "+"}${two(far / 60)}:${two(far % 60)}`;
      expect(timeOf(local + offset)).toBe(new Date(timeMs).toISOString());
    });
  });
});

describe("phones", () => {
  const phoneOf = (phone: string) => readParams(new Map([["phone", phone]])).phone("IR");

  test("a leading blank is a plus that was not escaped", () => {
    expect(phoneOf(" 4532123456")).toBe("+4532123456");
    expect(phoneOf("+4532123456")).toBe("+4532123456");
    expect(phoneOf("  45 32 12 34 56")).toBe("+4532123456");
    // As an Iranian number it would be valid: +984532123456.
    expect(phoneOf("4532123456")).toBe("+984532123456");
  });

  test("a national number after a blank is refused, not parsed without the blank", () => {
    for (const phone of [" 09121234567", " ", " +4532123456"]) expect(phoneOf(phone)).toBeNull();
  });
});

describe("what the usage report is asked for", () => {
  const errorsOf = (name: "interval" | "by", value: string) => {
    const params = readParams(new Map([[name, value]]));
    params[name]();
    try {
      params.check();
      return [];
    } catch (error) {
      return (error as SluiceError).errors;
    }
  };
  const byOf = (by: string) => readParams(new Map([["by", by]])).by();

  test("is an hour, by status, unless it says otherwise", () => {
    const params = readParams(new Map());
    expect([params.interval(), params.by()]).toEqual(["hour", ["status"]]);
    expect(readParams(new Map([["interval", "day"]])).interval()).toBe("day");
  });

  test("is none, or each key once, in the order given", () => {
    expect(byOf("none")).toEqual([]);
    expect(byOf("prefix")).toEqual(["prefix"]);
    expect(byOf("prefix,status,lane")).toEqual(["prefix", "status", "lane"]);
  });

  test("names what it can be", () => {
    expect(errorsOf("interval", "week")).toEqual([
      { field: "interval", reason: "must be one of minute, hour, day" },
    ]);
    const reason = "must be none, or some of status, lane, prefix, each once, with commas between";
    for (const by of ["type", "status,", ",", "lane,lane", "status,none", "status, lane", "Status"])
      expect([by, errorsOf("by", by)]).toEqual([by, [{ field: "by", reason }]]);
  });
});

test("a user's name has as many characters as the reference says, whatever their width", () => {
  const nameOf = (who: string) => readParams(new Map([["who", who]]));
  expect(nameOf("😀".repeat(ADMIN_NAME_CHARS_MAX)).who()).not.toBeNull();
  const params = nameOf("x".repeat(ADMIN_NAME_CHARS_MAX + 1));
  expect(params.who()).toBeNull();
  expect(() => params.check()).toThrow("must have at most 60 characters");
});

test("a cursor by number is one number above 0", () => {
  const made = ["Infinity", "1", 0, -1, Number.MAX_SAFE_INTEGER];
  expect(made.map((value) => isNumberCursor([value]))).toEqual([false, false, false, false, true]);
  expect([isNumberCursor([]), isNumberCursor([1, 2])]).toEqual([false, false]);
});

test("everything that is refused is named at once", () => {
  const given = {
    from: "x",
    status: "SENT",
    type: "x",
    phone: "1",
    id: "x",
    interval: "x",
    by: "x",
    limit: "0",
    cursor: "x",
  };
  const params = readParams(new Map(Object.entries(given)));
  params.time("from");
  for (const read of [params.status, params.type, params.id, params.interval, params.by, params.limit])
    read();
  params.phone("IR");
  params.cursor(() => true);
  try {
    params.check();
    throw new Error("was let through");
  } catch (error) {
    expect((error as SluiceError).errors.map(({ field }) => field).sort()).toEqual(Object.keys(given).sort());
  }
});
