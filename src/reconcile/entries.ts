// Ledger entries in MySQL and ClickHouse: the SQL of both sides for compare.ts. An entry belongs to the day
// of its transaction. Leaves all decisions to the comparison.

import type { Clickhouse } from "../platform/clickhouse.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { at, type Books, type DaySum, ofScope } from "./books.ts";
import { type EventRow, listOf, type Second, type Stream } from "./compare.ts";

export type StreamDeps = { pool: Pool; conn: Connection; clickhouse: Clickhouse };
/** A row as JSONEachRow returns it: 64-bit integers are strings. */
type StoredEntry = { event_id: string; customer_id: number; op: string; amount: number; created_ms: number };
type StoredSecond = { s: number; n: number; f: string };

const SECOND = "FLOOR(UNIX_TIMESTAMP(created_at))";

export function entriesStream({ pool, conn, clickhouse }: StreamDeps, books: Books): Stream {
  const scope = ofScope(books.scope);
  const onDay = (day: string) =>
    `created_at >= '${day}' AND created_at < '${day}' + INTERVAL 1 DAY AND ${scope}`;
  const columns =
    "CONCAT(entry_id, ':', leg) AS event_id, customer_id, op, amount, " +
    "CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED) AS created_ms";
  return {
    topic: "wallet.ledger",
    mySeconds: async (day) =>
      secondsOf(
        await conn.query<StoredSecond[]>(
          `SELECT CAST(${SECOND} AS SIGNED) AS s, COUNT(*) AS n,
             CAST(SUM(CRC32(CONCAT(customer_id, entry_id, ':', leg, op, amount))) AS CHAR) AS f
           FROM wallet_ledger WHERE ${onDay(day)} AND created_at < ${at(books.cutoffMs)} GROUP BY s`,
        ),
      ),
    theirSeconds: async (day) =>
      secondsOf(
        await clickhouse.query<StoredSecond>(
          `SELECT toUnixTimestamp(created_at) AS s, count() AS n,
             toString(sum(toUInt64(CRC32(concat(toString(customer_id), event_id, op, toString(amount))))))
               AS f
           FROM wallet_ledger FINAL
           WHERE toDate(created_at) = {day:Date} AND ${scope}
             AND toUnixTimestamp64Milli(created_at) < {cutoff:Int64} GROUP BY s`,
          { day, cutoff: books.cutoffMs },
        ),
      ),
    myRows: async (day, seconds) =>
      rowsOf(
        await conn.query<StoredEntry[]>(
          `SELECT ${columns} FROM wallet_ledger WHERE ${onDay(day)} AND ${SECOND} IN (${listOf(seconds)})`,
        ),
      ),
    theirRows: async (day, seconds) =>
      rowsOf(
        await clickhouse.query<StoredEntry>(
          `SELECT event_id, customer_id, op, amount, toUnixTimestamp64Milli(created_at) AS created_ms
           FROM wallet_ledger FINAL WHERE toDate(created_at) = {day:Date} AND ${scope}
             AND toUnixTimestamp(created_at) IN (${listOf(seconds)})`,
          { day },
        ),
      ),
    rowsNow: async (rows) => {
      const keys = rows.map((row) => [row.customerId, ...keyOf(row.eventId)]);
      const sql = `SELECT ${columns} FROM wallet_ledger WHERE (customer_id, entry_id, leg) IN (?)`;
      return rowsOf(await pool.query<StoredEntry[]>(sql, [keys]));
    },
  };
}

/** ClickHouse's sums: from `firstDay` on by single entries, before it by the stored sums of closed days. */
export async function entrySums(clickhouse: Clickhouse, books: Books, firstDay: string): Promise<DaySum[]> {
  const scope = ofScope(books.scope);
  const rows = await clickhouse.query<{
    customer_id: string;
    day: string;
    op: string;
    young: number;
    count: string;
    amount: string;
    fingerprint: string;
  }>(
    `SELECT customer_id, toString(toDate(created_at)) AS day, op,
       toUnixTimestamp64Milli(created_at) >= {cutoff:Int64} AS young,
       count() AS count, toString(sum(l.amount)) AS amount,
       toString(sum(toUInt64(CRC32(concat(l.entry_id, ':', toString(l.amount)))))) AS fingerprint
     FROM wallet_ledger AS l FINAL WHERE toDate(created_at) >= {first:Date} AND ${scope}
     GROUP BY customer_id, toDate(created_at), op, young
     UNION ALL
     SELECT customer_id, toString(day), op, 0, entries, toString(amount), '' FROM mv_wallet_ledger_daily
     WHERE day < {first:Date} AND ${scope}`,
    { first: firstDay, cutoff: books.cutoffMs },
  );
  return rows.map((row) => ({
    customerId: Number(row.customer_id),
    day: row.day,
    what: row.op,
    young: Number(row.young) === 1,
    count: Number(row.count),
    amount: Number(row.amount),
    fingerprint: row.fingerprint,
  }));
}

/** Splits `<entry_id>:<leg>`. */
export const keyOf = (eventId: string): [entryId: string, leg: string] => [
  eventId.slice(0, 26),
  eventId.slice(27),
];

const rowsOf = (rows: readonly StoredEntry[]): EventRow[] =>
  rows.map(({ event_id, customer_id, op, amount, created_ms }) => ({
    customerId: Number(customer_id),
    eventId: event_id,
    value: `${op} ${amount}`,
    order: 0,
    atMs: Number(created_ms),
  }));

export const secondsOf = (rows: readonly StoredSecond[]): Second[] =>
  rows.map(({ s, n, f }) => ({ second: Number(s), rows: Number(n), fingerprint: String(f) }));
