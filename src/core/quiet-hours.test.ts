// Until when messages wait, in zones whose clocks change and in several zones at once, compared with a search
// minute by minute.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { allowSlowRuns, holds } from "../../test/support/seed.ts";
import { QUIET_MAX_MS, QUIET_RULES_MAX } from "./schedule-limits.ts";
import {
  hoursOf,
  hoursText,
  isZone,
  putOff,
  quietPrefixOf,
  type QuietRule,
  quietRulesOf,
  quietText,
  quietUntilOf,
  withRule,
} from "./quiet-hours.ts";

allowSlowRuns();

const IRAN = "+989121234567";
const rule = (hours: string, zone: string | null = null, prefix = ""): QuietRule => ({
  ...(hoursOf(hours) as { fromMin: number; untilMin: number }),
  zone,
  prefix,
});
/** As a clock in UTC would show it, or what is given instead. */
function until(rules: readonly QuietRule[], at: string, phone = IRAN): string | null {
  const ms = quietUntilOf(rules)(phone, Date.parse(at));
  return ms === null ? null : new Date(ms).toISOString().replace(":00.000Z", "Z");
}

describe("a message waits", () => {
  test("until the quiet hours of its phone's own zone end, and only within them", () => {
    const night = [rule("22:00-08:00")];
    expect(until(night, "2026-06-01T18:29:59.999Z")).toBeNull(); // 21:59:59.999 in Tehran
    expect(until(night, "2026-06-01T18:30:00Z")).toBe("2026-06-02T04:30Z");
    expect(until(night, "2026-06-02T04:29:59.999Z")).toBe("2026-06-02T04:30Z");
    expect(until(night, "2026-06-02T04:30:00Z")).toBeNull();
    expect(until([rule("12:00-14:00")], "2026-06-01T09:00:00Z")).toBe("2026-06-01T10:30Z");
    expect(until(night, "2026-06-01T20:00:00Z", "+881612345678")).toBeNull(); // at home nowhere
  });

  test("by the rule of the longest prefix, and by a rule's own zone", () => {
    const rules = [
      rule("22:00-08:00"),
      rule("00:00-06:00", "Asia/Tehran", "98"),
      rule("13:00-15:00", "UTC", "98935"),
    ];
    expect(until(rules, "2026-06-01T19:00:00Z")).toBeNull(); // 22:30 in Tehran
    expect(until(rules, "2026-06-01T21:00:00Z")).toBe("2026-06-02T02:30Z");
    expect(until(rules, "2026-06-01T13:30:00Z", "+989351234567")).toBe("2026-06-01T15:00Z");
    expect(until(rules, "2026-06-01T21:00:00Z", "+989351234567")).toBeNull();
    expect(until(rules, "2026-06-01T21:00:00Z", "+447400123456")).toBe("2026-06-02T07:00Z");
    expect(until([rule("22:00-08:00", null, "98")], "2026-06-01T23:00:00Z", "+447400123456")).toBeNull();
  });

  test("while it is quiet in any zone in which the phone may be", () => {
    const night = [rule("22:00-08:00")];
    const nevada = "+17755550123"; // America/Boise and America/Los_Angeles
    expect(until(night, "2026-01-15T04:59:59Z", nevada)).toBeNull();
    expect(until(night, "2026-01-15T05:30:00Z", nevada)).toBe("2026-01-15T16:00Z");
    expect(until(night, "2026-01-15T15:30:00Z", nevada)).toBe("2026-01-15T16:00Z");
    expect(until(night, "2026-01-15T16:00:00Z", nevada)).toBeNull();
  });

  test("where it is always quiet somewhere, until those hours are over that have begun", () => {
    const anywhere = "+18005550123"; // from Guam to Hawaii
    const at = Date.parse("2026-01-15T12:00:00Z");
    const end = quietUntilOf([rule("22:00-08:00")])(anywhere, at) as number;
    expect(end).toBeGreaterThan(at);
    expect(end).toBeLessThanOrEqual(at + QUIET_MAX_MS);
  });
});

describe("when clocks change", () => {
  const ny = (hours: string) => [rule(hours, "America/New_York")];

  test("a night has 9 hours or 11, and ends by the clock", () => {
    expect(until(ny("22:00-08:00"), "2026-03-08T03:00:00Z")).toBe("2026-03-08T12:00Z");
    expect(until(ny("22:00-08:00"), "2026-11-01T02:00:00Z")).toBe("2026-11-01T13:00Z");
  });

  test("an end that is left out is the moment of the change", () => {
    expect(until(ny("22:00-02:30"), "2026-03-08T06:00:00Z")).toBe("2026-03-08T07:00Z");
  });

  test("an end that comes twice counts each time", () => {
    expect(until(ny("01:00-01:30"), "2026-11-01T05:10:00Z")).toBe("2026-11-01T05:30Z");
    expect(until(ny("01:00-01:30"), "2026-11-01T06:10:00Z")).toBe("2026-11-01T06:30Z");
  });
});

// ---- the same by a search ----

