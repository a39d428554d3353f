// How a message's submits ended, and which move follows from that. Pure; the ledger makes the move, and the
// charging table in core/message.ts says what it costs.

import assert from "node:assert/strict";
import { MESSAGE_ATTEMPTS_MAX, RETRY_DELAY_MAX_MS } from "../core/limits.ts";
import { isLate } from "../core/message.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { Change, ReportedSubmit } from "../ledger/move.ts";
import type { Answer } from "../operators/connectors/connector.ts";
import { submitIdKey } from "../operators/reports/matching.ts";
import type { ReportTerms } from "../operators/reports/report.ts";

export type Outcome =
  | {
      kind: "accepted";
      operator: string;
      operatorMessageIds: readonly string[];
      /** The submits on which it will report by its own id; absent if its reports name ours. */
      reported?: readonly ReportedSubmit[];
      atMs: number;
    }
  /** No operator accepted it. Permanent: every operator asked refused it for good. */
  | { kind: "refused"; permanent: boolean; reason: string }
  /** Submitted, but the answer is lost: an operator may have it, so it is never submitted again. */
  | { kind: "unknown"; operator: string; reason: string };

/** The outcome of a submit to one operator, from its answer. */
export function outcomeOf(operator: string, answer: Answer, atMs: number): Outcome {
  switch (answer.kind) {
    case "accepted":
      return { kind: "accepted", operator, operatorMessageIds: answer.operatorMessageIds, atMs };
    case "lost":
      return { kind: "unknown", operator, reason: `${operator}: ${answer.reason}` };
    case "refused":
      return { kind: "refused", permanent: answer.permanent, reason: `${operator}: ${answer.reason}` };
    case "not-connected":
      return { kind: "refused", permanent: false, reason: `${operator}: ${answer.reason}` };
  }
}

/**
 * Adds the submits of a message on which its operator will report by its own id: all of them, unless its
 * terms say that only the first or the last part is reported. None if it names our id, or sends no reports.
 */
export function withReported(
  outcome: Outcome,
  termsOf: (operator: string) => ReportTerms | null | undefined,
): Outcome {
  const terms = outcome.kind === "accepted" ? termsOf(outcome.operator) : null;
  if (outcome.kind !== "accepted" || terms == null || terms.echoesId) return outcome;
  const { operatorMessageIds: ids } = outcome;
  const { receiptParts = "each", idForm } = terms;
  const of = receiptParts === "each" ? ids : receiptParts === "first" ? ids.slice(0, 1) : ids.slice(-1);
  const reported = of.map((id) => ({
    idKey: id === "" ? "" : submitIdKey(id, idForm),
    operatorMessageId: id,
  }));
  return { ...outcome, reported };
}

// Retries back off until the cause has passed; express retries sooner, because its promise is in seconds.
const RETRY_NORMAL_MS = [1_000, 4_000, 16_000, 60_000];
const RETRY_EXPRESS_MS = [300, 1_000, 3_000, 10_000];
assert(
  Math.max(...RETRY_NORMAL_MS, ...RETRY_EXPRESS_MS) <= RETRY_DELAY_MAX_MS,
  "the sweep knows how long a message may wait",
);

/** The delay before the next attempt, in milliseconds, after the failed `attempt` (0-based). */
export function retryDelayMs(lane: LaneRecord["lane"], attempt: number): number {
  const delays = lane === "express" ? RETRY_EXPRESS_MS : RETRY_NORMAL_MS;
  return delays[Math.min(attempt, delays.length - 1)] as number;
}

/** The change that this outcome makes of a message in `sending`. */
export function changeOf(record: LaneRecord, outcome: Outcome): Change {
  const none = { record, from: "sending", takenAtMs: null, operator: null, operatorMessageIds: [] } as const;
  switch (outcome.kind) {
    case "accepted": {
      const { operator, operatorMessageIds, reported, atMs: takenAtMs } = outcome;
      const reason = isLate(record, takenAtMs) ? "taken after guaranteed_by" : null;
      const submits = reported === undefined ? {} : { reported };
      return { ...none, to: "sent", takenAtMs, operator, operatorMessageIds, ...submits, reason };
    }
    case "refused": {
      const ends = outcome.permanent || record.attempt + 1 >= MESSAGE_ATTEMPTS_MAX;
      return { ...none, to: ends ? "failed" : "queued", reason: outcome.reason };
    }
    case "unknown":
      return { ...none, to: "unknown", operator: outcome.operator, reason: outcome.reason };
  }
}
