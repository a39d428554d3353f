// GET /v1/reports/usage: what a customer sent and what it cost, by minute, hour or day of acceptance, from
// ClickHouse, newest first. Owns its SQL and the shape of a row; leaves windows and pages to usage-pages.ts.
// Invariants: a message counts once, in its period and at its latest status, however often and in whatever
// order its events came; cost + refunded is what was reserved for a row's messages, which is nothing for
// unreserved ones, and refunded what the ledger gave back. Bounds: those of usage-pages.ts, and time and
// memory of each statement.

import assert from "node:assert/strict";
import { LANES, settlementOf, STATUSES } from "../core/message.ts";
import { CALLING_CODES } from "../core/phone.ts";
import { LIST_LIMIT_MAX } from "../core/limits.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import type { ExportPage } from "./exports.ts";
import { asOf, asOfMs, timeOf } from "./freshness.ts";
import { idRangeOf, type ReportDeps } from "./messages-report.ts";
import { type Query, readParams, type UsageKey } from "./params.ts";
import { periodMsOf, readPeriods, ROWS_MAX, type UsageWindow, windowOf } from "./usage-pages.ts";

/** The keys are those that the report was asked for. */
export type UsageRow = Partial<Record<UsageKey, string>> & {
  /** RFC 3339; its beginning. */
  start: string;
  messages: number;
  parts: number;
  /** Captured, or reserved so far, in minor units. */
  cost: number;
  refunded: number;
  unique_phones: number;
};
export type UsageReport = {
  usage: UsageRow[];
  next_cursor: string | null;
  /** The report contains everything up to this time. Null before the first event. */
  as_of: string | null;
};

const EXECUTION_MAX_S = 8;
/** Some 20 million different numbers. */
const MEMORY_MAX_BYTES = 1_000_000_000;

assert(
  STATUSES.length * LANES.length * CALLING_CODES.length < ROWS_MAX,
  "all rows of a period fit a page of usage",
);

/** How long reading takes is no matter of the time of day. */
const monotonicMs = () => performance.now();

/** @throws SluiceError validation_failed, reports_unavailable */
export async function usageReport(
  { clickhouse, now }: ReportDeps,
  customerId: number,
  query: Query,
): Promise<UsageReport> {
  const params = readParams(query);
  const [interval, by] = [params.interval(), params.by()];
  const window = windowOf(params, interval, now());
  const limit = params.limit();
  params.check();

  // Both, because the ledger says what was refunded; before the rows, so that they are never staler.
  const as_of = await asOf(clickhouse, ["status", "ledger"]);
  const read = (slice: UsageWindow) =>
    readUsage(clickhouse, customerId, { slice, by, periodMs: periodMsOf(interval), asOfMs: null });
  const { rows, beforeMs } = await readPeriods(read, window, { interval, periodsMax: limit, monotonicMs });
  return {
    usage: rows.map(({ row }) => row),
    next_cursor: beforeMs === null ? null : params.nextCursor([window.fromMs, beforeMs]),
    as_of,
  };
}

/**
 * A page of the export, as of the moment at which its first page was read. A cursor has the rest of the
 * window, that moment, and how many rows of the first period it has already.
 * @throws SluiceError validation_failed, reports_unavailable
 */
export async function exportUsage(
  { clickhouse, now }: ReportDeps,
  customerId: number,
  query: Query,
): Promise<ExportPage<UsageRow>> {
  const params = readParams(query);
  const [interval, by] = [params.interval(), params.by()];
  const window = windowOf(params, interval, now());
  params.check();

  const periodMs = periodMsOf(interval);
  const atMs = window.asOfMs ?? (await asOfMs(clickhouse, ["status", "ledger"]));
  const read = (slice: UsageWindow) =>
    readUsage(clickhouse, customerId, { slice, by, periodMs, asOfMs: atMs });
  const { rows, beforeMs } = await readPeriods(read, window, {
    interval,
    periodsMax: LIST_LIMIT_MAX,
    monotonicMs,
  });
  const cursorAt = (before: number, skipped: number) =>
    params.nextCursor([window.fromMs, before, atMs, skipped]);
  let counted = { startMs: -1, rows: 0 };
  const all = rows.map(({ startMs, row }) => {
    counted = { startMs, rows: startMs === counted.startMs ? counted.rows + 1 : 1 };
    return { row, cursor: cursorAt(Math.min(window.beforeMs, startMs + periodMs), counted.rows) };
  });
  return {
    rows: all.slice(window.skipped),
    next: beforeMs === null ? null : cursorAt(beforeMs, 0),
    as_of: timeOf(atMs),
  };
}

type Asked = { slice: UsageWindow; by: readonly UsageKey[]; periodMs: number; asOfMs: number | null };

