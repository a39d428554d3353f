// When a message that was refused for now is tried again, and until when. The delays double from attempt to
// attempt, with jitter, so that what was refused together doesn't come back together.
// Leaves to others: what counts as refused (the senders), the row that waits (the ledger).
// Invariants: no delay is longer than `retryDelayMaxMs` says, which is how the sweep knows what may still
// wait; no attempt is planned for a time at which its message is over. Bound: RETRY_DELAY_MAX_MS.

import { type LaneRecord, wantedAtMs } from "./lane-record.ts";
import { RETRY_DELAY_MAX_MS, SUBMIT_TIMEOUT_MS, VALID_FOR_MS } from "./limits.ts";
import type { Lane } from "./message.ts";

type Timed = Pick<
  LaneRecord,
  "lane" | "attempt" | "createdAtMs" | "sendAtMs" | "guaranteedByMs" | "validUntilMs"
>;

/** Express starts sooner, because its promise is in seconds. */
const FIRST_MS: Record<Lane, number> = { normal: 1_000, express: 300 };
const MOST_MS: Record<Lane, number> = { normal: RETRY_DELAY_MAX_MS, express: 10_000 };
/**
 * No attempt begins later than this before the end: it has to be claimed and submitted by then, and no submit
 * of express begins within SUBMIT_TIMEOUT_MS of its promise (src/sender/dispatch.ts).
 */
const LAST_MS: Record<Lane, number> = { normal: 10_000, express: 1_000 + SUBMIT_TIMEOUT_MS };
/** The last attempt comes early, but no sooner than this. */
const SOONEST_MS: Record<Lane, number> = { normal: 10_000, express: 1_000 };

/** Until when a message may be sent, and operators may try to deliver it. */
export function validUntilOf(message: Pick<Timed, "createdAtMs" | "sendAtMs" | "validUntilMs">): number {
  return message.validUntilMs ?? wantedAtMs(message) + VALID_FOR_MS;
}

/**
 * The last moment at which a connector may begin a submit: one of express has to be able to time out before
 * its promise. Infinite for a normal message, which dispatch alone begins or ends.
 */
export function submitByOf({ guaranteedByMs }: Pick<Timed, "guaranteedByMs">): number {
  return guaranteedByMs === null ? Number.POSITIVE_INFINITY : guaranteedByMs - SUBMIT_TIMEOUT_MS;
}

/** The longest delay before a message's attempt (0-based): 0 before the first. */
export function retryDelayMaxMs(lane: Lane, attempt: number): number {
  return attempt === 0 ? 0 : Math.min(MOST_MS[lane], FIRST_MS[lane] * 2 ** (attempt - 1));
}

/**
 * How long after a refusal at `nowMs` the message's next attempt begins; null: none fits before its time is
 * over, which for express is its promise. `random`: from 0 to 1; the delay is between half and all of
 * `retryDelayMaxMs`, or what leaves room for one last attempt.
 */
export function retryInMs(message: Timed, nowMs: number, random: number): number | null {
  const { lane, attempt, guaranteedByMs } = message;
  const leftMs = Math.min(validUntilOf(message), guaranteedByMs ?? Number.POSITIVE_INFINITY) - nowMs;
  const wantedMs = Math.round((retryDelayMaxMs(lane, attempt + 1) * (1 + random)) / 2);
  const lastMs = leftMs - LAST_MS[lane];
  if (wantedMs <= lastMs) return wantedMs;
  return lastMs > SOONEST_MS[lane] ? lastMs : null;
}
