// Reads a page of a customer's messages from ClickHouse, newest first. What is filtered is searched backwards
// in windows, which become longer while they are read fast, until the page is full or its time is over: so a
// status that is rare is found however much traffic there is, in shorter pages. Owns the SQL; leaves what may
// be asked for to messages-report.ts.
// Invariant: a row is one message, however often and in whatever order its events arrived. Bounds: rows by
// the page, time by SEARCH_MAX_MS and max_execution_time; customer, ids and days limit what is read.

import { ULID_TIME_MAX_MS, ulidBound, ulidTimeMs } from "../core/id.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import { isUnavailable } from "./usage-pages.ts";

export type MessagesFilter = {
  /** from <= created_at < to, in Unix milliseconds. */
  fromMs: number;
  toMs: number;
  /** low <= id < high */
  low: string;
  high: string;
  status: string | null;
  type: string | null;
  phone: string | null;
  /** What happened later doesn't count; null: all does. */
  asOfMs: number | null;
};
export type MessagesPage = {
  rows: StoredRow[];
  /** The next page has the messages before this id; null at the end. */
  beforeId: string | null;
};

/** An id is made shortly before its message's created_at; with room for clocks that were set. */
export const CREATED_SLACK_MS = 86_400_000;
/** How many messages are examined for a status before the whole window is, for each of the page. */
const CANDIDATES = 2;
const EXECUTION_MAX_S = 8;
/** The first window of a search. */
const WINDOW_MS = 86_400_000;
/** No further window is begun after this. */
const SEARCH_MAX_MS = 3_000;
/** After a window that took less, the next one is WINDOW_GROWTH times as long. */
const WINDOW_FAST_MS = 500;
const WINDOW_GROWTH = 4;

/**
 * At most `limit` messages; fewer, or none, before the end if a search takes long. Once a window was read,
 * one that can't be read ends the page instead of failing it. @throws SluiceError reports_unavailable
 */
export async function readPage(
  clickhouse: Clickhouse,
  customerId: number,
  filter: MessagesFilter,
  limit: number,
): Promise<MessagesPage> {
  const isSearch = [filter.status, filter.type, filter.phone].some((wanted) => wanted !== null);
  const endMs = performance.now() + SEARCH_MAX_MS;
  const rows: StoredRow[] = [];
  let windowMs = isSearch ? WINDOW_MS : ULID_TIME_MAX_MS;
  let { high } = filter;
  do {
    const lowMs = Math.max(0, timeOf(high) - windowMs);
    const low = [filter.low, ulidBound(lowMs)].toSorted().at(-1) as string;
    const startedMs = performance.now();
    try {
      // One row more than asked for shows that there is a next page.
      const found = await readWindow(
        clickhouse,
        customerId,
        { ...filter, low, high },
        limit + 1 - rows.length,
      );
      rows.push(...found);
    } catch (error) {
      if (high === filter.high || !isUnavailable(error)) throw error;
      break;
    }
    if (rows.length > limit) return { rows: rows.slice(0, limit), beforeId: rows[limit - 1]?.id ?? null };
    high = low;
    if (performance.now() - startedMs < WINDOW_FAST_MS) windowMs *= WINDOW_GROWTH;
  } while (high > filter.low && performance.now() < endMs);
  return { rows, beforeId: high > filter.low ? high : null };
}

/** Of an id, or of the end of a range of ids. */
const timeOf = (bound: string): number => ulidTimeMs(bound.slice(0, 26));

async function readWindow(
  clickhouse: Clickhouse,
  customerId: number,
  filter: MessagesFilter,
  count: number,
): Promise<StoredRow[]> {
  const values = {
    customer: customerId,
    low: filter.low,
    high: filter.high,
    // Days are partitions, and those that the ids leave out are not read.
    from: Math.max(filter.fromMs, timeOf(filter.low) - CREATED_SLACK_MS),
    to: Math.min(filter.toMs, timeOf(filter.high) + CREATED_SLACK_MS),
    status: filter.status ?? "",
    type: filter.type ?? "",
    phone: filter.phone ?? "",
    as_of: filter.asOfMs ?? 0,
    count,
  };
  const where = `customer_id = {customer:UInt64} AND id >= {low:String} AND id < {high:String}
    AND created_at >= fromUnixTimestamp64Milli({from:Int64})
    AND created_at < fromUnixTimestamp64Milli({to:Int64})
    ${filter.asOfMs === null ? "" : "AND updated_at <= fromUnixTimestamp64Milli({as_of:Int64})"}`;
  const picked = [
    where,
    ...(filter.phone === null ? [] : ["phone = {phone:String}"]),
    ...(filter.type === null ? [] : ["type = {type:String}"]),
  ].join(" AND ");
  // Reads the key backwards until the page is full.
  const newest = (also: string, most: string) => `SELECT id FROM messages_log WHERE ${picked} ${also}
    ORDER BY customer_id DESC, id DESC LIMIT 1 BY id LIMIT ${most}`;
  const read = (page: string) => clickhouse.query<StoredRow>(rowsSql(where, page), values);
  if (filter.status === null) return read(newest("", "{count:UInt32}"));

  // Only the latest status counts. Most of the newest messages that ever had the status still have it; if
  // they don't fill the page, the whole window is grouped (id, status and sequence only; 0.3 s for a million
  // messages).
  const latest = (among: string) => `SELECT id FROM messages_log WHERE ${picked} ${among} GROUP BY id
    HAVING argMax(status, sequence) = {status:String} ORDER BY id DESC LIMIT {count:UInt32}`;
  const had = newest("AND status = {status:String}", `${CANDIDATES} * {count:UInt32}`);
  const likely = await read(latest(`AND id IN (${had})`));
  return likely.length === count ? likely : read(latest(""));
}

/** All columns of the messages of one page, newest first. */
function rowsSql(where: string, page: string): string {
  const latest = ["status", "parts", "cost", "reference", "operator", "operator_message_id"];
  return `SELECT id, any(phone) AS phone, any(type) AS type,
      ${latest.map((column) => `argMax(m.${column}, m.sequence) AS ${column}`).join(", ")},
      toUnixTimestamp64Milli(any(m.created_at)) AS created_at_ms,
      toUnixTimestamp64Milli(argMax(m.updated_at, m.sequence)) AS updated_at_ms
    FROM messages_log AS m
    WHERE ${where} AND id IN (${page})
    GROUP BY id ORDER BY id DESC
    SETTINGS max_execution_time = ${EXECUTION_MAX_S}, optimize_aggregation_in_order = 1`;
}

export type StoredRow = {
  id: string;
  phone: string;
  type: string;
  status: string;
  parts: number;
  cost: number;
  reference: string;
  operator: string;
  operator_message_id: string;
  created_at_ms: string | number;
  updated_at_ms: string | number;
};
