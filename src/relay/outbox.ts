// The relay's own SQL: locks due rows of the outbox, deletes and rewrites them. Leaves decoding and producing
// to relay.ts.
// Invariant: a row is deleted only in the transaction that locked it, so two relays never finish the same
// row.

import type { Connection, Pool } from "../platform/mysql.ts";
import type { OutboxLane } from "./lanes.ts";

export type OutboxRow = { id: number; attempts: number; payload: Buffer };
/** A row to be tried again; `payload` is set if only some of its records failed. */
export type Deferred = { row: OutboxRow; payload: Buffer | null; reason: string; delayMs: number };

// The table's size changes by the second, and MySQL's statistics with it: without the hint MySQL sometimes
// uses the index and sometimes a table scan with a sort, which reads every payload and locks every row it
// reads.
const DUE = "outbox FORCE INDEX (due)";
// Without this hint a list of ids that covers most of the table is read by a scan, which waits for rows that
// another relay has locked.
const BY_ID = "/*+ INDEX(outbox PRIMARY) */";
const REASON_CHARS_MAX = 200;

/** Begins a transaction and locks up to `limit` due rows that no other relay holds. */
export async function takeRows(conn: Connection, lane: OutboxLane, limit: number): Promise<OutboxRow[]> {
  const [, rows] = await conn.query<[unknown, OutboxRow[]]>(
    `BEGIN;SELECT id, attempts, payload FROM ${DUE} WHERE lane='${lane}' AND run_at<=NOW(3) ` +
      `ORDER BY run_at, id ` +
      `LIMIT ${limit} FOR UPDATE SKIP LOCKED`,
  );
  return rows;
}

/** Whether any row is due; costs a tenth of a transaction that finds nothing. */
export async function isDue(conn: Pick<Connection, "query">, lane: OutboxLane): Promise<boolean> {
  const rows = await conn.query(`SELECT 1 FROM ${DUE} WHERE lane='${lane}' AND run_at<=NOW(3) LIMIT 1`);
  return rows.length > 0;
}

/** Within the transaction that locked the rows. */
export async function deleteRows(conn: Connection, rows: readonly OutboxRow[]): Promise<void> {
  if (rows.length > 0)
    await conn.write(`DELETE ${BY_ID} FROM outbox WHERE id IN (${rows.map((row) => row.id)})`);
}

/** Makes the row due again after `delayMs`, counts the attempt and stores the reason. */
export async function deferRow(conn: Connection, { row, payload, reason, delayMs }: Deferred): Promise<void> {
  await conn.write(
    "UPDATE outbox SET attempts=LEAST(attempts+1, 65535), last_error=?, run_at=NOW(3) + INTERVAL ? " +
      "MICROSECOND, payload=? WHERE id=?",
    [reason.slice(0, REASON_CHARS_MAX), Math.round(delayMs * 1_000), payload ?? row.payload, row.id],
  );
}

/** MySQL's time, and the newest row of any lane that is visible now. */
export async function momentOf(pool: Pick<Pool, "query">): Promise<{ momentMs: number; lastRow: number }> {
  const [row] = await pool.query<{ at: Date; lastRow: number | null }[]>(
    "SELECT NOW(3) AS at, (SELECT MAX(id) FROM outbox) AS lastRow",
  );
  if (row === undefined) throw new Error("a SELECT of constants has one row");
  return { momentMs: row.at.getTime(), lastRow: row.lastRow ?? 0 };
}

/** Whether any row up to `lastRow` is left that is due by then or was deferred because Kafka failed. */
export async function hasRowsOf(
  pool: Pick<Pool, "query">,
  lane: OutboxLane,
  { lastRow, dueMs }: { lastRow: number; dueMs: number },
): Promise<boolean> {
  const rows = await pool.query(
    `SELECT 1 FROM ${DUE} WHERE lane='${lane}' AND id<=${lastRow} ` + "AND (run_at<=? OR attempts>0) LIMIT 1",
    [new Date(dueMs)],
  );
  return rows.length > 0;
}
