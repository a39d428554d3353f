import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../../test/support/seed.ts";
import { lastMomentOf, receiptTime, writtenTime } from "./times.ts";

const iso = (atMs: number | null) => (atMs === null ? null : new Date(atMs).toISOString());
const receipt = (text: string, zone = "UTC") => iso(receiptTime(text, zone));
const NOW = Date.UTC(2026, 10, 4, 18);
const written = (text: string, zone = "UTC", nowMs = NOW) => iso(writtenTime(text, zone, nowMs));

describe("a receipt's date", () => {
  test("has 10, 12, 14 or 16 characters", () => {
    expect(receipt("2611040811")).toBe("2026-11-04T08:11:00.000Z");
    expect(receipt("261104081107")).toBe("2026-11-04T08:11:07.000Z");
    expect(receipt("202611040811")).toBe("2026-11-04T08:11:00.000Z");
    expect(receipt("20261104081107")).toBe("2026-11-04T08:11:07.000Z");
    expect(receipt("261104081107912+")).toBe("2026-11-04T05:11:07.000Z");
    expect(receipt("261104081107912-")).toBe("2026-11-04T11:11:07.000Z");
  });

  test("that is no real one is none", () => {
    for (const text of [
      "",
      "0",
      "0000000000",
      "000000000000",
      "2613040811",
      "2602290811",
      "2611042411",
      "2611040860",
      "261104081160",
      "26110408",
      "261104081",
      "26110408110",
      "2611040811070",
      "260229081100",
      "14050813081100",
      "261104081107049+",
      "000000081100000R",
      "26I1040811",
    ])
      expect([text, receipt(text)]).toEqual([text, null]);
    expect(receipt("2802290811")).toBe("2028-02-29T08:11:00.000Z");
  });

  test("is on the operator's clock, whatever its offset on that day", () => {
    expect(receipt("2611040811", "Asia/Tehran")).toBe("2026-11-04T04:41:00.000Z");
    expect(receipt("2607010811", "Europe/Berlin")).toBe("2026-07-01T06:11:00.000Z");
    expect(receipt("2612010811", "Europe/Berlin")).toBe("2026-12-01T07:11:00.000Z");
    expect(receipt("261104081107912+", "Asia/Tehran")).toBe("2026-11-04T05:11:07.000Z");
  });

  test("skipped by a clock change is moved on by it; of one that comes twice the first is taken", () => {
    expect(receipt("2603290230", "Europe/Berlin")).toBe("2026-03-29T01:30:00.000Z");
    expect(receipt("2610250230", "Europe/Berlin")).toBe("2026-10-25T00:30:00.000Z");
  });

  test("of any minute of the century is read back in every form", () => {
    const seconds = fc.integer({ min: Date.UTC(2013, 0) / 1_000, max: Date.UTC(2099, 11, 31) / 1_000 });
    holds("every form", seconds, (at) => {
      const atMs = at * 1_000;
      const minuteMs = Math.floor(atMs / 60_000) * 60_000;
      const digits = new Date(atMs).toISOString().replace(/\D/g, "").slice(0, 14);
      expect(receiptTime(digits, "UTC")).toBe(atMs);
      expect(receiptTime(digits.slice(2), "UTC")).toBe(atMs);
      expect(receiptTime(digits.slice(0, 12), "UTC")).toBe(minuteMs);
      expect(receiptTime(digits.slice(2, 12), "UTC")).toBe(minuteMs);
      expect(receiptTime(`${digits.slice(2)}000+`, "UTC")).toBe(atMs);
    });
  });
});

describe("a time in an HTTP report", () => {
  test("has its offset in any spelling", () => {
    for (const text of [
      "2026-11-04T11:41:00+03:30",
      "2026-11-04T11:41:00+0330",
      "2026-11-04 11:41:00 +03:30",
      "2026-11-04T11:41:00.000+0330",
      "2026-11-04T11:41:00 03:30",
      "2026-11-04T08:11:00Z",
      "2026-11-04t08:11:00z",
      "2026-11-04 08:11:00 UTC",
      "2026-11-04T10:11:00+02",
      "2026-11-03T22:11:00-10:00",
      "2026-11-04T08:11-00:00",
      "2026/11/4 8:11",
    ])
      expect([text, written(text)]).toEqual([text, "2026-11-04T08:11:00.000Z"]);
  });

  test("has milliseconds, of which more digits are cut", () => {
    expect(written("2026-11-04T08:11:00.5Z")).toBe("2026-11-04T08:11:00.500Z");
    expect(written("2026-11-04T08:11:00,123999Z")).toBe("2026-11-04T08:11:00.123Z");
  });

  test("without an offset is on the operator's clock", () => {
    expect(written("2026-11-04 11:41:00", "Asia/Tehran")).toBe("2026-11-04T08:11:00.000Z");
  });

  test("may be Unix seconds or milliseconds", () => {
    expect(written("1793779860")).toBe("2026-11-04T08:11:00.000Z");
    expect(written("1793779860.25")).toBe("2026-11-04T08:11:00.250Z");
    expect(written("1793779860123")).toBe("2026-11-04T08:11:00.123Z");
    // 1 January 2018, 00:00, or a second of January 2027: whichever is nearer to now.
    expect(written("1801010000", "UTC", Date.UTC(2027, 0, 26))).toBe("2027-01-27T00:33:20.000Z");
    expect(written("1801010000", "UTC", Date.UTC(2018, 0, 1))).toBe("2018-01-01T00:00:00.000Z");
    expect(written("2611040811")).toBe("2026-11-04T08:11:00.000Z");
  });

  test("that is no real one is none", () => {
    for (const text of [
      "yesterday",
      "2026-11-04",
      "2026-02-30T08:11:00Z",
      "2026-11-04T24:00:00Z",
      "2026-11-04T08:11:60Z",
      "2026-11-04T08:11:00+15:00",
      "2026-11/04T08:11:00Z",
      "1405-08-13 11:41:00",
      "9999999999",
      "0",
    ])
      expect([text, written(text)]).toEqual([text, null]);
  });
});

test("the last moment that a written time can mean is the end of what it names", () => {
  const last = (text: string) => {
    const readAtMs = writtenTime(text, "UTC", NOW) as number;
    return new Date(lastMomentOf(text, readAtMs)).toISOString().slice(11, 23);
  };
  for (const text of [
    "2611040811",
    "202611040811",
    "2026-11-04 08:11",
    " 2026/11/4 8:11 +00:00",
    "2026-11-04T08:11Z",
  ])
    expect([text, last(text)]).toEqual([text, "08:11:59.999"]);
  for (const text of [
    "261104081100",
    "20261104081100",
    "261104081100000+",
    "2026-11-04T08:11:00Z",
    "1793779860",
  ])
    expect([text, last(text)]).toEqual([text, "08:11:00.999"]);
  expect(last("2026-11-04T08:11:00.25Z")).toBe("08:11:00.259");
  expect(last("2026-11-04T08:11:00.250+00:00")).toBe("08:11:00.250");
  expect(last("1793779860123")).toBe("08:11:00.123");
});
