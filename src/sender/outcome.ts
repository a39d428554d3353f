// How a message's submits ended, and what that makes of it: status, money, next attempt. Pure; the ledger
// stores it.
// product.md, "Charging", is the table this follows.

import assert from "node:assert/strict";
import { MESSAGE_ATTEMPTS_MAX, RETRY_DELAY_MAX_MS } from "../core/limits.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { Change } from "../ledger/settle-plan.ts";

export type Outcome =
  | { kind: "accepted"; operator: string; operatorMessageId: string; atMs: number }
  /** Nobody took it. Permanent: every operator asked said that it never will. */
  | { kind: "refused"; permanent: boolean; reason: string }
  /** It was submitted and the answer is lost: it may have been taken, so it is never submitted again. */
  | { kind: "unknown"; operator: string; reason: string };

// Retries back off while the cause passes; express retries sooner, its promise is in seconds.
const RETRY_NORMAL_MS = [1_000, 4_000, 16_000, 60_000];
const RETRY_EXPRESS_MS = [300, 1_000, 3_000, 10_000];
assert(
  Math.max(...RETRY_NORMAL_MS, ...RETRY_EXPRESS_MS) <= RETRY_DELAY_MAX_MS,
  "the sweep knows how long a message may wait",
);

export function retryDelayMs(lane: LaneRecord["lane"], attempt: number): number {
  const delays = lane === "express" ? RETRY_EXPRESS_MS : RETRY_NORMAL_MS;
  return delays[Math.min(attempt, delays.length - 1)] as number;
}

/** What a message in `sending` becomes. */
export function changeOf(record: LaneRecord, outcome: Outcome): Change {
  const base = { record, from: "sending" as const, operator: null, operatorMessageId: null, reason: null };
  switch (outcome.kind) {
    case "accepted": {
      const { operator, operatorMessageId, atMs } = outcome;
      const isLate = record.guaranteedByMs !== null && atMs > record.guaranteedByMs;
      const reason = isLate ? "taken after guaranteed_by" : null;
      return {
        ...base,
        to: "sent",
        money: isLate ? "refund" : "capture",
        operator,
        operatorMessageId,
        reason,
      };
    }
    case "refused": {
      const ends = outcome.permanent || record.attempt + 1 >= MESSAGE_ATTEMPTS_MAX;
      return {
        ...base,
        to: ends ? "failed" : "queued",
        money: ends ? "refund" : null,
        reason: outcome.reason,
      };
    }
    case "unknown":
      return { ...base, to: "unknown", money: null, operator: outcome.operator, reason: outcome.reason };
  }
}
