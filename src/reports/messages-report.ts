// GET /v1/reports/messages: a customer's messages at their latest status, from ClickHouse, newest first, by
// pages or as an export. Owns its SQL and the shape of a row; leaves filling messages_log to sql/clickhouse.
// Invariants: a row is one message, however often and in whatever order its events arrived; pages neither
// repeat nor skip a message, because they are divided by id. Bounds: rows by `limit`, time by
// max_execution_time; customer and time range limit what is read.

import { isUlid, ulidBound, ULID_TIME_MAX_MS, ulidTimeMs } from "../core/id.ts";
import { EXPORT_PAGE_ROWS } from "../core/stream-limits.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import type { ExportPage } from "./exports.ts";
import { asOf, asOfMs, timeOf } from "./freshness.ts";
import { type CursorValues, failEmptyWindow, type Params, type Query, readParams } from "./params.ts";

export type ReportDeps = { clickhouse: Clickhouse; now: () => number };
export type ReportCustomer = { customerId: number; region: string };

export type ReportRow = {
  id: string;
  phone: string;
  type: string;
  status: string;
  parts: number;
  cost: number;
  reference: string | null;
  operator: string | null;
  operator_message_id: string | null;
  created_at: string;
  updated_at: string;
};
export type MessagesReport = {
  messages: ReportRow[];
  next_cursor: string | null;
  /** The time of the latest event: the report contains everything up to it. Null before the first event. */
  as_of: string | null;
};

const WINDOW_DEFAULT_MS = 24 * 3_600_000;
/** How many messages are examined for a status before the whole range is, for each of the page. */
const CANDIDATES = 2;
// An id is made shortly before its created_at; if a clock was set back, ids stay ahead of it for that long.
// The range of ids only limits what is read.
const ID_SLACK_MS = 600_000;
const EXECUTION_MAX_S = 8;

/** @throws SluiceError validation_failed, reports_unavailable */
export async function messagesReport(
  { clickhouse, now }: ReportDeps,
  customer: ReportCustomer,
  query: Query,
): Promise<MessagesReport> {
  const params = readParams(query);
  const filter = filterOf(params, customer, now());
  const limit = params.limit();
  params.check();

  // Read before the rows, so that the report may be fresher than it says but never staler.
  const as_of = await asOf(clickhouse, ["status"]);
  // Reads one row more than asked for, to see whether there is a next page.
  const rows = await readPage(clickhouse, customer, filter, limit + 1);
  const messages = rows.slice(0, limit).map(rowOf);
  const last = messages.at(-1);
  const more = rows.length > limit && last !== undefined;
  return {
    messages,
    next_cursor: more ? params.nextCursor([filter.fromMs, filter.toMs, last.id]) : null,
    as_of,
  };
}

/**
 * A page of the export: messages at their latest status as of the moment at which its first page was read.
 * @throws SluiceError validation_failed, reports_unavailable
 */
export async function exportMessages(
  { clickhouse, now }: ReportDeps,
  customer: ReportCustomer,
  query: Query,
): Promise<ExportPage<ReportRow>> {
  const params = readParams(query);
  const filter = filterOf(params, customer, now());
  params.check();

  const atMs = filter.asOfMs ?? (await asOfMs(clickhouse, ["status"]));
  const { fromMs, toMs } = filter;
  const asked = { ...filter, asOfMs: atMs };
  const found = await readPage(clickhouse, customer, asked, EXPORT_PAGE_ROWS + 1);
  const rows = found.slice(0, EXPORT_PAGE_ROWS).map((stored) => ({
    row: rowOf(stored),
    cursor: params.nextCursor([fromMs, toMs, stored.id, atMs]),
  }));
  const more = found.length > EXPORT_PAGE_ROWS;
  return {
    rows,
    next: more ? (rows.at(-1)?.cursor ?? null) : null,
    as_of: timeOf(atMs),
  };
}

type Filter = {
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

function filterOf(params: Params, customer: ReportCustomer, nowMs: number): Filter {
  const cursor = params.cursor(isReportCursor) as [number, number, string, number?] | null;
  const id = params.id();
  const [status, type, phone] = [params.status(), params.type(), params.phone(customer.region)];
  const [from, to] = [params.time("from"), params.time("to")];
  // An id is found whatever its time; a cursor keeps the time range of its first page while `now` moves on.
  const toMs = cursor?.[1] ?? to ?? (id === null ? nowMs + 1 : ULID_TIME_MAX_MS);
  const fromMs = cursor?.[0] ?? from ?? (id === null ? Math.max(0, toMs - WINDOW_DEFAULT_MS) : 0);
  if (fromMs >= toMs) failEmptyWindow(params, { from, to });

  const ids = idRangeOf(fromMs, toMs);
  let low = ids.low;
  let high = cursor?.[2] ?? ids.high;
  if (id !== null) {
    low = id;
    high = cursor === null ? `${id}0` : low; // just above the id; a single id has no second page
  }
  return { fromMs, toMs, low, high, status, type, phone, asOfMs: cursor?.[3] ?? null };
}

/** Limits what is read of messages with `from <= created_at < to` to low <= id < high. Unix milliseconds. */
export const idRangeOf = (fromMs: number, toMs: number): { low: string; high: string } => ({
  low: ulidBound(Math.max(0, fromMs - ID_SLACK_MS)),
  high: ulidBound(Math.min(ULID_TIME_MAX_MS, toMs + ID_SLACK_MS)),
});

function isReportCursor(values: CursorValues): boolean {
  const [fromMs, toMs, id, asOfMs = 0] = values;
  return values.length <= 4 && [fromMs, toMs, asOfMs].every(isTime) && isUlid(id) && ulidTimeMs(id) >= 0;
}

const isTime = (value: unknown): boolean =>
  typeof value === "number" && value >= 0 && value <= ULID_TIME_MAX_MS;

async function readPage(
  clickhouse: Clickhouse,
  customer: ReportCustomer,
  filter: Filter,
  count: number,
): Promise<StoredRow[]> {
  const values = {
    customer: customer.customerId,
    low: filter.low,
    high: filter.high,
    from: filter.fromMs,
    to: filter.toMs,
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
  // they don't fill the page, the whole range is grouped (id, status and sequence only; 0.3 s for a million
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

type StoredRow = Omit<
  ReportRow,
  "reference" | "operator" | "operator_message_id" | "created_at" | "updated_at"
> & {
  reference: string;
  operator: string;
  operator_message_id: string;
  created_at_ms: string | number;
  updated_at_ms: string | number;
};

function rowOf(row: StoredRow): ReportRow {
  return {
    id: row.id,
    phone: row.phone,
    type: row.type,
    status: row.status,
    parts: Number(row.parts),
    cost: Number(row.cost),
    reference: row.reference === "" ? null : row.reference,
    operator: row.operator === "" ? null : row.operator,
    operator_message_id: row.operator_message_id === "" ? null : row.operator_message_id,
    created_at: new Date(Number(row.created_at_ms)).toISOString(),
    updated_at: new Date(Number(row.updated_at_ms)).toISOString(),
  };
}
