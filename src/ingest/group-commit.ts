// The queue before the database, and the loops that empty it. Whenever a commit connection
// is free it takes what is queued, up to COMMIT_ROWS_MAX; under load batches grow by themselves, when idle a
// message commits alone.
// Invariant: a caller is answered only when its batch's outcome is certain, or told that it isn't known.
// Bound: QUEUE_ROWS_MAX messages, QUEUE_CUSTOMER_ROWS_MAX of one customer; what is more is refused at once.
// Crash points: before COMMIT nothing is stored and nobody was answered; after it the outbox row carries on
// whatever happens here.

import { SluiceError } from "../core/errors.ts";
import {
  COMMIT_ROWS_MAX,
  COMMIT_WAIT_MAX_MS,
  QUEUE_CUSTOMER_ROWS_MAX,
  QUEUE_ROWS_MAX,
} from "../core/limits.ts";
import type { LaneRecord } from "../core/record.ts";
import {
  acceptBatch,
  type Batch,
  CommitInDoubtError,
  FencedError,
  isStored,
  type Spend,
} from "../ledger/accept.ts";
import type { Log } from "../platform/log.ts";
import { isConnectionLost, isRetryable, type Pool } from "../platform/mysql.ts";
import { backoffMs, sleep } from "../platform/retry.ts";
import type { Lease, LeaseBook } from "./lease-book.ts";

type Item = { record: LaneRecord; lease: Lease; resolve: () => void; reject: (error: Error) => void };

// Fewer, fuller commits while messages keep coming: a commit costs MySQL and this process some 0.5 ms,
// whatever it holds. Alone or among few, a message never waits; a step without a new arrival ends the wait,
// so callers that wait for their answers lose one step.
const GATHER_ROWS_MIN = 8;
const GATHER_STEP_MS = 1;
const GATHER_MAX_MS = 15;

export type GroupCommit = {
  /** @throws SluiceError overloaded, when the queue or the customer's share of it is full */
  admit(customerId: number): void;
  /** A message that was admitted but is not going to be stored. */
  leave(customerId: number): void;
  /** Resolves after the commit that stores it. @throws SluiceError unavailable, outcome_unknown */
  store(record: LaneRecord, lease: Lease): Promise<void>;
  /** Messages admitted and not yet answered. */
  admitted(): number;
  /** Resolves when all that was admitted is answered. */
  drained(): Promise<void>;
};

export type CommitCounts = { commits_total: number; accepted_total: number; in_doubt_total: number };
export type GroupCommitOptions = {
  connections: number;
  nodeId: string;
  now: () => number;
  monotonicMs: () => number;
  log: Log;
};

