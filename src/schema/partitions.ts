// Daily partitions of `messages`, `wallet_ledger`, `submissions`, `webhook_deliveries` and `late_reports`,
// bounded by ULIDs, created ahead; those of the last three are dropped once nobody can ask for them. Owns the
// DDL; leaves to its callers when it runs (at migration, then four times a day). Invariant: the partition of
// a day exists before its first row, so p_future stays empty and splitting it copies nothing. Bound: DDL
// waits at most 1 s for its table lock, because all later statements queue behind it.

import { ulidDayPrefix } from "../core/id.ts";
import { SUBMISSION_KEPT_MS } from "../core/schedule-limits.ts";
import { WEBHOOK_KEPT_MS } from "../core/webhook-limits.ts";
import { isError } from "../platform/mysql-errors.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";
import { sleep } from "../platform/retry.ts";
import { lockAllTables } from "./tables-lock.ts";

/** `nowMs`: MySQL's time unless given: by a machine's own, if it is ahead, days in use would be dropped. */
export type PartitionOptions = { nowMs?: number; daysAhead?: number };
/** `busy`: a snapshot of reconcile or a long transaction held the tables; call it again later. */
export type PartitionResult = { kind: "done"; created: number } | { kind: "busy" };

/** How long a table's rows are kept, counted from the time in their ids, in milliseconds; null: for ever. */
const TABLES = {
  messages: null,
  wallet_ledger: null,
  submissions: SUBMISSION_KEPT_MS,
  webhook_deliveries: WEBHOOK_KEPT_MS,
  late_reports: SUBMISSION_KEPT_MS,
} as const;
// Scheduled sends reach 30 days ahead, but their rows are stored by the day of acceptance. So the days ahead
// are only for missed runs; even a week of those must do no harm.
const DAYS_AHEAD = 35;
/** Four times a day. */
const UPKEEP_MS = 6 * 3_600_000;
const UPKEEP_MAX_MS = 60_000;
/** Pause after a check of the books held the tables. */
const BUSY_MS = 5 * 60_000;
// A ULID may be a little older than the transaction that stores it; the first partition also takes anything
// older.
const DAYS_BACK = 1;
const DAYS_AT_ONCE_MAX = 400;
const LOCK_WAIT_S = 1;
const ATTEMPTS = 3;
const DAY_MS = 86_400_000;

/** Creates today's partitions and those of the days ahead. Safe at any time and from several processes. */
export function ensurePartitions(pool: Pool, options: PartitionOptions = {}): Promise<PartitionResult> {
  return pool.use(async (conn) => {
    const lock = await lockAllTables(conn, LOCK_WAIT_S);
    if (lock === null) return { kind: "busy" };
    try {
      await conn.query(`SET SESSION lock_wait_timeout = ${LOCK_WAIT_S}`);
      return await ensureAll(conn, options);
    } finally {
      await conn.query("SET SESSION lock_wait_timeout = DEFAULT");
      await lock.release();
    }
  });
}

/** `migrate` has created the days ahead; this keeps doing so in a process that runs for months. */
export function keepPartitions(deps: PeriodicDeps, pool: Pool): Periodic {
  const options = { name: "partitions", everyMs: UPKEEP_MS, firstMs: UPKEEP_MS, runMaxMs: UPKEEP_MAX_MS };
  return startPeriodic(deps, options, async () => {
    const { kind } = await ensurePartitions(pool);
    deps.log.info({ kind }, "checked the partitions ahead");
    return kind === "busy" ? BUSY_MS : UPKEEP_MS;
  });
}

/** How many days after today have a partition, in the table that has the fewest. */
export async function partitionDaysAhead(conn: Connection, nowMs: number): Promise<number> {
  const todayMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
  let least = Number.POSITIVE_INFINITY;
  for (const table of Object.keys(TABLES)) {
    const lastMs = await lastDay(conn, table);
    least = Math.min(least, lastMs === null ? 0 : (lastMs - todayMs) / DAY_MS);
  }
  return least;
}

async function ensureAll(
  conn: Connection,
  { daysAhead = DAYS_AHEAD, ...options }: PartitionOptions,
): Promise<PartitionResult> {
  const nowMs = options.nowMs ?? (await mysqlNow(conn));
  let created = 0;
  for (const [table, keptMs] of Object.entries(TABLES)) {
    if (keptMs !== null && !(await dropOld(conn, table, nowMs - keptMs))) return { kind: "busy" };
    const days = missingDays(await lastDay(conn, table), nowMs, daysAhead);
    if (days.length === 0) continue;
    const parts = days.map(
      (dayMs) => `PARTITION ${nameOf(dayMs)} VALUES LESS THAN ('${ulidDayPrefix(dayMs + DAY_MS)}')`,
    );
    const sql = `ALTER TABLE ${table} REORGANIZE PARTITION p_future INTO
      (${parts.join(",\n       ")},\n       PARTITION p_future VALUES LESS THAN (MAXVALUE))`;
    if (!(await alter(conn, sql))) return { kind: "busy" };
    created += days.length;
  }
  return { kind: "done", created };
}

async function mysqlNow(conn: Connection): Promise<number> {
  const [row] = await conn.query<{ now_ms: number }[]>(
    "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS now_ms",
  );
  return Number(row?.now_ms);
}

/** Drops the partitions of days that ended before `beforeMs`; false if the table was busy. */
async function dropOld(conn: Connection, table: string, beforeMs: number): Promise<boolean> {
  const old = (await daysOf(conn, table)).filter((dayMs) => dayMs + DAY_MS <= beforeMs);
  if (old.length === 0) return true;
  return alter(conn, `ALTER TABLE ${table} DROP PARTITION ${old.map(nameOf).join(", ")}`);
}

async function alter(conn: Connection, sql: string): Promise<boolean> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      await conn.query(sql);
      return true;
    } catch (error) {
      if (!isError(error, "lockWait")) throw error;
      if (attempt < ATTEMPTS) await sleep(200 * attempt); // lets what queued behind it through
    }
  }
  return false;
}

/** The start of the last day that has a partition; null if there is only p_future. */
const lastDay = async (conn: Connection, table: string): Promise<number | null> =>
  (await daysOf(conn, table)).at(-1) ?? null;

/** The starts of the days that have a partition, from their names, in order. */
async function daysOf(conn: Connection, table: string): Promise<number[]> {
  const rows = await conn.query<{ name: string }[]>(
    `SELECT PARTITION_NAME AS name FROM information_schema.PARTITIONS
     WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND PARTITION_NAME <> 'p_future'
     ORDER BY PARTITION_ORDINAL_POSITION`,
    [table],
  );
  return rows.flatMap(({ name }) => {
    const day = /^p(\d{4})(\d\d)(\d\d)$/.exec(name);
    return day === null ? [] : [Date.UTC(Number(day[1]), Number(day[2]) - 1, Number(day[3]))];
  });
}

function missingDays(lastMs: number | null, nowMs: number, daysAhead: number): number[] {
  const todayMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const endMs = todayMs + daysAhead * DAY_MS;
  const firstMs = lastMs === null ? todayMs - DAYS_BACK * DAY_MS : lastMs + DAY_MS;
  const days: number[] = [];
  for (let dayMs = Math.max(firstMs, endMs - DAYS_AT_ONCE_MAX * DAY_MS); dayMs <= endMs; dayMs += DAY_MS)
    days.push(dayMs);
  return days;
}

function nameOf(dayMs: number): string {
  return `p${new Date(dayMs).toISOString().slice(0, 10).replaceAll("-", "")}`;
}
