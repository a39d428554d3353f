// The proof that money adds up: every invariant of the ledger, in MySQL and against ClickHouse, for one
// customer or all, at any moment and under load. Owns what is checked and what the answer is; leaves SQL to
// reconcile-books.ts (MySQL) and reconcile-events.ts (ClickHouse). Reads only. Invariants of its own: MySQL
// is read in one snapshot; what may still be on its way to ClickHouse is pending, never drift; whatever can't
// be checked is said to be so. Bound: two scans of entries and messages summed per customer, then single
// entries of customers that differ, ENTRIES_NAMED_MAX a drift.

import { SluiceError } from "../core/errors.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { tablesLockName } from "./partitions.ts";
import { type Books, checkBooks, readBooks } from "./reconcile-books.ts";
import { checkEvents, type EventsCheck } from "./reconcile-events.ts";
import type { Checked, Drift, Pending, ReconcileResult } from "./reconcile-result.ts";

export type ReconcileDeps = { pool: Pool; clickhouse: Clickhouse };
export type ReconcileOptions = {
  /** One customer instead of all. */
  customerId?: number;
  /** Also require that nothing is queued, sending or on its way to ClickHouse. */
  settled?: boolean;
};

/** Drifts in one answer; more say nothing new. */
const DRIFTS_MAX = 1_000;
// Partition DDL holds the lock for a second or so, another reconcile for as long as it runs.
const LOCK_WAIT_S = 60;

/** Never throws for what an engine did: that is `could_not_check`. */
export async function reconcile(
  deps: ReconcileDeps,
  options: ReconcileOptions = {},
): Promise<ReconcileResult> {
  const { customerId = null, settled = false } = options;
  try {
    return await deps.pool.use(async (conn) => {
      const lock = await takeLock(conn);
      if (lock === null) return { kind: "could_not_check", reason: "partitions are being changed" };
      await conn.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
      await conn.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
      const result = await readAll(deps, conn, customerId, settled);
      await conn.query("COMMIT");
      await conn.query("SELECT RELEASE_LOCK(?)", [lock]);
      return result; // whatever is thrown instead ends the connection, and with it snapshot and lock
    });
  } catch (error) {
    return { kind: "could_not_check", reason: reasonOf(error) };
  }
}

async function readAll(
  deps: ReconcileDeps,
  conn: Connection,
  customerId: number | null,
  settled: boolean,
): Promise<ReconcileResult> {
  const books = await readBooks(conn, customerId);
  if (customerId !== null && books.customers.size === 0)
    return { kind: "could_not_check", reason: `there is no customer ${customerId}` };
  const drifts = await checkBooks(conn, books);
  const events = await checkEvents({ ...deps, conn }, books, customerId);
  return resultOf(books, [...drifts, ...events.drifts], events, settled);
}

/** 0 clean, 1 drift, 2 could not check. */
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

async function takeLock(conn: Connection): Promise<string | null> {
  const [row] = await conn.query<{ name: string }[]>("SELECT DATABASE() AS name");
  const lock = tablesLockName(row?.name ?? "");
  const [got] = await conn.query<{ got: number | null }[]>("SELECT GET_LOCK(?, ?) AS got", [
    lock,
    LOCK_WAIT_S,
  ]);
  return got?.got === 1 ? lock : null;
}

function resultOf(books: Books, drifts: Drift[], events: EventsCheck, settled: boolean): ReconcileResult {
  const pending: Pending = { entries: events.pending, events: books.eventRows, messages: books.openMessages };
  const checked: Checked = {
    customers: books.customers.size,
    messages: books.messages,
    entries: books.entries,
    at: new Date(books.nowMs).toISOString(),
  };
  const found = [...drifts, ...(settled ? unsettled(pending) : [])].slice(0, DRIFTS_MAX);
  return found.length === 0
    ? { kind: "clean", checked, pending }
    : { kind: "drift", checked, pending, drifts: found };
}

function unsettled(pending: Pending): Drift[] {
  const waiting = Object.entries(pending).filter(([, count]) => count > 0);
  if (waiting.length === 0) return [];
  const detail = `still on its way: ${waiting.map(([what, count]) => `${count} ${what}`).join(", ")}`;
  return [
    {
      invariant: "settled",
      customer_id: "",
      detail,
      expected: 0,
      found: null,
      entries: [],
      entries_total: 0,
    },
  ];
}

function reasonOf(error: unknown): string {
  if (error instanceof SluiceError && error.cause instanceof Error)
    return `ClickHouse: ${error.cause.message}`;
  const { code, message } = error as { code?: string; message?: string };
  return code === undefined ? String(message ?? error) : `${code}: ${message}`;
}