async function readUsage(
  clickhouse: Clickhouse,
  customerId: number,
  { slice, by, periodMs, asOfMs }: Asked,
): Promise<{ startMs: number; row: UsageRow }[]> {
  const { fromMs, beforeMs } = slice;
  const rows = await clickhouse.query<StoredRow>(usageSql(by, asOfMs !== null), {
    customer: customerId,
    ...idRangeOf(fromMs, beforeMs),
    from: fromMs,
    to: beforeMs,
    period: periodMs,
    as_of: asOfMs ?? 0,
    count: ROWS_MAX + 1,
  });
  return rows.map((row) => ({ startMs: Number(row.start_ms), row: rowOf(row, by) }));
}

// A message that ended unsent was refunded in the same transaction. So was an express message that was taken
// too late, but only the ledger says so: wallet_ledger for 30 days, and `refunds` from its last week on.
const REFUNDED = STATUSES.filter((status) => settlementOf(status) === "refund");
const listOf = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(",");
const codesOf = (digits: number): string => listOf(CALLING_CODES.filter((code) => code.length === digits));

const KEYS: Record<UsageKey, string> = {
  status: "last_status",
  lane: "in_lane",
  prefix:
    `multiIf(substring(recipient, 2, 1) IN (${codesOf(1)}), substring(recipient, 1, 2), ` +
    `substring(recipient, 2, 2) IN (${codesOf(2)}), substring(recipient, 1, 3), substring(recipient, 1, 4))`,
};

// The columns inside have other names than those outside, because ClickHouse puts an alias in place of a
// column of the same name.
function usageSql(by: readonly UsageKey[], isPinned: boolean): string {
  const until = (column: string) =>
    isPinned ? `AND ${column} <= fromUnixTimestamp64Milli({as_of:Int64})` : "";
  const keys = by.map((key) => `${KEYS[key]} AS ${key}, `).join("");
  const groups = by.map((key) => `, ${key}`).join("");
  return `SELECT start_ms, ${keys}count() AS messages, sum(part_count) AS parts,
      sumIf(amount, is_refunded = 0) AS cost, sumIf(amount, is_refunded = 1) AS refunded,
      uniqExact(recipient) AS unique_phones
    FROM (
      SELECT intDiv(any(toUnixTimestamp64Milli(m.created_at)), {period:Int64}) * {period:Int64} AS start_ms,
        argMax(m.status, m.sequence) AS last_status, any(m.type) AS in_lane, any(m.phone) AS recipient,
        argMax(m.parts, m.sequence) AS part_count,
        if(argMax(m.unreserved, m.sequence) = 1, 0, argMax(m.cost, m.sequence)) AS amount,
        (last_status IN (${listOf(REFUNDED)})
          OR m.id IN (
            SELECT substring(e.event_id, 1, 26) FROM wallet_ledger AS e
            WHERE e.customer_id = {customer:UInt64} AND e.op = 'refund'
              AND e.created_at >= fromUnixTimestamp64Milli({from:Int64})
              AND e.event_id >= {low:String} AND e.event_id < {high:String} ${until("e.created_at")})
          OR m.id IN (
            SELECT r.id FROM refunds AS r
            WHERE r.customer_id = {customer:UInt64} AND r.id >= {low:String} AND r.id < {high:String}
              ${until("r.created_at")})
        ) AS is_refunded
      FROM messages_log AS m
      WHERE m.customer_id = {customer:UInt64} AND m.id >= {low:String} AND m.id < {high:String}
        AND m.created_at >= fromUnixTimestamp64Milli({from:Int64})
        AND m.created_at < fromUnixTimestamp64Milli({to:Int64}) ${until("m.updated_at")}
      GROUP BY m.customer_id, m.id
    )
    GROUP BY start_ms${groups}
    ORDER BY start_ms DESC${groups}
    LIMIT {count:UInt32}
    SETTINGS max_execution_time = ${EXECUTION_MAX_S}, max_memory_usage = ${MEMORY_MAX_BYTES},
      optimize_aggregation_in_order = 1`;
}

type Figure = "start_ms" | "messages" | "parts" | "cost" | "refunded" | "unique_phones";
type StoredRow = Record<Figure, string | number> & Record<UsageKey, string>;

function rowOf(row: StoredRow, by: readonly UsageKey[]): UsageRow {
  const keys = Object.fromEntries(by.map((key) => [key, row[key]])) as Partial<Record<UsageKey, string>>;
  return {
    start: new Date(Number(row.start_ms)).toISOString(),
    ...keys,
    messages: Number(row.messages),
    parts: Number(row.parts),
    cost: Number(row.cost),
    refunded: Number(row.refunded),
    unique_phones: Number(row.unique_phones),
  };
}
