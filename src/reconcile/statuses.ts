// Messages in MySQL and the latest of their events in ClickHouse: the SQL of both sides for compare.ts. A
// message belongs to the day of its acceptance. `sending` is never an event: such a message counts as the
// `queued` before it. Leaves all decisions to the comparison.

import { ulidBound } from "../core/id.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import { at, type Books, type DaySum, EVENT_SEQUENCE, EVENT_STATUS, messagesOf, ofScope } from "./books.ts";
import { type EventRow, listOf, type Stream } from "./compare.ts";
import { secondsOf, type StreamDeps } from "./entries.ts";

type StoredStatus = { id: string; customer_id: number; status: string; sequence: number; updated_ms: number };

const DAY_MS = 86_400_000;
// An id is made shortly before its created_at; if a clock was set back, ids stay ahead of it for that long.
const ID_SLACK_MS = 600_000;
const SECOND = "FLOOR(UNIX_TIMESTAMP(m.created_at))";

export function statusesStream({ pool, conn, clickhouse }: StreamDeps, books: Books): Stream {
  const onDay = (day: string) => {
    const startMs = Date.parse(`${day}T00:00:00Z`);
    const ids = (column: string) =>
      `AND ${column} >= '${ulidBound(Math.max(0, startMs - ID_SLACK_MS))}' ` +
      `AND ${column} < '${ulidBound(startMs + DAY_MS + ID_SLACK_MS)}'`;
    return (
      `FROM ${messagesOf(books.scope, { range: ids })} ` +
      `WHERE m.created_at >= '${day}' AND m.created_at < '${day}' + INTERVAL 1 DAY ${ids("m.id")}`
    );
  };
  const columns =
    `m.id, m.customer_id, ${EVENT_STATUS} AS status, ${EVENT_SEQUENCE} AS sequence, ` +
    "CAST(UNIX_TIMESTAMP(m.updated_at) * 1000 AS SIGNED) AS updated_ms";
  return {
    topic: "sms.status",
    mySeconds: async (day) =>
      secondsOf(
        await conn.query(
          `SELECT CAST(${SECOND} AS SIGNED) AS s, COUNT(*) AS n,
             CAST(SUM(CRC32(CONCAT(m.customer_id, m.id, ':', ${EVENT_STATUS}, ':', ${EVENT_SEQUENCE})))
               AS CHAR) AS f
           ${onDay(day)} AND m.updated_at < ${at(books.cutoffMs)} GROUP BY s`,
        ),
      ),
    theirSeconds: async (day) =>
      secondsOf(
        await clickhouse.query(
          `SELECT toUnixTimestamp(created) AS s, count() AS n, toString(sum(toUInt64(CRC32(concat(
             toString(customer_id), id, ':', latest, ':', toString(newest)))))) AS f
           FROM (${latest(books, "toDate(created_at) = {day:Date}")})
           WHERE toUnixTimestamp64Milli(updated) < {cutoff:Int64} GROUP BY s`,
          { day, cutoff: books.cutoffMs },
        ),
      ),
    myRows: async (day, seconds) =>
      rowsOf(await conn.query(`SELECT ${columns} ${onDay(day)} AND ${SECOND} IN (${listOf(seconds)})`)),
    theirRows: async (day, seconds) =>
      rowsOf(
        await clickhouse.query(
          `SELECT id, customer_id, latest AS status, newest AS sequence,
             toUnixTimestamp64Milli(updated) AS updated_ms
           FROM (${latest(
             books,
             `toDate(created_at) = {day:Date} AND toUnixTimestamp(created_at) IN (${listOf(seconds)})`,
           )})`,
          { day },
        ),
      ),
    rowsNow: async (rows) => {
      const ids = rows.map((row) => row.eventId);
      return rowsOf(await pool.query(`SELECT ${columns} FROM messages AS m WHERE m.id IN (?)`, [ids]));
    },
  };
}

/** ClickHouse's sums of the days from `firstDay` to `lastDay`. */
export async function statusSums(
  clickhouse: Clickhouse,
  books: Books,
  firstDay: string,
  lastDay: string,
): Promise<DaySum[]> {
  const rows = await clickhouse.query<{
    customer_id: string;
    day: string;
    status: string;
    young: number;
    count: string;
    amount: string;
    fingerprint: string;
  }>(
    `SELECT customer_id, toString(toDate(created)) AS day, latest AS status,
       toUnixTimestamp64Milli(updated) >= {cutoff:Int64} AS young, count() AS count,
       toString(sum(cost)) AS amount,
       toString(sum(toUInt64(CRC32(concat(id, ':', latest, ':', toString(newest)))))) AS fingerprint
     FROM (${latest(books, "toDate(created_at) BETWEEN {first:Date} AND {last:Date}")})
     GROUP BY customer_id, toDate(created), latest, young`,
    { first: firstDay, last: lastDay, cutoff: books.cutoffMs },
  );
  return rows.map((row) => ({
    customerId: Number(row.customer_id),
    day: row.day,
    what: row.status,
    young: Number(row.young) === 1,
    count: Number(row.count),
    amount: Number(row.amount),
    fingerprint: row.fingerprint,
  }));
}

// A message's rows are stored together in a partition, so the latest is found while reading, with little
// memory.
const latest = (books: Books, where: string): string =>
  `SELECT customer_id, id, max(sequence) AS newest, argMax(status, sequence) AS latest,
     argMax(updated_at, sequence) AS updated, any(created_at) AS created, any(cost) AS cost
   FROM messages_log WHERE ${where} AND ${ofScope(books.scope)} GROUP BY customer_id, id
   SETTINGS optimize_aggregation_in_order = 1`;

const rowsOf = (rows: readonly StoredStatus[]): EventRow[] =>
  rows.map(({ id, customer_id, status, sequence, updated_ms }) => ({
    customerId: Number(customer_id),
    eventId: id,
    value: status,
    order: Number(sequence),
    atMs: Number(updated_ms),
  }));
