// The zones of phones by their numbers, and that Intl knows each of them.

import { expect, test } from "bun:test";
import table from "./phone-zones.json" with { type: "json" };
import { zonesOf } from "./phone-zones.ts";

test("the longest prefix of a number decides in which zones it may be", () => {
  expect(zonesOf("+989121234567")).toEqual(["Asia/Tehran"]);
  expect(zonesOf("+12125550123")).toEqual(["America/New_York"]);
  expect(zonesOf("+13105550123")).toEqual(["America/Los_Angeles"]);
  expect(zonesOf("+447400123456")).toContain("Europe/London");
  expect(zonesOf("+79161234567")).toEqual(["Europe/Moscow"]);
});

test("a number without an area is in any zone of its country, and one of no country in none", () => {
  const zones = zonesOf("+18005550123");
  for (const zone of ["America/New_York", "America/Denver", "Pacific/Honolulu"])
    expect(zones).toContain(zone);
  expect(zonesOf("+881612345678")).toEqual([]);
});

test("every zone is known, and every prefix is digits, given once", () => {
  const zones = new Set(Object.keys(table).flatMap((name) => name.split("&")));
  expect(zones.size).toBeGreaterThan(200);
  for (const timeZone of zones) expect(() => new Intl.DateTimeFormat("en", { timeZone })).not.toThrow();
  const prefixes = Object.values(table).flatMap((of) => of.split(" "));
  expect(new Set(prefixes).size).toBe(prefixes.length);
  for (const prefix of prefixes) expect(prefix).toMatch(/^[1-9]\d{0,8}$/);
});
