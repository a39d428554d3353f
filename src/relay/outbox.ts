// The relay's own SQL: rows of the outbox taken under lock, deleted, rewritten. Leaves decoding and producing
// to relay.ts.
// Invariant: a row is deleted only in the transaction that locked it, so two relays never finish the same
// row.

import { RELAY_ROWS_MAX } from "../core/limits.ts";
import type { Connection } from "../platform/mysql.ts";

export type OutboxLane = "express" | "normal" | "events";
export type OutboxRow = { id: number; attempts: number; payload: Buffer };
/** A row to be tried again; `payload` when only some of its records failed. */
export type Deferred = { row: OutboxRow; payload: Buffer | null; reason: string; delayMs: number };

const REASON_CHARS_MAX = 200;

/** Begins a transaction and locks up to RELAY_ROWS_MAX due rows that no other relay holds. */
export async function takeRows(conn: Connection, lane: OutboxLane): Promise<OutboxRow[]> {
  const [, rows] = await conn.query<[unknown, OutboxRow[]]>(
    `BEGIN;SELECT id, attempts, payload FROM outbox WHERE lane='${lane}' AND run_at<=NOW(3) ` +
      `ORDER BY run_at, id ` +
      `LIMIT ${RELAY_ROWS_MAX} FOR UPDATE SKIP LOCKED`,
  );
  return rows;
}

/** Whether anything is due; a tenth of the cost of a transaction that finds nothing. */
export async function isDue(conn: Pick<Connection, "query">, lane: OutboxLane): Promise<boolean> {
  const rows = await conn.query(`SELECT 1 FROM outbox WHERE lane='${lane}' AND run_at<=NOW(3) LIMIT 1`);
  return rows.length > 0;
}

export async function deleteRows(conn: Connection, rows: readonly OutboxRow[]): Promise<void> {
  if (rows.length > 0) await conn.write(`DELETE FROM outbox WHERE id IN (${rows.map((row) => row.id)})`);
}

export async function deferRow(conn: Connection, { row, payload, reason, delayMs }: Deferred): Promise<void> {
  await conn.write(
    "UPDATE outbox SET attempts=LEAST(attempts+1, 65535), last_error=?, run_at=NOW(3) + INTERVAL ? " +
      "MICROSECOND, payload=? WHERE id=?",
    [reason.slice(0, REASON_CHARS_MAX), Math.round(delayMs * 1_000), payload ?? row.payload, row.id],
  );
}
