// The queue in front of the database, and the loops that empty it. When a commit connection is free and the
// pace (commit-pace.ts) allows it, the connection takes what is queued, up to COMMIT_ROWS_MAX messages, by
// customers in turn if there are more (fair-queue.ts). With nothing else queued, a message commits alone. The
// messages of one request are one item and share a transaction. Items of more than APART_ROWS messages share
// larger transactions with each other only; these leave a connection to the others, or, if there is only one,
// take turns with them (decision 0016).
// Invariants: a caller is answered only when the outcome of its batch is certain, or is told that it is
// unknown; an item whose caller is gone when a transaction begins is not part of that transaction; no item is
// ever split.
// Bound: the places that admission.ts gives, QUEUE_ROWS_MAX at most.
// Crash points: before COMMIT nothing is stored and nobody was answered; after it the outbox row makes sure
// that the message is sent, whatever happens to this process.

import { CallerGoneError, type IsGone } from "../core/caller.ts";
import { SluiceError } from "../core/errors.ts";
import { BATCH_MESSAGES_MAX } from "../core/batch-limits.ts";
import { COMMIT_ROWS_MAX, COMMIT_WAIT_MAX_MS } from "../core/limits.ts";
import type { LaneRecord } from "../core/lane-record.ts";
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
import { type Admission, createAdmission, type Room } from "./admission.ts";
import { createCommitPace } from "./commit-pace.ts";
import { createFairQueue } from "./fair-queue.ts";
import type { LeaseBook } from "./lease-book.ts";
import type { Lease, Reservation } from "./lease-table.ts";

/** What one request stores: a message, and, for a batch, the others of it. */
type Item = {
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

/** Places are taken first; those of messages that won't be stored are given back. */
export type GroupCommit = Pick<Admission, "admit" | "leave" | "admitted"> &
  Room & {
    /**
     * Resolves after the commit that stores the message, and its idempotency key and one-time code if it has
     * them. `others` of the same customer are stored by the same commit; the reservation is for all of them,
     * null if nothing is reserved for them yet.
     * @throws SluiceError unavailable, outcome_unknown; KeyTakenError; CallerGoneError
     */
    store(
      record: LaneRecord,
      reservation: Reservation | null,
      key: KeyClaim | null,
      isGone: IsGone,
      others?: readonly LaneRecord[],
      otp?: NewOtp,
    ): Promise<void>;
    /** Resolves when everything admitted has been answered. */
    drained(): Promise<void>;
  };

export type CommitCounts = { commits_total: number; accepted_total: number; in_doubt_total: number };
export type GroupCommitDeps = {
  store: AcceptStore;
  book: LeaseBook;
  counts: CommitCounts;
  timers: Timers;
  log: Log;
};
export type GroupCommitOptions = {
  connections: number;
  nodeId: string;
  now: () => number;
};

/** Of items of more messages too few fit into a commit. An item has BATCH_MESSAGES_MAX at most. */
const APART_ROWS = COMMIT_ROWS_MAX / 4;

const NO_OTHERS: readonly LaneRecord[] = [];
const NO_OTPS: readonly NewOtp[] = [];

export function createGroupCommit(
  { store, book, counts, timers, log }: GroupCommitDeps,
  { connections, nodeId, now }: GroupCommitOptions,
): GroupCommit {
  const queue = createFairQueue<Item>(COMMIT_ROWS_MAX);
  /** Items of more than APART_ROWS messages. */
  const large = createFairQueue<Item>(BATCH_MESSAGES_MAX);
  const largeMax = Math.max(1, connections - 1);
  let running = 0;
  let runningLarge = 0;
  let isLargeSoon = false;
  // A batch begins soon, in the next turns of the event loop, or after a linger; otherwise none is planned.
  let isSoon = false;
  let linger: object | null = null;
  const pace = createCommitPace(() => timers.monotonicMs());
  const { answered, ...places } = createAdmission(() => timers.monotonicMs());
  const { leave, admitted } = places;

  const wake = () => {
    if (running >= connections || isSoon) return;
    if (linger !== null && pace.waitMs(queue.rows()) > 0) return;
    linger = null;
    isSoon = true;
    // Requests parsed in this turn of the event loop join the same batch. The following turn shows which of
    // those connections have ended: Bun reports a connection's bytes first and its end after them.
    timers.soon(() => timers.soon(take));
  };

  // wake() found a message and a free connection, and plans only one take at a time, so the message is still
  // there. If a large item has the connection by now, its end wakes the queue again.
  const take = () => {
    isSoon = false;
    if (running >= connections) {
      linger = null;
      return;
    }
    const waitMs = pace.waitMs(queue.rows());
    if (waitMs > 0) {
      const mine = (linger = {});
      timers.after(waitMs, () => {
        if (linger === mine) take();
      });
      return;
    }
    linger = null;
    void run();
    if (queue.rows() > 0) wake();
  };

  const run = async () => {
    running++;
    const items = queue.take();
    const rows = rowsOf(items);
    const ended = pace.begin(rows);
    await commit(items);
    ended();
    const sinceMs = items.reduce((oldest, item) => Math.min(oldest, item.sinceMs), Number.POSITIVE_INFINITY);
    answered(rows, timers.monotonicMs() - sinceMs);
    running--;
    wakeLarge();
    if (queue.rows() > 0) wake();
  };

  const wakeLarge = () => {
    if (large.rows() === 0 || isLargeSoon || runningLarge >= largeMax || running >= connections) return;
    isLargeSoon = true;
    timers.soon(() => timers.soon(takeLarge));
  };
  const takeLarge = () => {
    isLargeSoon = false;
    if (running >= connections) return; // the end of a commit wakes them again
    void runLarge();
    wakeLarge();
  };
  // The pace and the admission don't see these: they say nothing about how long the others wait.
  const runLarge = async () => {
    running++;
    runningLarge++;
    await commit(large.take());
    runningLarge--;
    running--;
    if (queue.rows() > 0) wake();
    wakeLarge();
  };

  /**
   * Stores and answers all of them. Credit of what wasn't stored is returned, or its lease dropped, first.
   */
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

  return {
    ...places,
    store: (record, reservation, key, isGone, others = NO_OTHERS, otp) =>
      new Promise((resolve, reject) => {
        const sinceMs = timers.monotonicMs();
        const item = { record, others, reservation, key, otp, isGone, sinceMs, resolve, reject };
        if (others.length >= APART_ROWS) {
          large.push(item);
          wakeLarge();
        } else {
          queue.push(item);
          wake();
        }
      }),
    async drained() {
      while (admitted() > 0) await timers.sleep(5);
    },
  };
}

/** How many messages these items have. */
function rowsOf(items: readonly Item[]): number {
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