const ZONES = [
  "Asia/Tehran",
  "America/New_York",
  "Australia/Lord_Howe",
  "Asia/Kathmandu",
  "Africa/Casablanca",
];
const clocks = new Map(
  ZONES.map((timeZone) => [
    timeZone,
    new Intl.DateTimeFormat("en", { timeZone, hour: "numeric", minute: "numeric", hourCycle: "h23" }),
  ]),
);
function isQuiet({ fromMin, untilMin }: QuietRule, zone: string, ms: number): boolean {
  const [hour = 0, minute = 0] = (clocks.get(zone)?.format(ms) ?? "").split(":").map(Number);
  const at = hour * 60 + minute;
  return fromMin < untilMin ? at >= fromMin && at < untilMin : at >= fromMin || at < untilMin;
}

const MINUTE_MS = 60_000;
const minutes = fc.integer({ min: 0, max: 1_439 });
// Around the changes of clocks, and anywhere else.
const moments = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("2026-03-08T07:00Z", "2026-11-01T06:00Z", "2026-04-04T15:00Z", "2026-10-03T15:30Z"),
      fc.integer({ min: -600, max: 600 }),
    )
    .map(([at, off]) => Date.parse(at) + off * MINUTE_MS),
  fc.integer({ min: 0, max: 500_000 }).map((n) => Date.UTC(2026, 0, 1) + n * MINUTE_MS),
);

test("a wait ends at the first minute that isn't quiet, in whatever zone", () => {
  const cases = fc.tuple(fc.constantFrom(...ZONES), minutes, minutes, moments).filter(([, a, b]) => a !== b);
  holds(
    "quiet hours",
    cases,
    ([zone, fromMin, untilMin, atMs]) => {
      const one = { fromMin, untilMin, zone, prefix: "" };
      let endMs = atMs;
      while (isQuiet(one, zone, endMs)) endMs += MINUTE_MS;
      expect(quietUntilOf([one])(IRAN, atMs)).toBe(endMs === atMs ? null : endMs);
      expect(endMs - atMs).toBeLessThanOrEqual(QUIET_MAX_MS);
    },
    300,
  );
});

// ---- validity, and text ----

test("a message is valid until it would have been; not at all, if that is before the end", () => {
  const quietUntil = quietUntilOf([rule("22:00-08:00", "UTC")]);
  const atMs = Date.parse("2026-06-01T23:00:00Z");
  const sendAtMs = Date.parse("2026-06-02T08:00:00Z");
  const HOUR_MS = 3_600_000;
  const put = (validForMs: number | null) => putOff(quietUntil, { phone: IRAN, atMs, validForMs });
  expect(put(null)).toEqual({ sendAtMs, validForMs: null });
  expect(put(12 * HOUR_MS)).toEqual({ sendAtMs, validForMs: 3 * HOUR_MS });
  expect(put(9 * HOUR_MS + 60_000)).toEqual({ sendAtMs, validForMs: 60_000 });
  expect(put(9 * HOUR_MS + 59_999)).toEqual({
    reason: "must last 60 s beyond the recipient's quiet hours, which end at 2026-06-02T08:00:00.000Z",
  });
  expect(putOff(quietUntil, { phone: IRAN, atMs: sendAtMs, validForMs: 60_000 })).toBeNull();
});

test("rules are read from what is written of them", () => {
  const rules = [rule("22:00-08:00"), rule("23:05-06:59", "America/Argentina/Buenos_Aires", "5411")];
  expect(quietText(rules)).toBe("* 22:00-08:00\n5411 23:05-06:59 America/Argentina/Buenos_Aires");
  expect(quietRulesOf(quietText(rules))).toEqual(rules);
  expect(hoursText(rule("00:00-23:59"))).toBe("00:00-23:59");
  for (const bad of ["22-8", "24:00-08:00", "22:00-08:60", "8:00-9:00", "08:00-08:00", "22:00", ""])
    expect([bad, hoursOf(bad)]).toEqual([bad, null]);
});

test("prefixes are digits that begin a number, zones are names", () => {
  expect([quietPrefixOf("98"), quietPrefixOf("+1806")]).toEqual(["98", "1806"]);
  for (const bad of ["", "+", "098", "9 8", "1".repeat(16)])
    expect([bad, quietPrefixOf(bad)]).toEqual([bad, null]);
  expect(["Asia/Tehran", "UTC"].map(isZone)).toEqual([true, true]);
  expect(["Asia/Nowhere", "+03:30", "", "Asia/Tehran x"].map(isZone)).toEqual([false, false, false, false]);
});

test("a rule takes the place of that of its prefix, and there is a most of them", () => {
  const first = withRule([], rule("22:00-08:00")) as QuietRule[];
  expect(withRule(first, rule("23:00-07:00"))).toEqual([rule("23:00-07:00")]);
  expect(withRule(first, rule("23:00-07:00", null, "98"))).toHaveLength(2);
  const many = Array.from({ length: QUIET_RULES_MAX }, (_, n) => rule("22:00-08:00", null, `9${n}`));
  expect(withRule(many, rule("22:00-08:00"))).toBeNull();
  expect(withRule(many, rule("23:00-08:00", null, "90"))).toHaveLength(QUIET_RULES_MAX);
  const longest = many.map((_, n) =>
    rule("22:00-08:00", "America/Argentina/ComodRivadavia", `${10 ** 14 + n}`),
  );
  expect(quietText(longest).length).toBeLessThanOrEqual(3_000); // customers.quiet_hours
});
