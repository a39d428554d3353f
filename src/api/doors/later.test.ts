// Times and validities as peers write them.

import { describe, expect, test } from "bun:test";
import { VALID_FOR_MIN_MS, VALID_FOR_MS } from "../../core/limits.ts";
import { SCHEDULE_AHEAD_MS } from "../../core/schedule-limits.ts";
import { laterAt, smppTimeOf, validAfter } from "./later.ts";

const NOW_MS = Date.UTC(2026, 10, 26, 10, 30);

describe("a time of SMPP", () => {
  const at = (text: string) => smppTimeOf(text, NOW_MS);

  test("is absolute, in tenths of a second and with an offset in quarters of an hour", () => {
    expect(at("261126103015700+")).toBe(Date.UTC(2026, 10, 26, 10, 30, 15, 700));
    expect(at("261126140015014+")).toBe(Date.UTC(2026, 10, 26, 10, 30, 15));
    expect(at("261126140015014 ")).toBe(Date.UTC(2026, 10, 26, 10, 30, 15));
    expect(at("261126053015020-")).toBe(Date.UTC(2026, 10, 26, 10, 30, 15));
    expect(at("280229000000000+")).toBe(Date.UTC(2028, 1, 29));
  });

  test("or relative", () => {
    expect(at("000000000100000R")).toBe(NOW_MS + 60_000);
    expect(at("000002030405000R")).toBe(NOW_MS + 2 * 86_400_000 + (3 * 3_600 + 4 * 60 + 5) * 1_000);
    expect(at("000100000000000R")).toBe(Date.UTC(2026, 11, 26, 10, 30));
    expect(at("010000000000000R")).toBe(Date.UTC(2027, 10, 26, 10, 30));
  });

  test("and nothing else", () => {
    const bad = [
      "",
      "000000000100000",
      "000000000100000r",
      "0000000001000000R",
      "000000000100100R",
      "000000000100001R",
      "260230103000000+",
      "261326103000000+",
      "260026103000000+",
      "261126243000000+",
      "261126106000000+",
      "261126103060000+",
      "261126103000049+",
      "26112610300000a+",
    ];
    for (const text of bad) expect([text, at(text)]).toEqual([text, undefined]);
  });
});

test("a time is taken up to 30 days ahead; one that was just reached means at once", () => {
  expect(laterAt(NOW_MS + 1, NOW_MS)).toEqual({ sendAtMs: NOW_MS + 1 });
  expect(laterAt(NOW_MS + SCHEDULE_AHEAD_MS, NOW_MS)).toEqual({ sendAtMs: NOW_MS + SCHEDULE_AHEAD_MS });
  expect(laterAt(NOW_MS + SCHEDULE_AHEAD_MS + 1, NOW_MS)).toBeUndefined();
  expect(laterAt(NOW_MS, NOW_MS)).toEqual({});
  expect(laterAt(NOW_MS - 60_000, NOW_MS)).toEqual({});
  expect(laterAt(NOW_MS - 60_001, NOW_MS)).toBeUndefined();
});

test("a validity that counts from now is shorter from the message's time on", () => {
  const later = { sendAtMs: NOW_MS + 3_600_000 };
  expect(validAfter(null, later, NOW_MS)).toBeNull();
  expect(validAfter(VALID_FOR_MIN_MS, {}, NOW_MS)).toBe(VALID_FOR_MIN_MS);
  expect(validAfter(2 * 3_600_000, later, NOW_MS)).toBe(3_600_000);
  expect(validAfter(3_600_000 + VALID_FOR_MIN_MS, later, NOW_MS)).toBe(VALID_FOR_MIN_MS);
  expect(validAfter(3_600_000 + VALID_FOR_MIN_MS - 1, later, NOW_MS)).toBeUndefined();
  expect(validAfter(3_600_000 + VALID_FOR_MS, later, NOW_MS)).toBe(VALID_FOR_MS);
  expect(validAfter(VALID_FOR_MS + 1, {}, NOW_MS)).toBeUndefined();
});