export function createGroupCommit(
  { pool, book, counts }: { pool: Pool; book: LeaseBook; counts: CommitCounts },
  { connections, nodeId, now, monotonicMs, log }: GroupCommitOptions,
): GroupCommit {
  let queue: Item[] = [];
  let admitted = 0;
  const shares = new Map<number, number>();
  let running = 0;
  let scheduled = false;
  let lastRows = 0;

  const admit = (customerId: number) => {
    const share = shares.get(customerId) ?? 0;
    if (admitted >= QUEUE_ROWS_MAX || share >= QUEUE_CUSTOMER_ROWS_MAX) throw new SluiceError("overloaded");
    admitted++;
    shares.set(customerId, share + 1);
  };
  const leave = (customerId: number) => {
    admitted--;
    const share = (shares.get(customerId) ?? 1) - 1;
    if (share === 0) shares.delete(customerId);
    else shares.set(customerId, share);
  };

  const wake = () => {
    if (scheduled || running >= connections) return;
    scheduled = true;
    // What this turn of the event loop parses goes into the same batch.
    setImmediate(take, 0, 0);
  };

  const take = (waitedMs: number, seen: number) => {
    const isBusy = lastRows >= GATHER_ROWS_MIN && queue.length < COMMIT_ROWS_MAX / 2;
    if (isBusy && queue.length > seen && waitedMs < GATHER_MAX_MS) {
      setTimeout(take, GATHER_STEP_MS, waitedMs + GATHER_STEP_MS, queue.length);
      return;
    }
    scheduled = false;
    if (running < connections && queue.length > 0) void run();
    if (queue.length > 0) wake();
  };

  const run = async () => {
    running++;
    const items = queue.length <= COMMIT_ROWS_MAX ? queue : queue.slice(0, COMMIT_ROWS_MAX);
    queue = items === queue ? [] : queue.slice(COMMIT_ROWS_MAX);
    lastRows = items.length;
    await commit(items);
    running--;
    if (queue.length > 0) wake();
  };

  /**
   * Stores and answers all of them; credit of what wasn't stored is returned, or its lease dropped, before
   * that.
   */
  const commit = async (all: Item[]): Promise<void> => {
    let items = all;
    let batch = batchOf(items);
    const untilMs = monotonicMs() + COMMIT_WAIT_MAX_MS;
    let inDoubt = false;
    for (let attempt = 1; items.length > 0; attempt++) {
      try {
        if (inDoubt && (await pool.use((conn) => isStored(conn, batch)))) break;
        inDoubt = false;
        await pool.use((conn) => acceptBatch(conn, batch));
        break;
      } catch (err) {
        if (err instanceof FencedError) {
          items = withoutFenced(items, err);
          batch = batchOf(items);
          continue;
        }
        if (err instanceof CommitInDoubtError) {
          inDoubt = true;
          counts.in_doubt_total++;
        }
        const canRetry = inDoubt || isRetryable(err) || isConnectionLost(err);
        if (!canRetry || monotonicMs() >= untilMs) {
          answer(items, inDoubt ? unknown(items, err) : refused(items, err));
          return;
        }
        log.warn({ err, attempt, in_doubt: inDoubt, rows: items.length }, "commit failed; trying again");
        await sleep(backoffMs({ firstMs: 10, mostMs: 500 }, attempt));
      }
    }
    counts.commits_total++;
    counts.accepted_total += items.length;
    for (const { lease, record } of items) book.committed(lease, record.cost);
    answer(items, null);
  };

  const batchOf = (items: Item[]): Batch => ({
    nodeId,
    records: items.map((i) => i.record),
    spends: spendsOf(items),
    nowMs: now(),
  });

  const answer = (items: Item[], error: SluiceError | null) => {
    for (const item of items) {
      leave(item.record.customerId);
      if (error === null) item.resolve();
      else item.reject(error);
    }
  };

  const refused = (items: Item[], cause: unknown): SluiceError => {
    log.error({ err: cause, rows: items.length }, "commit given up; nothing was stored");
    for (const { lease, record } of items) book.giveBack(lease, record.cost);
    return new SluiceError("unavailable", { cause });
  };
  const unknown = (items: Item[], cause: unknown): SluiceError => {
    log.error(
      { err: cause, rows: items.length },
      "outcome of a commit is unknown; its leases are left to the reaper",
    );
    for (const lease of new Set(items.map((i) => i.lease))) book.drop(lease);
    return new SluiceError("outcome_unknown", { cause });
  };
  // Messages of leases that were taken back leave the batch; their callers may try again, on a new lease.
  const withoutFenced = (items: Item[], error: FencedError): Item[] => {
    const lost = new Set(error.lost.map((s) => `${s.customerId}:${s.epoch}`));
    const isLost = ({ lease }: Item) => lost.has(`${lease.customerId}:${lease.epoch}`);
    const out = items.filter(isLost);
    log.warn(
      { leases: error.lost.length, rows: out.length },
      "leases were taken back; their messages were not stored",
    );
    for (const { lease } of out) book.drop(lease);
    answer(out, new SluiceError("unavailable", { cause: error }));
    return items.filter((item) => !isLost(item));
  };

  return {
    admit,
    leave,
    store: (record, lease) =>
      new Promise((resolve, reject) => {
        queue.push({ record, lease, resolve, reject });
        wake();
      }),
    admitted: () => admitted,
    async drained() {
      while (admitted > 0) await sleep(5);
    },
  };
}

function spendsOf(items: Item[]): Spend[] {
  const byLease = new Map<Lease, Spend>();
  for (const { lease, record } of items) {
    const spend = byLease.get(lease);
    if (spend === undefined) {
      byLease.set(lease, { customerId: lease.customerId, epoch: lease.epoch, amount: record.cost });
    } else spend.amount += record.cost;
  }
  return [...byLease.values()];
}
