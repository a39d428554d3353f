// Who sent the most within a period, from ClickHouse. For the staff who run the gateway. Owns its SQL.
// Invariants: a message counts once, at its latest status, however often its events came; what was refunded
// costs nothing. Bounds: the days of the period, max_execution_time, and LIMIT.

import { settlementOf, STATUSES } from "../core/message.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import { idRangeOf } from "./messages-report.ts";
import type { TopOrder } from "./params.ts";

export type TopCustomer = {
  customer_id: string;
  messages: number;
  parts: number;
  /** Captured, or reserved so far, in minor units of the customer's currency. */
  cost: number;
  refunded: number;
};
/** from <= created_at < to, in Unix milliseconds */
export type TopAsked = { fromMs: number; toMs: number; by: TopOrder; count: number };

const EXECUTION_MAX_S = 60;

/** The first ones by `by`, the largest first. @throws SluiceError reports_unavailable */
export async function topCustomers(
  clickhouse: Clickhouse,
  { fromMs, toMs, by, count }: TopAsked,
): Promise<TopCustomer[]> {
  const values = { from: fromMs, to: toMs, ...idRangeOf(fromMs, toMs), count };
  const rows = await clickhouse.query<StoredRow>(sqlOf(by), values);
  return rows.map((row) => ({
    customer_id: String(row.customer),
    messages: Number(row.messages),
    parts: Number(row.part_sum),
    cost: Number(row.cost_sum),
    refunded: Number(row.refunded),
  }));
}

const COLUMNS: Record<TopOrder, string> = { cost: "cost_sum", parts: "part_sum", messages: "messages" };
const REFUNDED = STATUSES.filter((status) => settlementOf(status) === "refund");
const REFUNDED_SQL = REFUNDED.map((status) => `'${status}'`).join(",");

// An express message that was taken too late is sent, and refunded: only the ledger says so.
const sqlOf = (by: TopOrder): string => `SELECT customer, count() AS messages, sum(part_count) AS part_sum,
    sumIf(amount, is_refunded = 0) AS cost_sum, sumIf(amount, is_refunded = 1) AS refunded
  FROM (
    SELECT m.customer_id AS customer, argMax(m.parts, m.sequence) AS part_count,
      argMax(m.cost, m.sequence) AS amount, argMax(m.status, m.sequence) AS last_status,
      (last_status IN (${REFUNDED_SQL})
        OR (m.customer_id, m.id) IN (
          SELECT e.customer_id, substring(e.event_id, 1, 26) FROM wallet_ledger AS e
          WHERE e.op = 'refund' AND e.created_at >= fromUnixTimestamp64Milli({from:Int64})
            AND e.event_id >= {low:String} AND e.event_id < {high:String})
        OR (m.customer_id, m.id) IN (
          SELECT r.customer_id, r.id FROM refunds AS r
          WHERE r.id >= {low:String} AND r.id < {high:String})
      ) AS is_refunded
    FROM messages_log AS m
    WHERE m.created_at >= fromUnixTimestamp64Milli({from:Int64})
      AND m.created_at < fromUnixTimestamp64Milli({to:Int64})
    GROUP BY m.customer_id, m.id
  )
  GROUP BY customer
  ORDER BY ${COLUMNS[by]} DESC, customer
  LIMIT {count:UInt32}
  SETTINGS max_execution_time = ${EXECUTION_MAX_S}, optimize_aggregation_in_order = 1`;

type StoredRow = Record<"customer" | "messages" | "part_sum" | "cost_sum" | "refunded", string | number>;
