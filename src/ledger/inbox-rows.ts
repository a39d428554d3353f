// The SQL of the inbox: stores what operators sent, takes what is due, and ends it in the transaction that
// took it. Leaves bytes to core/raw-report.ts and batching to inbox.ts.
// Invariants: a row is deleted only in the transaction that locked it, together with what became of it; new
// rows are taken in the order in which they were stored. Bound: INBOX_ROW_REPORTS_MAX reports and
// INBOX_ROW_BYTES_MAX bytes a row, or a single larger one.

import { INBOX_ROW_BYTES_MAX, INBOX_ROW_REPORTS_MAX } from "../core/limits.ts";
import { packReports, type RawReport, sizeOf } from "../core/raw-report.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { blob, dateTime } from "./sql-text.ts";

export type InboxRow = { id: number; payload: Buffer };

/** Stores reports in one row, in a transaction of its own. */
export async function storeReports(pool: Pick<Pool, "write">, reports: readonly RawReport[]): Promise<void> {
  await pool.write(`INSERT INTO inbox (payload) VALUES (${blob(packReports(reports))})`);
}

/**
 * Begins a transaction and locks up to `limit` due rows, the oldest first. Waits for a process that holds one
 * of them, and for one that is storing a row: with SKIP LOCKED a report could overtake an earlier one.
 */
export async function takeInbox(conn: Connection, limit: number): Promise<InboxRow[]> {
  const [, rows] = await conn.query<[unknown, InboxRow[]]>(
    "BEGIN;SELECT id, payload FROM inbox FORCE INDEX (due) WHERE run_at<=NOW(3) " +
      `ORDER BY run_at, id LIMIT ${limit} FOR UPDATE`,
  );
  return rows;
}

/** Within the transaction that locked the rows. */
export async function deleteInbox(conn: Connection, rows: readonly InboxRow[]): Promise<void> {
  await conn.write(
    `DELETE /*+ INDEX(inbox PRIMARY) */ FROM inbox WHERE id IN (${rows.map((row) => row.id)})`,
  );
}

/**
 * Within a transaction: locks a row that an earlier one took in vain; null if it is gone. `runAtMs`: since
 * when it has been due.
 */
export async function lockInbox(conn: Connection, { id }: InboxRow): Promise<{ runAtMs: number } | null> {
  const [row] = await conn.query<{ run_at: Date }[]>(`SELECT run_at FROM inbox WHERE id=${id} FOR UPDATE`);
  return row === undefined ? null : { runAtMs: row.run_at.getTime() };
}

/** A row for each of these, due when the one was that they came in. */
export async function storeApart(
  conn: Connection,
  reports: readonly RawReport[],
  runAtMs: number,
): Promise<void> {
  const values = reports.map((report) => `(${dateTime(runAtMs)},${blob(packReports([report]))})`);
  await conn.write(`INSERT INTO inbox (run_at,payload) VALUES ${values.join(",")}`);
}

/** Makes reports due again after `delayMs`, in as few rows as may hold them. */
export async function deferReports(
  conn: Connection,
  reports: readonly RawReport[],
  delayMs: number,
): Promise<void> {
  for (let at = 0; at < reports.length; ) {
    const some = reports.slice(at, at + rowLength(reports.slice(at, at + INBOX_ROW_REPORTS_MAX)));
    at += some.length;
    await conn.write(
      "INSERT INTO inbox (run_at,payload) VALUES " +
        `(NOW(3) + INTERVAL ${Math.round(delayMs) * 1_000} MICROSECOND,${blob(packReports(some))})`,
    );
  }
}

/** How many of these, from the first on, one row may hold. */
export function rowLength(reports: readonly RawReport[]): number {
  let bytes = 0;
  let n = 0;
  for (const report of reports) {
    bytes += sizeOf(report);
    if (n === INBOX_ROW_REPORTS_MAX || (n > 0 && bytes > INBOX_ROW_BYTES_MAX)) break;
    n++;
  }
  return n;
}
