// When a report is tried again that nothing could be done about.

import { expect, test } from "bun:test";
import { REPORT_TTL_MS } from "../core/limits.ts";
import { againAfterMs } from "./again.ts";

/** The ages at which a report is tried if each try comes so much later than it is due. */
function triesOf(lateMs: number): number[] {
  const ages = [lateMs];
  for (let ageMs = lateMs; ageMs < REPORT_TTL_MS; ages.push(ageMs)) ageMs += againAfterMs(ageMs) + lateMs;
  return ages;
}

test("a report is tried within twice its age, and for the last time when its time is over", () => {
  const tries = triesOf(200);
  for (const [at, ageMs] of tries.entries())
    if (at > 0) expect(ageMs).toBeLessThanOrEqual(2 * (tries[at - 1] as number) + 1_200);
  expect(tries.filter((ageMs) => ageMs < 60_000).length).toBeGreaterThanOrEqual(6);
  expect((tries.at(-1) as number) - REPORT_TTL_MS).toBeLessThanOrEqual(60_000);
  expect(tries.length).toBeLessThanOrEqual(24);
});

test("the later the tries come, the fewer there are", () => {
  const counts = [0, 200, 5_000, 60_000, 3_600_000].map((lateMs) => triesOf(lateMs).length);
  expect(counts).toEqual(counts.toSorted((a, b) => b - a));
  expect(counts.at(-1)).toBeLessThan(10);
});

test("reports of about one age have one delay, also one that came from a clock that is ahead", () => {
  expect(new Set([8_000, 9_123, 15_999].map(againAfterMs))).toEqual(new Set([8_000]));
  expect([-5_000, 0, 1_999].map(againAfterMs)).toEqual([1_000, 1_000, 1_000]);
});
