// When a message may be sent: the bounds of `send_at`, from both sides.

import { expect, test } from "bun:test";
import { SCHEDULE_AHEAD_MS, SCHEDULE_PAST_MS } from "./schedule-limits.ts";
import { sendAtOf } from "./send-at.ts";
import { timeOf } from "./time.ts";

const NOW_MS = Date.UTC(2026, 0, 31, 6);
const at = (ms: number) => sendAtOf(new Date(ms).toISOString(), NOW_MS);
const reasonOf = (ms: number) => (at(ms) as { reason: string }).reason;

test("a time after now is when the message is sent, in any offset", () => {
  expect(at(NOW_MS + 1)).toEqual({ atMs: NOW_MS + 1 });
  expect(sendAtOf("2026-01-31T10:00:00+03:30", NOW_MS)).toEqual({ atMs: NOW_MS + 1_800_000 });
  expect(sendAtOf("2026-01-31T10:00:00.0001Z", NOW_MS)).toEqual({ atMs: NOW_MS + 4 * 3_600_000 + 1 });
});

test("a time that was reached a moment ago means at once; one that is long over is refused", () => {
  for (const ms of [NOW_MS, NOW_MS - 1, NOW_MS - SCHEDULE_PAST_MS]) expect(at(ms)).toEqual({ atMs: null });
  expect(reasonOf(NOW_MS - SCHEDULE_PAST_MS - 1)).toBe("is over by more than 60 s");
});

test("thirty days after the acceptance is the last time, however late it is asked for", () => {
  expect(at(NOW_MS + SCHEDULE_AHEAD_MS)).toEqual({ atMs: NOW_MS + SCHEDULE_AHEAD_MS });
  expect(reasonOf(NOW_MS + SCHEDULE_AHEAD_MS + 1)).toMatch(/at most 30 days/);
  const accepted = NOW_MS - 86_400_000;
  const last = new Date(accepted + SCHEDULE_AHEAD_MS).toISOString();
  expect(sendAtOf(last, NOW_MS, accepted)).toEqual({ atMs: accepted + SCHEDULE_AHEAD_MS });
  const next = new Date(accepted + SCHEDULE_AHEAD_MS + 1).toISOString();
  expect(sendAtOf(next, NOW_MS, accepted)).toHaveProperty("reason");
});

test("what isn't a time, or has no offset, is refused", () => {
  for (const text of ["", "now", "2026-02-01", "2026-02-01T10:00:00", "2026-02-30T10:00:00Z", "1769925600"]) {
    expect(timeOf(text)).toBeNull();
    expect(sendAtOf(text, NOW_MS)).toHaveProperty("reason");
  }
});
