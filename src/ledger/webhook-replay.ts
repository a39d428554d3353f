// Replays: makes deliveries that have ended pending again, with all their time, and takes up their endpoints
// again, whatever had stopped them: whoever replays says that they work.
// Invariants: an event keeps its id and its body, so a receiver recognizes it; none is replayed so late that
// it is dropped before it ended. Bound: WEBHOOK_REPLAY_MAX a call, in transactions of WEBHOOK_CHUNK_ROWS_MAX.

import { SluiceError } from "../core/errors.ts";
import { ulidBound } from "../core/id.ts";
import {
  WEBHOOK_CHUNK_ROWS_MAX,
  WEBHOOK_REPLAY_MAX,
  WEBHOOK_REPLAYABLE_MS,
  WEBHOOK_RETRY_MS,
} from "../core/webhook-limits.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { isConnectionLost, isRetryable } from "../platform/mysql-errors.ts";
import type { DeliveryState } from "./webhook-deliveries.ts";
import { wakeSql } from "./webhook-endpoints.ts";

export type EndedState = Exclude<DeliveryState, "pending">;
/** Events that occurred from (inclusive) and to (exclusive), in Unix ms; null: no bound, either state. */
export type Selection = { fromMs: number | null; toMs: number | null; state: EndedState | null };
/** `next`: go on after this event; null: that was all. */
export type Replayed = { replayed: number; next: string | null };

type Row = { event_id: string; endpoint: string };
/** Above every ULID. */
const ID_AFTER_ALL = "~";

/** The lowest id of events that occurred at `fromMs` or later and can still be replayed, by MySQL's clock. */
export async function replayableFrom(pool: Pick<Pool, "query">, fromMs: number | null): Promise<string> {
  const [row] = await pool.query<{ at: Date }[]>("SELECT NOW(3) AS at");
  const firstMs = (row as { at: Date }).at.getTime() - WEBHOOK_REPLAYABLE_MS;
  return ulidBound(Math.max(firstMs, fromMs ?? firstMs));
}

/** Replays one event, whatever its state. Returns false if the customer has no such event. */
export async function replayOne(pool: Pool, customerId: number, eventId: string): Promise<boolean> {
  if (eventId < (await replayableFrom(pool, null))) return false;
  return pool.transaction(async (conn) => {
    const rows = await conn.query<Row[]>(
      "SELECT event_id, endpoint FROM webhook_deliveries WHERE customer_id=? AND event_id=? FOR UPDATE",
      [customerId, eventId],
    );
    await makePending(conn, customerId, rows);
    return rows.length > 0;
  });
}

/**
 * Replays what has ended and is selected, the oldest first, after the event `after`. If MySQL is lost after
 * some transactions, theirs is the answer, because they are stored: `next` goes on after them.
 */
export async function replayMany(
  pool: Pool,
  customerId: number,
  selection: Selection,
  after: string | null,
): Promise<Replayed> {
  const from = await replayableFrom(pool, selection.fromMs);
  let replayed = 0;
  let last = after;
  while (replayed < WEBHOOK_REPLAY_MAX) {
    const rows = await replayChunk(pool, customerId, selection, [from, last]).catch((error: unknown) => {
      const isPassing = isConnectionLost(error) || isRetryable(error) || error instanceof SluiceError;
      if (replayed > 0 && isPassing) return null;
      throw error;
    });
    if (rows === null) break;
    replayed += rows.length;
    last = rows.at(-1)?.event_id ?? last;
    if (rows.length < WEBHOOK_CHUNK_ROWS_MAX) return { replayed, next: null };
  }
  return { replayed, next: last };
}

function replayChunk(
  pool: Pool,
  customerId: number,
  { toMs, state }: Selection,
  [from, after]: [from: string, after: string | null],
): Promise<Row[]> {
  const index = state === null ? "PRIMARY" : "by_state";
  const states = state === null ? "state<>'pending'" : `state='${state}'`;
  return pool.transaction(async (conn) => {
    const rows = await conn.query<Row[]>(
      `SELECT event_id, endpoint FROM webhook_deliveries FORCE INDEX (${index}) ` +
        `WHERE customer_id=? AND ${states} AND event_id>=? AND event_id<? AND event_id>? ` +
        `ORDER BY event_id LIMIT ${WEBHOOK_CHUNK_ROWS_MAX} FOR UPDATE`,
      [customerId, from, toMs === null ? ID_AFTER_ALL : ulidBound(toMs), after ?? ""],
    );
    await makePending(conn, customerId, rows);
    return rows;
  });
}

async function makePending(conn: Connection, customerId: number, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return;
  const ids = rows.map((row) => row.event_id).join("','");
  await conn.query(
    "UPDATE webhook_deliveries FORCE INDEX (PRIMARY) SET state='pending', attempts=0, run_at=NOW(3), " +
      `give_up_at=NOW(3) + INTERVAL ${WEBHOOK_RETRY_MS * 1_000} MICROSECOND, changed_at=NOW(3) ` +
      `WHERE customer_id=${customerId} AND event_id IN ('${ids}')`,
  );
  await conn.query(
    wakeSql(
      rows.map(({ endpoint }) => ({ customerId, endpoint })),
      { resume: true },
    ),
  );
}
