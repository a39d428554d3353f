// One transaction for the items that a group commit took, until its outcome is certain: repeats it, looks up
// what is in doubt, leaves out whose caller, lease or key is gone, halves what the database refuses. Owns the
// credit and the answers of its items; leaves which items share a transaction, and when it begins, to
// group-commit.ts.
// Invariants: a caller is answered only when the outcome is certain, or is told that it is unknown; an item
// whose caller is gone when a transaction begins is not part of that transaction; no item is ever split.
// Credit of what wasn't stored is returned, or its lease dropped, before its caller is answered.
// Bound: COMMIT_WAIT_MAX_MS, and what the database then takes to answer.
// Crash points: before COMMIT nothing is stored and nobody was answered; after it the outbox row makes sure
// that the message is sent, whatever happens to this process.

import { CallerGoneError, type IsGone } from "../core/caller.ts";
import { SluiceError } from "../core/errors.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { COMMIT_WAIT_MAX_MS } from "../core/limits.ts";
import {
  type AcceptStore,
  type CommitBatch,
  CommitInDoubtError,
  FencedError,
  type Spend,
} from "../ledger/accept.ts";
import { type KeyClaim, KeyTakenError } from "../ledger/idempotency.ts";
import type { NewOtp } from "../ledger/otps.ts";
import type { Log } from "../platform/log.ts";
import { isConnectionLost, isDataError, isRetryable } from "../platform/mysql-errors.ts";
import { backoffMs } from "../platform/retry.ts";
import type { Timers } from "../platform/timers.ts";
import type { LeaseBook } from "./lease-book.ts";
import type { Lease, Reservation } from "./lease-table.ts";

/** What one request stores: a message, and, for a batch, the others of it. */
export type Item = {
  record: LaneRecord;
  others: readonly LaneRecord[];
  reservation: Reservation | null;
  key: KeyClaim | null;
  otp: NewOtp | undefined;
  isGone: IsGone;
  /** Since when it is queued, by the monotonic clock. */
  sinceMs: number;
  resolve: () => void;
  reject: (error: Error) => void;
};

export type CommitCounts = Record<
  "commits_total" | "accepted_total" | "stored_with_grant_total" | "in_doubt_total",
  number
>;
export type CommitDeps = {
  store: AcceptStore;
  book: Pick<LeaseBook, "committed" | "giveBack" | "lost">;
  counts: CommitCounts;
  timers: Timers;
  log: Log;
};
export type CommitOptions = {
  nodeId: string;
  now: () => number;
  /** Gives back the places of messages that are answered. */
  leave: (customerId: number, messages: number) => void;
};

const NO_OTPS: readonly NewOtp[] = [];

