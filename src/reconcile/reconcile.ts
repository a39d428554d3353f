// Proves that the money adds up: checks every invariant of the ledger, in MySQL and against ClickHouse, for
// some customers or all, at any moment and under load. Owns what is checked, the snapshot and the result;
// leaves sums and their SQL to books.ts, rules to check.ts, ClickHouse to events.ts. Changes nothing, except
// that it sends events again when asked to.
// Invariants of its own: MySQL is read in one snapshot; what may still be on its way to ClickHouse is
// pending, never drift; anything that can't be checked is reported as such. Bounds: SLOTS snapshots over all
// processes; a snapshot lives at most `maxMs`. While one is open, InnoDB keeps every older version of a row
// that changes, because its purge waits: beside a writer of 1,900 messages a second at most 665 transactions
// waited for the purge after 10 s, 196 without a snapshot (bench/reconcile.ts --beside). That grows with
// time, so the limit is minutes, not hours.

import assert from "node:assert/strict";
import { SluiceError } from "../core/errors.ts";
import { isFinal, UNRESERVED } from "../core/message.ts";
import { type Clickhouse, hasNoTables } from "../platform/clickhouse.ts";
import { isError } from "../platform/mysql-errors.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { SILENT_MAX_S, takeLock } from "../platform/named-lock.ts";
import { type Books, openOf, readBooks } from "./books.ts";
import { checkBooks } from "./check.ts";
import { checkEvents, type EventsCheck } from "./events.ts";
import { resend } from "./resend.ts";
import {
  type Checked,
  type Drift,
  driftOf,
  ALL_CUSTOMERS,
  type Pending,
  type ReconcileResult,
  type CustomerRange,
} from "./result.ts";
import { shareTables } from "../schema/tables-lock.ts";

export type ReconcileDeps = { pool: Pool; clickhouse: Clickhouse };
export type ReconcileOptions = {
  /** One customer instead of all. */
  customerId?: number;
  /** Some customers. */
  scope?: CustomerRange;
  /** Also require that nothing is queued, sending or on its way to ClickHouse. */
  settled?: boolean;
  /** Send again the events that ClickHouse lacks. */
  resend?: boolean;
  maxMs?: number;
  /** As in EventsOptions. */
  confirmMs?: number;
  /** Ends the snapshot, and with it the check. */
  signal?: AbortSignal;
};

export type SnapshotOptions = {
  maxMs: number;
  /** How long to wait for a place, in seconds; 0: not at all. */
  waitS: number;
  /** The name of a lock that is held meanwhile, so that the same check runs only once. */
  alone?: string;
  signal?: AbortSignal;
};

/** Drifts in one answer; more would say nothing new. */
const DRIFTS_MAX = 1_000;
/** For all customers: some 100 million entries. Who needs longer says so (`--max-minutes`). */
const SNAPSHOT_MAX_MS = 10 * 60_000;
assert(SNAPSHOT_MAX_MS < SILENT_MAX_S * 1_000, "a check that waits for ClickHouse keeps its connection");
// Partition DDL holds the lock for about a second, other snapshots for as long as they run.
const LOCK_WAIT_S = 60;
// After an outage of the broker librdkafka inside ClickHouse reconnects within 10 s, then flushes within one.
const CONFIRM_MS = 12_000;

/** The snapshot reached its time limit. */
export class TookTooLongError extends Error {
  override readonly name = "TookTooLongError";
}
/** The same check is already running. */
export class AlreadyRunningError extends Error {
  override readonly name = "AlreadyRunningError";
}
/** All places are taken, or partitions are being changed. */
export class TablesBusyError extends Error {
  override readonly name = "TablesBusyError";
}

/** Doesn't throw when an engine fails: that is the result `could_not_check`. */
export async function reconcile(
  deps: ReconcileDeps,
  options: ReconcileOptions = {},
): Promise<ReconcileResult> {
  const { customerId, maxMs = SNAPSHOT_MAX_MS } = options;
  const scope =
    options.scope ?? (customerId === undefined ? ALL_CUSTOMERS : { low: customerId, high: customerId });
  try {
    const { signal } = options;
    const { books, drifts, events } = await inSnapshot(
      deps.pool,
      { maxMs, waitS: LOCK_WAIT_S, ...(signal && { signal }) },
      (conn) => readAll(deps, conn, scope, options),
    );
    if (customerId !== undefined && books.customers.size === 0)
      return { kind: "could_not_check", reason: `there is no customer ${customerId}` };
    const resent = options.resend === true ? await resend(deps.pool, events.missing) : 0;
    return resultOf(books, drifts, events, { resent, settled: options.settled === true });
  } catch (error) {
    const isUnavailable = error instanceof SluiceError && error.code === "reports_unavailable";
    const noReport = isUnavailable && !hasNoTables(error);
    return {
      kind: "could_not_check",
      reason: reasonOf(error),
      ...(error instanceof TookTooLongError && { tooLong: true }),
      ...(noReport && { noReport }),
    };
  }
}

