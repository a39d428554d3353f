// How a message's submits ended, and which move follows from that. Pure; the ledger makes the move, and the
// charging table in core/message.ts says what it costs.

import type { Refusal } from "../core/event-record.ts";
import { MESSAGE_ATTEMPTS_MAX } from "../core/limits.ts";
import { isLate } from "../core/message.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { retryInMs } from "../core/retries.ts";
import type { Change, ReportedSubmit } from "../ledger/move.ts";
import type { Answer } from "../operators/connectors/connector.ts";
import { submitIdKey } from "../operators/reports/matching.ts";
import type { ReportTerms } from "../operators/reports/report.ts";

/**
 * `refusals`: the operators that were asked before and refused, in order; absent if none did. `lostAt`: those
 * that refused it and may report on it all the same, and, if it was submitted to two operators, those whose
 * answer was lost.
 */
export type Outcome = Ended & { refusals?: readonly Refusal[]; lostAt?: readonly string[] };
type Ended =
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
  /** Its time was over before an operator was asked, or while it waited for the next one. */
  | { kind: "expired"; reason: string }
  /**
   * Submitted, but the answer is lost: the operator may have it, so it is not submitted again. null: it was,
   * because its customer wants that, and either of two operators may have it.
   */
  | {
      kind: "unknown";
      operator: string | null;
      reason: string;
      /** The operator's id for each submit that it named all the same; "" where it didn't. */
      operatorMessageIds?: readonly string[];
      reported?: readonly ReportedSubmit[];
    };

/** The outcome of a submit to one operator, from its answer. */
export function outcomeOf(operator: string, answer: Answer, atMs: number): Outcome {
  switch (answer.kind) {
    case "accepted":
      return { kind: "accepted", operator, operatorMessageIds: answer.operatorMessageIds, atMs };
    case "lost": {
      const { operatorMessageIds } = answer;
      const taken = operatorMessageIds === undefined ? {} : { operatorMessageIds };
      return { kind: "unknown", operator, reason: `${operator}: ${answer.reason}`, ...taken };
    }
    case "refused": {
      const { permanent, reason, mayReport = false } = answer;
      const lostAt = mayReport ? { lostAt: [operator] } : {};
      return { kind: "refused", permanent, reason: `${operator}: ${reason}`, ...lostAt };
    }
    case "not-connected":
      return { kind: "refused", permanent: false, reason: `${operator}: ${answer.reason}` };
  }
}

/**
 * Adds the submits of a message on which its operator will report by its own id: all that it has taken,
 * unless its terms say that only the first or the last part is reported. Nothing names the others then, but
 * while one's answer is lost they count: a report on that part doesn't prove that the operator has them all.
 * None if it names our id, or sends no reports.
 */
export function withReported(
  outcome: Outcome,
  termsOf: (operator: string) => ReportTerms | null | undefined,
): Outcome {
  if (outcome.kind !== "accepted" && outcome.kind !== "unknown") return outcome;
  const { operator, operatorMessageIds: ids = [] } = outcome;
  if (operator === null || ids.length === 0) return outcome;
  const terms = termsOf(operator);
  if (terms == null || terms.echoesId) return outcome;
  const { receiptParts = "each", idForm } = terms;
  const one = receiptParts === "first" ? ids.slice(0, 1) : ids.slice(-1);
  const others = outcome.kind === "unknown" && ids.includes("") ? ids.slice(1).map(() => "") : [];
  const reported = (receiptParts === "each" ? ids : [...one, ...others]).map((id) => ({
    idKey: id === "" ? "" : submitIdKey(id, idForm),
    operatorMessageId: id,
  }));
  return { ...outcome, reported };
}

type Unknown = Extract<Outcome, { kind: "unknown" }>;

/**
 * The outcome of a message that was submitted once more after its answer was lost: taken if it was taken now.
 * Otherwise it is still unknown whether the first operator has it, and the second one too if its answer was
 * lost as well.
 */
export function afterLost(lost: Unknown, again: Outcome): Outcome {
  const operatorsOf = (outcomes: readonly Unknown[]) =>
    outcomes.flatMap(({ operator }) => (operator === null ? [] : [operator]));
  if (again.kind === "accepted") return { ...again, lostAt: operatorsOf([lost]) };
  if (again.kind !== "unknown") return lost;
  const reason = `${lost.reason}; ${again.reason}`;
  return { kind: "unknown", operator: null, reason, lostAt: operatorsOf([lost, again]) };
}

/**
 * When outcomes are settled, and how much of their jitter retries get, from 0 to 1. What is settled together
 * shares it, so that what was refused together is one outbox row. `claimedAtMs`: when they were claimed.
 */
export type Moment = { nowMs: number; jitter: number; claimedAtMs?: number };

/** The change that this outcome makes of a message in `sending`. */
export function changeOf(
  record: LaneRecord,
  outcome: Outcome,
  { nowMs, jitter, claimedAtMs }: Moment,
): Change {
  const { refusals, lostAt } = outcome;
  const none = {
    record,
    from: "sending",
    takenAtMs: null,
    operator: null,
    operatorMessageIds: [],
    ...(refusals === undefined ? {} : { refusals }),
    ...(lostAt === undefined ? {} : { lostAt }),
    ...(claimedAtMs === undefined ? {} : { claimedAtMs }),
  } as const;
  switch (outcome.kind) {
    case "accepted": {
      const { operator, operatorMessageIds, reported, atMs: takenAtMs } = outcome;
      const reason = isLate(record, takenAtMs) ? "taken after guaranteed_by" : null;
      const submits = reported === undefined ? {} : { reported };
      return { ...none, to: "sent", takenAtMs, operator, operatorMessageIds, ...submits, reason };
    }
    case "refused": {
      const { permanent, reason } = outcome;
      if (permanent || record.attempt + 1 >= MESSAGE_ATTEMPTS_MAX) return { ...none, to: "failed", reason };
      const inMs = retryInMs(record, nowMs, jitter);
      return inMs === null
        ? { ...none, to: "expired", reason }
        : { ...none, to: "queued", reason, retryInMs: inMs };
    }
    case "expired":
      return { ...none, to: "expired", reason: outcome.reason };
    case "unknown": {
      const { operator, reason, operatorMessageIds = [], reported } = outcome;
      const submits = reported === undefined ? {} : { reported };
      return { ...none, to: "unknown", operator, operatorMessageIds, ...submits, reason };
    }
  }
}
