// GET /v1/reports/messages: a customer's messages at their latest status, from ClickHouse, newest first, by
// pages or as an export. Owns its parameters and the shape of a row; leaves reading a page to
// messages-page.ts, and filling messages_log to sql/clickhouse.
// Invariant: pages neither repeat nor skip a message, because they are divided by id. Bound: `limit` rows.

import { isUlid, ulidBound, ULID_TIME_MAX_MS, ulidTimeMs } from "../core/id.ts";
import { EXPORT_PAGE_ROWS } from "../core/stream-limits.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import type { ExportPage } from "./exports.ts";
import { asOf, asOfMs, timeOf } from "./freshness.ts";
import { type MessagesFilter, readPage, type StoredRow } from "./messages-page.ts";
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
// An id is made shortly before its created_at; if a clock was set back, ids stay ahead of it for that long.
// The range of ids only limits what is read.
const ID_SLACK_MS = 600_000;

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
  const { rows, beforeId } = await readPage(clickhouse, customer.customerId, filter, limit);
  return {
    messages: rows.map(rowOf),
    next_cursor: beforeId === null ? null : params.nextCursor([filter.fromMs, filter.toMs, beforeId]),
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
  const { rows, beforeId } = await readPage(clickhouse, customer.customerId, asked, EXPORT_PAGE_ROWS);
  const before = (id: string) => params.nextCursor([fromMs, toMs, id, atMs]);
  return {
    rows: rows.map((stored) => ({ row: rowOf(stored), cursor: before(stored.id) })),
    next: beforeId === null ? null : before(beforeId),
    as_of: timeOf(atMs),
  };
}

function filterOf(params: Params, customer: ReportCustomer, nowMs: number): MessagesFilter {
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
