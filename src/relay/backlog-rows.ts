// Queries on MySQL for the gauges of the backlog. Invariant: every statement reads an index that it names, or
// a table that stays small, and at most COUNTED_MAX rows of it, so it takes milliseconds even while millions
// of rows wait.

import type { Lane } from "../core/message.ts";
import type { Connection } from "../platform/mysql.ts";
import type { OutboxLane } from "./lanes.ts";

/** Counting stops at this many rows. */
const COUNTED_MAX = 10_000;
/** Each row of `claims` holds up to 200 ids. */
const CLAIMS_READ_MAX = 2_000;
const ULID_CHARS = 26;

export type LaneRows = {
  lane: OutboxLane;
  /** Rows that are due now; COUNTED_MAX means that there are more. `later`: rows due later. */
  due: number;
  later: number;
  /** How long the oldest due row has waited; 0 if there is none. */
  oldestS: number;
};

/** Counts the rows of one lane and measures how long the oldest due one has waited. */
export async function laneRows(conn: Connection, lane: OutboxLane): Promise<LaneRows> {
  const count = (when: string) =>
    `(SELECT COUNT(*) FROM (SELECT 1 FROM outbox FORCE INDEX (due) WHERE lane='${lane}' AND ${when} ` +
    `LIMIT ${COUNTED_MAX}) AS some)`;
  const [row] = await conn.query<{ due: number; later: number; oldestS: string | number | null }[]>(
    `SELECT ${count("run_at<=NOW(3)")} AS due, ${count("run_at>NOW(3)")} AS later,
       (SELECT TIMESTAMPDIFF(MICROSECOND, run_at, NOW(3)) / 1e6 FROM outbox FORCE INDEX (due)
        WHERE lane='${lane}' AND run_at<=NOW(3) ORDER BY run_at, id LIMIT 1) AS oldestS`,
  );
  return {
    lane,
    due: Number(row?.due ?? 0),
    later: Number(row?.later ?? 0),
    oldestS: Number(row?.oldestS ?? 0),
  };
}

export type HeldRows = { lane: Lane; rows: number; oldestS: number };

/** Counts the held rows of one lane and measures how long the oldest of those counted has waited. */
export async function heldRows(conn: Connection, lane: Lane): Promise<HeldRows> {
  const [row] = await conn.query<{ n: number; oldestS: string | number | null }[]>(
    `SELECT COUNT(*) AS n, TIMESTAMPDIFF(MICROSECOND, MIN(created_at), NOW(3)) / 1e6 AS oldestS FROM
       (SELECT created_at FROM outbox_held FORCE INDEX (by_customer) WHERE lane='${lane}'
        LIMIT ${COUNTED_MAX}) AS some`,
  );
  return { lane, rows: Number(row?.n ?? 0), oldestS: Number(row?.oldestS ?? 0) };
}

export type InboxRows = { due: number; later: number; oldestS: number };

/** Counts the rows of the inbox and measures how long the oldest due one has waited. */
export async function inboxRows(conn: Connection): Promise<InboxRows> {
  const count = (when: string) =>
    `(SELECT COUNT(*) FROM (SELECT 1 FROM inbox FORCE INDEX (due) WHERE ${when} ` +
    `LIMIT ${COUNTED_MAX}) AS some)`;
  const [row] = await conn.query<{ due: number; later: number; oldestS: string | number | null }[]>(
    `SELECT ${count("run_at<=NOW(3)")} AS due, ${count("run_at>NOW(3)")} AS later,
       (SELECT TIMESTAMPDIFF(MICROSECOND, run_at, NOW(3)) / 1e6 FROM inbox FORCE INDEX (due)
        WHERE run_at<=NOW(3) ORDER BY run_at, id LIMIT 1) AS oldestS`,
  );
  return { due: Number(row?.due ?? 0), later: Number(row?.later ?? 0), oldestS: Number(row?.oldestS ?? 0) };
}

/**
 * The number of messages whose answer was lost and is still awaited. A claim's ids are joined with commas.
 */
export async function unknownMessages(conn: Connection): Promise<number> {
  const [row] = await conn.query<{ n: string | number | null }[]>(
    `SELECT SUM((chars + 1) DIV ${ULID_CHARS + 1}) AS n FROM
       (SELECT LENGTH(ids) AS chars FROM claims WHERE kind='unknown' LIMIT ${CLAIMS_READ_MAX}) AS some`,
  );
  return Number(row?.n ?? 0);
}
