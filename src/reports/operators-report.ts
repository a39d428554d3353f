// How operators did with the numbers of a route, from ClickHouse: what they took and how fast, what arrived
// and how fast. For the staff who run the gateway, over all customers. Owns its SQL. Leaves to others:
// refusals, which leave no status behind (sluice_operator_submits_total has them).
// Invariant: a message counts once, for the operator of its latest status, however often its events came.
// Bound: max_execution_time, MEMORY_MAX_BYTES, and the days of the period.

import type { Lane } from "../core/message.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";

export type Compared = {
  operators: readonly string[];
  prefixes: readonly string[];
  lanes: readonly Lane[];
  /** from <= created_at < to */
  fromMs: number;
  toMs: number;
};
export type OperatorRow = {
  operator: string;
  /** Messages that it took, and their parts. */
  taken: number;
  parts: number;
  delivered: number;
  undelivered: number;
  /** Taken, without an end so far. */
  open: number;
  /** Of those that ended; null if none did. */
  delivered_share: number | null;
  /** From acceptance to its answer, and from its answer to delivery; null if there is none. */
  taken_ms: { p50: number; p95: number } | null;
  delivered_ms: { p50: number; p95: number } | null;
};

const EXECUTION_MAX_S = 60;
/** Messages are grouped in the order of the key, so this is for much more than is needed. */
const MEMORY_MAX_BYTES = 2_000_000_000;

/** In the order of `operators`; also those that took nothing. @throws SluiceError reports_unavailable */
export async function operatorsReport(clickhouse: Clickhouse, compared: Compared): Promise<OperatorRow[]> {
  const { operators, prefixes, lanes, fromMs, toMs } = compared;
  const rows = await clickhouse.query<StoredRow>(SQL, { operators, prefixes, lanes, from: fromMs, to: toMs });
  const byName = new Map(rows.map((row) => [row.operator, row]));
  return operators.map((operator) => rowOf(operator, byName.get(operator)));
}

const ENDS = "('delivered', 'undelivered')";
const SQL = `SELECT operator, count() AS taken, sum(parts) AS parts,
    countIf(status = 'delivered') AS delivered, countIf(status = 'undelivered') AS undelivered,
    quantilesTDigest(0.5, 0.95)(taken_ms) AS taken_ms,
    quantilesTDigestIf(0.5, 0.95)(delivered_ms, status = 'delivered') AS delivered_ms
  FROM (
    SELECT argMax(m.operator, m.sequence) AS operator, argMax(m.status, m.sequence) AS status,
      any(m.parts) AS parts,
      minIf(toUnixTimestamp64Milli(m.updated_at), m.status = 'sent' OR m.status IN ${ENDS}) AS taken_at_ms,
      taken_at_ms - toUnixTimestamp64Milli(any(m.created_at)) AS taken_ms,
      minIf(toUnixTimestamp64Milli(m.updated_at), m.status = 'delivered') - taken_at_ms AS delivered_ms
    FROM messages_log AS m
    WHERE m.created_at >= fromUnixTimestamp64Milli({from:Int64})
      AND m.created_at < fromUnixTimestamp64Milli({to:Int64})
      AND m.type IN {lanes:Array(String)}
      AND arrayExists(prefix -> startsWith(m.phone, prefix), {prefixes:Array(String)})
    GROUP BY m.customer_id, m.id
    HAVING taken_at_ms > 0
  )
  WHERE operator IN {operators:Array(String)}
  GROUP BY operator
  SETTINGS max_execution_time = ${EXECUTION_MAX_S}, max_memory_usage = ${MEMORY_MAX_BYTES},
    optimize_aggregation_in_order = 1`;

type StoredRow = {
  operator: string;
  taken: string | number;
  parts: string | number;
  delivered: string | number;
  undelivered: string | number;
  taken_ms: (string | number)[];
  delivered_ms: (string | number)[];
};

function rowOf(operator: string, row: StoredRow | undefined): OperatorRow {
  const [taken, parts, delivered, undelivered] = [
    row?.taken,
    row?.parts,
    row?.delivered,
    row?.undelivered,
  ].map((n) => Number(n ?? 0)) as [number, number, number, number];
  const ended = delivered + undelivered;
  const times = ([p50, p95]: (string | number)[] = []) => ({
    p50: Math.round(Number(p50)),
    p95: Math.round(Number(p95)),
  });
  return {
    operator,
    taken,
    parts,
    delivered,
    undelivered,
    open: taken - ended,
    delivered_share: ended === 0 ? null : delivered / ended,
    taken_ms: taken === 0 ? null : times(row?.taken_ms),
    delivered_ms: delivered === 0 ? null : times(row?.delivered_ms),
  };
}
