// How the promises of express messages ended, hour by hour, from ClickHouse. For the staff who run the
// gateway, over all customers. Owns its SQL. Kept means taken and not refunded, because a message that was
// taken after its guaranteed_by is refunded. Only the ledger says so: wallet_ledger for 30 days, and
// `refunds` from its last week on (usage-report.ts reads both, too).
// Invariant: a message counts once, in the hour of its acceptance, however often its events came. Bound:
// max_execution_time, MEMORY_MAX_BYTES, and the days of the period.

import { settlementOf, STATUSES } from "../core/message.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";

export type ExpressHour = {
  /** RFC 3339; its beginning. */
  hour: string;
  accepted: number;
  /** Taken by an operator in time, and not refunded. */
  kept: number;
  /** Taken too late, and refunded. */
  late: number;
  /** Not submitted, because it would have been too late. */
  expired: number;
  /** Refused by every operator asked, or not sent for another reason. */
  failed: number;
  /** Not ended, or not known to the report yet. */
  open: number;
  /** kept / (kept + late + expired); null if there is none. */
  kept_share: number | null;
};

const EXECUTION_MAX_S = 60;
/** Messages are grouped in the order of the key, so this is for much more than is needed. */
const MEMORY_MAX_BYTES = 2_000_000_000;

/** In order of time; hours without a message are left out. @throws SluiceError reports_unavailable */
export async function expressReport(
  clickhouse: Clickhouse,
  { fromMs, toMs }: { fromMs: number; toMs: number },
): Promise<ExpressHour[]> {
  const rows = await clickhouse.query<StoredRow>(SQL, { from: fromMs, to: toMs });
  return rows.map(({ hour_s, ...counts }) => {
    const [accepted, kept, late, expired, failed] = [
      counts.accepted,
      counts.kept,
      counts.late,
      counts.expired,
      counts.failed,
    ].map(Number) as [number, number, number, number, number];
    const promised = kept + late + expired;
    return {
      hour: new Date(Number(hour_s) * 1_000).toISOString(),
      accepted,
      kept,
      late,
      expired,
      failed,
      open: accepted - promised - failed,
      kept_share: promised === 0 ? null : kept / promised,
    };
  });
}

const listOf = (statuses: readonly string[]): string => statuses.map((status) => `'${status}'`).join(",");
const TAKEN = listOf(STATUSES.filter((status) => settlementOf(status) === "capture"));
const FAILED = listOf(STATUSES.filter((status) => settlementOf(status) === "refund" && status !== "expired"));
const SQL = `SELECT toUnixTimestamp(toStartOfHour(accepted_at)) AS hour_s, count() AS accepted,
    countIf(last_status IN (${TAKEN}) AND is_refunded = 0) AS kept,
    countIf(last_status IN (${TAKEN}) AND is_refunded = 1) AS late,
    countIf(last_status = 'expired') AS expired,
    countIf(last_status IN (${FAILED})) AS failed
  FROM (
    SELECT any(m.created_at) AS accepted_at, argMax(m.status, m.sequence) AS last_status,
      m.id IN (
        SELECT substring(e.event_id, 1, 26) FROM wallet_ledger AS e
        WHERE e.op = 'refund' AND e.created_at >= fromUnixTimestamp64Milli({from:Int64})
        UNION ALL
        SELECT r.id FROM refunds AS r WHERE r.created_at >= fromUnixTimestamp64Milli({from:Int64})
      ) AS is_refunded
    FROM messages_log AS m
    WHERE m.type = 'express'
      AND m.created_at >= fromUnixTimestamp64Milli({from:Int64})
      AND m.created_at < fromUnixTimestamp64Milli({to:Int64})
    GROUP BY m.customer_id, m.id
  )
  GROUP BY hour_s
  ORDER BY hour_s
  SETTINGS max_execution_time = ${EXECUTION_MAX_S}, max_memory_usage = ${MEMORY_MAX_BYTES},
    optimize_aggregation_in_order = 1`;

type StoredRow = Record<"hour_s" | "accepted" | "kept" | "late" | "expired" | "failed", string | number>;