/** Returns a function that stores and answers all items it is given; it never rejects. */
export function createCommit(
  { store, book, counts, timers, log }: CommitDeps,
  { nodeId, now, leave }: CommitOptions,
): (items: Item[]) => Promise<void> {
  const commit = async (all: Item[]): Promise<void> => {
    let items = all;
    let batch: CommitBatch | null = null;
    const untilMs = timers.monotonicMs() + COMMIT_WAIT_MAX_MS;
    let inDoubt = false;
    for (let attempt = 1; ; attempt++) {
      try {
        if (inDoubt && batch !== null && (await store.isStored(batch))) break;
        inDoubt = false;
        items = withoutGone(items);
        if (items.length === 0) return;
        batch = batchOf(items);
        await store.accept(batch);
        break;
      } catch (err) {
        if (err instanceof FencedError || err instanceof KeyTakenError) {
          items = err instanceof FencedError ? withoutFenced(items, err) : withoutTaken(items, err);
          continue;
        }
        if (err instanceof CommitInDoubtError) {
          inDoubt = true;
          counts.in_doubt_total++;
        }
        // One message that the database refuses must not fail the others: halve the batch until it is alone.
        if (isDataError(err) && items.length > 1) {
          const half = items.length >> 1;
          await commit(items.slice(0, half));
          return commit(items.slice(half));
        }
        const canRetry = inDoubt || isRetryable(err) || isConnectionLost(err);
        if (!canRetry || timers.monotonicMs() >= untilMs) {
          answer(items, inDoubt ? unknown(items, err) : refused(items, err));
          return;
        }
        log.warn({ err, attempt, in_doubt: inDoubt, rows: rowsOf(items) }, "commit failed; trying again");
        await timers.sleep(backoffMs({ firstMs: 10, mostMs: 500 }, attempt, timers.random));
      }
    }
    counts.commits_total++;
    counts.accepted_total += rowsOf(items);
    for (const { reservation } of items) if (reservation !== null) book.committed(reservation);
    answer(items, null);
  };

  const batchOf = (items: Item[]): CommitBatch => ({
    nodeId,
    records: recordsOf(items),
    spends: spendsOf(items),
    keys: items.flatMap((i) => (i.key === null ? [] : [i.key])),
    otps: otpsOf(items),
    nowMs: now(),
  });

  const answer = (items: Item[], error: Error | null) => {
    for (const item of items) {
      leave(item.record.customerId, 1 + item.others.length);
      if (error === null) item.resolve();
      else item.reject(error);
    }
  };

  const giveBack = (items: Iterable<Item>) => {
    for (const { reservation } of items) if (reservation !== null) book.giveBack(reservation);
  };
  const lose = (items: Iterable<Item>) => {
    for (const { reservation } of items) if (reservation !== null) book.lost(reservation);
  };
  const refused = (items: Item[], cause: unknown): SluiceError => {
    log.error({ err: cause, rows: rowsOf(items) }, "commit given up; nothing was stored");
    giveBack(items);
    return new SluiceError(isDataError(cause) ? "internal" : "unavailable", { cause });
  };
  const unknown = (items: Item[], cause: unknown): SluiceError => {
    log.error({ err: cause, rows: rowsOf(items) }, "outcome of a commit is unknown; dropping its leases");
    lose(items);
    return new SluiceError("outcome_unknown", { cause });
  };
  // Messages of leases that were taken back leave the batch; their callers may try again with a new lease.
  const withoutFenced = (items: Item[], error: FencedError): Item[] => {
    const lost = new Set(error.lost.map((s) => `${s.customerId}:${s.epoch}`));
    const isLost = ({ reservation }: Item) =>
      reservation !== null && lost.has(`${reservation.lease.customerId}:${reservation.lease.epoch}`);
    const out = items.filter(isLost);
    log.warn(
      { leases: error.lost.length, rows: rowsOf(out) },
      "leases were taken back; their messages were not stored",
    );
    lose(out);
    answer(out, new SluiceError("unavailable", { cause: error }));
    return items.filter((item) => !isLost(item));
  };
  // At this moment none of the batch is stored, so messages whose callers are gone can still leave it.
  const withoutGone = (items: Item[]): Item[] => {
    const out = new Set(items.filter((item) => item.isGone()));
    if (out.size === 0) return items;
    giveBack(out);
    answer([...out], new CallerGoneError());
    return items.filter((item) => !out.has(item));
  };
  // Another process has stored the same key in the meantime: its answer applies to these callers too.
  const withoutTaken = (items: Item[], error: KeyTakenError): Item[] => {
    const out = items.filter(({ record }) => error.owners.has(record.id));
    giveBack(out);
    answer(out, error);
    return items.filter(({ record }) => !error.owners.has(record.id));
  };

  return commit;
}

/** How many messages these items have. */
export function rowsOf(items: readonly Item[]): number {
  let rows = items.length;
  for (const { others } of items) rows += others.length;
  return rows;
}

function recordsOf(items: readonly Item[]): LaneRecord[] {
  const records: LaneRecord[] = [];
  for (const { record, others } of items) {
    records.push(record);
    if (others.length > 0) records.push(...others);
  }
  return records;
}

function otpsOf(items: readonly Item[]): readonly NewOtp[] {
  let otps: NewOtp[] | null = null;
  for (const { otp } of items) if (otp !== undefined) (otps ??= []).push(otp);
  return otps ?? NO_OTPS;
}

function spendsOf(items: Item[]): Spend[] {
  const byLease = new Map<Lease, Spend>();
  for (const { reservation } of items) {
    if (reservation === null) continue;
    const { lease, cost } = reservation;
    const spend = byLease.get(lease);
    if (spend === undefined) {
      byLease.set(lease, { customerId: lease.customerId, epoch: lease.epoch, amount: cost });
    } else spend.amount += cost;
  }
  return [...byLease.values()];
}