/**
 * Runs `body` in one consistent snapshot that partition DDL can't end.
 * @throws AlreadyRunningError, TablesBusyError, TookTooLongError
 */
export function inSnapshot<T>(
  pool: Pool,
  { maxMs, waitS, alone, signal }: SnapshotOptions,
  body: (conn: Connection) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  return pool
    .use(async (conn) => {
      signal?.addEventListener("abort", () => conn.destroy(), { signal: stop.signal });
      const own = alone === undefined ? undefined : await takeLock(conn, alone);
      if (own === null) throw new AlreadyRunningError("the same check runs already");
      const lock = await shareTables(conn, waitS);
      if (lock === null) throw new TablesBusyError("partitions are being changed, or others check");
      if (maxMs > SNAPSHOT_MAX_MS) await conn.query(`SET SESSION wait_timeout = ${Math.ceil(maxMs / 1_000)}`);
      await conn.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
      await conn.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
      const result = await body(withDeadline(conn, performance.now() + maxMs));
      await conn.query("COMMIT");
      await conn.query("SET SESSION max_execution_time = DEFAULT");
      await lock.release();
      await own?.release();
      return result; // anything thrown ends the connection, and with it snapshot and lock
    })
    .finally(() => stop.abort());
}

// The server itself ends a statement that reaches the deadline.
function withDeadline(conn: Connection, deadlineMs: number): Connection {
  return {
    ...conn,
    async query<T>(sql: string, values?: unknown[]): Promise<T> {
      const leftMs = Math.ceil(deadlineMs - performance.now());
      if (leftMs <= 0) throw new TookTooLongError("the check took longer than it may");
      await conn.query(`SET SESSION max_execution_time = ${leftMs}`);
      try {
        return await conn.query<T>(sql, values);
      } catch (cause) {
        if (!isError(cause, "tookTooLong")) throw cause;
        throw new TookTooLongError("the check took longer than it may", { cause });
      }
    },
  };
}

/** Reads and checks everything about these customers. Call within a snapshot. */
async function readAll(
  deps: ReconcileDeps,
  conn: Connection,
  scope: CustomerRange,
  { settled = false, confirmMs = CONFIRM_MS }: ReconcileOptions,
): Promise<{ books: Books; drifts: Drift[]; events: EventsCheck }> {
  const books = await readBooks(conn, scope, { allOld: settled });
  const drifts = await checkBooks(conn, books);
  const events = await checkEvents({ ...deps, conn }, books, { confirmMs });
  return { books, drifts: [...drifts, ...events.drifts], events };
}

/** 0: clean, 1: drift, 2: could not check. */
export function exitCodeOf({ kind }: ReconcileResult): 0 | 1 | 2 {
  switch (kind) {
    case "clean":
      return 0;
    case "drift":
      return 1;
    case "could_not_check":
      return 2;
  }
}

function resultOf(
  books: Books,
  drifts: Drift[],
  events: EventsCheck,
  { resent, settled }: { resent: number; settled: boolean },
): ReconcileResult {
  const pending: Pending = { ...events.pending, events: books.eventRows, messages: waitingIn(books) };
  const checked: Checked = {
    customers: books.customers.size,
    messages: books.messages,
    entries: books.entries,
    at: new Date(books.nowMs).toISOString(),
  };
  const found = [...drifts, ...(settled ? unsettled(pending) : [])].slice(0, DRIFTS_MAX);
  return found.length === 0
    ? { kind: "clean", checked, pending, resent }
    : { kind: "drift", checked, pending, resent, drifts: found };
}

const OPEN_UNRESERVED = UNRESERVED.filter((status) => !isFinal(status));

function waitingIn(books: Books): number {
  let waiting = 0;
  for (const c of books.customers.values()) {
    waiting += openOf(c).count - (c.messages.get("unknown")?.count ?? 0);
    for (const status of OPEN_UNRESERVED) waiting += c.unreserved.get(status)?.count ?? 0;
  }
  return waiting;
}

function unsettled(pending: Pending): Drift[] {
  const waiting = Object.entries(pending).filter(([, count]) => count > 0);
  if (waiting.length === 0) return [];
  const detail = `still on its way: ${waiting.map(([what, count]) => `${count} ${what}`).join(", ")}`;
  return [{ ...driftOf("settled", 0, detail, 0, null), customer_id: "" }];
}

function reasonOf(error: unknown): string {
  if (error instanceof SluiceError && error.cause instanceof Error)
    return `ClickHouse: ${error.cause.message}`;
  const { code, message } = error as { code?: string; message?: string };
  return code === undefined ? String(message ?? error) : `${code}: ${message}`;
}
