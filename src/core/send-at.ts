// When a message is to be sent, as its customer says it: the bounds of `send_at`. Pure. Leaves to others how
// a message waits until then (src/ledger/schedule.ts).

import { SCHEDULE_AHEAD_MS, SCHEDULE_PAST_MS } from "./schedule-limits.ts";
import { timeOf } from "./time.ts";

/** `atMs`: Unix milliseconds after `nowMs`; null: at once. `reason`: why it is refused. */
export type SendAt = { atMs: number | null } | { reason: string };

/** `acceptedMs`: when the message was accepted; now, unless it was before. */
export function sendAtOf(text: string, nowMs: number, acceptedMs = nowMs): SendAt {
  const atMs = timeOf(text);
  if (atMs === null) return { reason: "must be a time that exists, from 1970 on, by RFC 3339" };
  return sendAtIn(atMs, nowMs, acceptedMs);
}

/** The same of a time that was read. */
export function sendAtIn(atMs: number, nowMs: number, acceptedMs = nowMs): SendAt {
  if (atMs > acceptedMs + SCHEDULE_AHEAD_MS)
    return { reason: `must be at most ${SCHEDULE_AHEAD_MS / 86_400_000} days after the message is accepted` };
  if (atMs > nowMs) return { atMs };
  if (atMs >= nowMs - SCHEDULE_PAST_MS) return { atMs: null };
  return { reason: `is over by more than ${SCHEDULE_PAST_MS / 1_000} s` };
}
