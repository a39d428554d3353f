// What a simulated operator reports on a message: by its phone, and by what it was told.

import { expect, test } from "bun:test";
import { ALL_DELIVERED, PROFILES, type Reporting } from "./operator-behaviour.ts";
import { planEnd, unacknowledged } from "./operator-ends.ts";

const PHONE = "+989121234567";
const plan = (phone: string, reports: Partial<Reporting> | null, random = () => 0.5) =>
  planEnd(phone, PROFILES.fast, reports && { ...ALL_DELIVERED, ...reports }, random);

test("the fixed numbers have their ends, whatever it was told to report", () => {
  for (const reports of [null, {}, { lost: 1, undelivered: 1, duplicate: 1, contradictory: 1 }]) {
    const ends = [4, 5, 6, 7, 8].map((n) => plan(`+98912999000${n}`, reports));
    expect(ends).toEqual([
      { end: "DELIVRD", afterMs: [1_000], next: [] },
      { end: "UNDELIV", afterMs: [1_000], next: [] },
      { end: "EXPIRED", afterMs: [1_000], next: [] },
      null,
      { end: "DELIVRD", afterMs: [60_000], next: [] },
    ]);
  }
});

test("each kind of report is what its name says", () => {
  expect(plan(PHONE, null)).toBeNull();
  expect(plan(PHONE, { lost: 1 })).toBeNull();
  expect(plan(PHONE, {})).toEqual({ end: "DELIVRD", afterMs: [1_000], next: [] });
  expect(plan(PHONE, { undelivered: 1 })?.end).toBe("UNDELIV");
  expect(plan(PHONE, { late: 1 })?.afterMs).toEqual([61_000]);
  expect(plan(PHONE, { duplicate: 1 })?.afterMs).toEqual([1_000, 2_050]);
  expect(plan(PHONE, { reordered: 1 })?.next).toEqual([{ word: "ENROUTE", afterMs: 500 }]);
  const contrary = (undelivered: number) => plan(PHONE, { undelivered, contradictory: 1 })?.next[0]?.word;
  expect([contrary(0), contrary(1)]).toEqual(["UNDELIV", "DELIVRD"]);
});

test("what was not acknowledged before a restart is reported again, with what belongs to it", () => {
  const lines = ["DELIVRD a ours-1", "UNDELIV b ours-2", "ack a", "but a", "EXPIRED c ours-3 us", ""];
  expect(unacknowledged(lines.join("\n"))).toEqual([
    { end: "UNDELIV", id: "b", more: ["ours-2"] },
    { end: "EXPIRED", id: "c", more: ["ours-3", "us"] },
  ]);
});
