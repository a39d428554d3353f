// Decides what a settlement writes, before any SQL: which changes still apply to the rows as they are, and
// the resulting entries, wallet changes, events, queued records and messages that wait for an answer.
// Pure: no clock, no ids, no statements; settle.ts reads the rows and writes a plan.
// Invariant: one closing entry, of the whole cost, for each message that the charging table of
// core/message.ts charges or refunds; none for one of which nothing is reserved. Bound: the caller's,
// CLAIM_ROWS_MAX changes.

import {
  attemptAfter,
  type Charge,
  chargeOf,
  chargeOfUnreserved,
  isLate,
  type Status,
  eventStatus,
} from "../core/message.ts";
import type { StatusRow } from "../core/event-record.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { type Entry, entryOf, type WalletChange, walletChanges } from "../core/ledger.ts";
import type { ChangeEvent } from "../core/webhook-event.ts";
import { ANY_OPERATOR, type Change, lastError, statusRow } from "./move.ts";
import { webhookEventsOf } from "./webhook-events.ts";

export type Plan = {
  /** Changes that share a statement: the same move from the same attempt. */
  groups: Change[][];
  statuses: StatusRow[];
  /** Those of the changes that their customers want to be told. */
  told: ChangeEvent[];
  entries: Entry[];
  wallets: WalletChange[];
  /** Records of those that become queued, to be put into the outbox, and how long each has to wait there. */
  queued: { record: LaneRecord; inMs: number }[];
  /** Messages whose answer was lost: they get a claim of their own with a longer time limit. */
  unknown: LaneRecord[];
};

/**
 * Everything these changes write. move.ts asserts, when it writes them, that each is a move of the machine.
 */
export function planOf(changes: readonly Change[], nowMs: number): Plan {
  const plan: Plan = {
    groups: [...Map.groupBy(changes, (c) => `${c.from} ${c.to} ${c.record.attempt}`).values()],
    statuses: [],
    told: [],
    entries: [],
    wallets: [],
    queued: [],
    unknown: [],
  };
  for (const change of changes) {
    const { record, to } = change;
    const attempt = attemptAfter(change, record.attempt);
    if (eventStatus(to) === to) {
      const row = statusRow(record, { to, attempt, atMs: nowMs }, change);
      plan.statuses.push(row);
      plan.told.push(...webhookEventsOf(record, row, lastError(change)));
    }
    if (to === "queued") plan.queued.push({ record: { ...record, attempt }, inMs: change.retryInMs ?? 0 });
    if (to === "unknown") plan.unknown.push(record);
    const charge = chargeOfChange(change);
    if (charge !== null) plan.entries.push(entryOf(record.id, charge, record.customerId, record.cost, nowMs));
  }
  plan.wallets = walletChanges(plan.entries);
  return plan;
}

/** What a change does with its message's money, by the charging table alone. */
export const chargeOfChange = (change: Change): Charge | null =>
  change.record.unreserved === true
    ? chargeOfUnreserved(change)
    : chargeOf(change, isLate(change.record, change.takenAtMs));

export type MessageKey = { id: string; status: Status; attempt: number };

/**
 * The changes that still apply to the rows, which were read under lock. A row that has moved on stays as it
 * is, unless it became `unknown` in the meantime: then the outcome resolves it.
 */
export function applicableChanges(
  changes: readonly Change[],
  present: ReadonlyMap<string, MessageKey>,
): Change[] {
  return changes.flatMap((change) => {
    const row = present.get(change.record.id);
    if (row === undefined || row.attempt !== change.record.attempt) return [];
    if (row.status === change.from) return [change];
    const news = row.status === "unknown" ? afterUnknown(change) : null;
    return news === null ? [] : [news];
  });
}

/**
 * An outcome that comes after its claim expired counts as a report on an `unknown` message. If an operator
 * accepted the message, it is captured; if certainly none did, that fails it, because `unknown` never goes
 * back to `queued`. An outcome of `unknown` adds nothing.
 */
export function afterUnknown(change: Change): Change | null {
  if (change.to === "unknown") return null;
  const isUntaken = change.to === "queued" || change.to === "expired";
  return { ...change, from: "unknown", to: isUntaken ? "failed" : change.to };
}

/**
 * The reports that settle an `unknown` message, one for each, and the ids of messages that are still being
 * sent: their own outcome comes first.
 */
export function reportedChanges(
  reports: readonly Change[],
  present: ReadonlyMap<string, MessageKey>,
): [settled: Change[], early: Set<string>] {
  const settled = new Map<string, Change>();
  const early = new Set<string>();
  for (const report of reports) {
    const { id, attempt } = report.record;
    const row = present.get(id);
    if (row === undefined || row.attempt !== attempt) continue;
    const change = row.status === "unknown" ? afterUnknown(report) : null;
    if (row.status === "sending") early.add(id);
    else if (change !== null && !settled.has(id)) settled.set(id, change);
  }
  return [[...settled.values()], early];
}

/**
 * The change that the end of a claim makes: its sender was lost, or the wait for an answer is over.
 * `operator`: who may have it all the same, null if nobody knows.
 */
export function expiredChange(
  record: LaneRecord,
  kind: "sending" | "unknown",
  operator: string | null,
): Change {
  if (kind === "sending") return changeTo("unknown", record, "sending", "the sender was lost");
  const failed = changeTo("failed", record, "unknown", "no answer within the time limit");
  return { ...failed, lostAt: [operator ?? ANY_OPERATOR] };
}

/** A move in which no operator takes part. */
export function changeTo(to: Status, record: LaneRecord, from: Status, reason: string | null): Change {
  return { record, from, to, takenAtMs: null, operator: null, operatorMessageIds: [], reason };
}
