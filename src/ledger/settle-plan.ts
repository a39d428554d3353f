// What changes of status amount to, before any SQL: which of them still hold against the rows as they are,
// and what they write: entries, wallet moves, status rows, retries, messages that wait for an answer.
// Pure: no clock, no ids, no statements; settle.ts reads the rows and writes a plan.
// Invariants: only moves the machine allows; one closing entry per message that moves money, of its whole
// cost. Bound: the caller's, CLAIM_ROWS_MAX changes.

import assert from "node:assert/strict";
import { canMove, lateSequence, outcomeSequence, type Status } from "../core/message.ts";
import type { LedgerRow, StatusRow } from "../core/event-record.ts";
import type { LaneRecord } from "../core/lane-record.ts";

export type Change = {
  record: LaneRecord;
  from: Status;
  to: Status;
  money: "capture" | "refund" | null;
  operator: string | null;
  operatorMessageId: string | null;
  /** Kept in messages.last_error: printable ASCII, cut at 100 characters. */
  reason: string | null;
};

/** What settling takes from `reserved`, and gives back to the balance, in minor units. */
export type WalletMove = { customerId: number; reserved: number; balance: number };
export type Plan = {
  /** Changes that share a statement: the same statuses and attempt, which also is what the rows must have. */
  groups: Change[][];
  statuses: StatusRow[];
  entries: LedgerRow[];
  /** In customer_id order, the order of locks. */
  wallets: WalletMove[];
  /** Records of the next attempt, for the outbox. */
  retries: LaneRecord[];
  /** Messages whose answer is lost: they get a claim of their own, with their time limit. */
  unknown: LaneRecord[];
};

/** Everything these changes write. Asserts that each is a move of the machine. */
export function planOf(changes: readonly Change[], nowMs: number): Plan {
  const plan: Plan = {
    groups: [...Map.groupBy(changes, (c) => `${c.from} ${c.to} ${c.record.attempt}`).values()],
    statuses: [],
    entries: [],
    wallets: [],
    retries: [],
    unknown: [],
  };
  const wallets = new Map<number, WalletMove>();
  for (const change of changes) {
    assert(canMove(change.from, change.to), `${change.from} never becomes ${change.to}`);
    plan.statuses.push(statusRow(change, nowMs));
    if (change.to === "queued") plan.retries.push({ ...change.record, attempt: nextAttempt(change) });
    if (change.to === "unknown") plan.unknown.push(change.record);
    if (change.money === null) continue;
    const { id, customerId, cost } = change.record;
    plan.entries.push({
      entryId: id,
      leg: "close",
      op: change.money,
      customerId,
      amount: cost,
      createdAtMs: nowMs,
    });
    let move = wallets.get(customerId);
    if (move === undefined) wallets.set(customerId, (move = { customerId, reserved: 0, balance: 0 }));
    move.reserved += cost;
    if (change.money === "refund") move.balance += cost;
  }
  plan.wallets = [...wallets.values()].sort((a, b) => a.customerId - b.customerId);
  return plan;
}

export type MessageKey = { id: string; status: Status; attempt: number };

/**
 * Which of the changes still hold against the rows, read under lock. A row that moved on keeps what it has,
 * unless it became `unknown` meanwhile: then the outcome counts as late.
 */
export function holdingChanges(
  changes: readonly Change[],
  present: ReadonlyMap<string, MessageKey>,
): Change[] {
  return changes.flatMap((change) => {
    const row = present.get(change.record.id);
    if (row === undefined || row.attempt !== change.record.attempt) return [];
    if (row.status === change.from) return [change];
    const late = row.status === "unknown" ? asLate(change) : null;
    return late === null ? [] : [late];
  });
}

/**
 * An outcome that comes after its claim expired counts as a report on an `unknown` message: taken is
 * captured; not taken by anyone is certain too, and ends it, because `unknown` never goes back to `queued`.
 * "Unknown" adds nothing.
 */
export function asLate(change: Change): Change | null {
  if (change.to === "unknown") return null;
  const from = "unknown" as const;
  return change.to === "queued" ? { ...change, from, to: "failed", money: "refund" } : { ...change, from };
}

/** What the end of a claim makes of a message: its sender was lost, or the wait for an answer is over. */
export function expiredChange(record: LaneRecord, kind: "sending" | "unknown"): Change {
  return kind === "unknown"
    ? endedChange(record, "unknown", "no answer within the time limit")
    : { ...endedChange(record, "sending", "the sender was lost"), to: "unknown", money: null };
}

/** A message that ends unsent, and is refunded. */
export function endedChange(record: LaneRecord, from: Status, reason: string): Change {
  return {
    record,
    from,
    to: "failed",
    money: "refund",
    operator: null,
    operatorMessageId: null,
    reason,
  };
}

export const nextAttempt = ({ record, to }: Change): number => record.attempt + (to === "queued" ? 1 : 0);
export const nextSequence = ({ record, from }: Change): number =>
  from === "unknown" ? lateSequence(record.attempt) : outcomeSequence(record.attempt);

function statusRow(change: Change, nowMs: number): StatusRow {
  const { record } = change;
  return {
    id: record.id,
    customerId: record.customerId,
    phone: record.phone,
    lane: record.lane,
    status: change.to,
    parts: record.parts,
    cost: record.cost,
    reference: record.reference,
    operator: change.operator,
    operatorMessageId: change.operatorMessageId,
    attempt: nextAttempt(change),
    sequence: nextSequence(change),
    createdAtMs: record.createdAtMs,
    updatedAtMs: nowMs,
  };
}
