// Spend caps in the database: what each capped customer has spent in its UTC day and month, by MySQL's clock,
// as grants need to know it. Owns the rows of spend_caps. What a period is, and the refusal, are in
// core/spend-cap.ts; how large a grant is, in grant.ts.
// Credit is spent only from leases, so `taken`, all that leases were granted less what they released, less
// what is unspent in them is all that was spent; a period's base is that sum at its beginning. Grants and
// releases lock the wallet and change `taken` in the same transaction; spending changes nothing here, so the
// hot path knows nothing of caps.
// Invariant: what was spent in a period and what leases could still spend are together at most the cap, so no
// number of processes exceeds it. At the first grant of a new period its base is made from the entries since
// its beginning; those messages were paid from leases that were granted before.
// Order of locks: wallet, leases, then its row here.

import { ulidBound } from "../core/id.ts";
import { CAP_PERIODS, type CapPeriod, periodAt } from "../core/spend-cap.ts";
import type { Connection } from "../platform/mysql.ts";
import type { CapRoom } from "./grant.ts";
import { byKey, quote } from "./sql-text.ts";

type Query = Pick<Connection, "query">;
type CapRow = {
  customer_id: number;
  daily: number | null;
  monthly: number | null;
  taken: number;
  day_from: number;
  day_base: number;
  month_from: number;
  month_base: number;
  now_s: number | string;
};
/** `isNew`: its base was made by this reading, and is not stored yet. */
type Period = { fromMs: number; base: number; toMs: number; isNew: boolean };
/** The caps of one customer at a moment. */
export type Caps = {
  limits: Record<CapPeriod, number | null>;
  taken: number;
  periods: Record<CapPeriod, Period>;
};
export const NO_CAPS: ReadonlyMap<number, Caps> = new Map();

const COLUMNS: Record<CapPeriod, "day" | "month"> = { daily: "day", monthly: "month" };

/**
 * The caps of those of these customers that have some. Call it while their wallets are locked, or, if nothing
 * is decided by it, in a snapshot.
 */
export async function readCaps(conn: Query, customerIds: readonly number[]): Promise<Map<number, Caps>> {
  const rows = await conn.query<CapRow[]>(
    "SELECT customer_id, daily, monthly, taken, day_from, day_base, month_from, month_base, " +
      `UNIX_TIMESTAMP(NOW(3)) AS now_s FROM spend_caps WHERE customer_id IN (${customerIds})`,
  );
  const caps = new Map(rows.map((row) => [row.customer_id, capsOf(row)]));
  for (const cap of CAP_PERIODS) await beginPeriod(conn, cap, caps);
  return caps;
}

function capsOf(row: CapRow): Caps {
  const nowMs = Math.round(Number(row.now_s) * 1_000);
  const periodOf = (cap: CapPeriod): Period => {
    const [fromMs, base] = [row[`${COLUMNS[cap]}_from`], row[`${COLUMNS[cap]}_base`]];
    // A clock that was set back must not begin a period again.
    const { fromMs: beganMs, toMs } = periodAt(cap, Math.max(nowMs, fromMs));
    return { fromMs: beganMs, base, toMs, isNew: beganMs !== fromMs };
  };
  const { daily, monthly, taken } = row;
  const periods = { daily: periodOf("daily"), monthly: periodOf("monthly") };
  return { limits: { daily, monthly }, taken, periods };
}

/** Makes the base of those whose period is new. All of them began at the same moment. */
async function beginPeriod(conn: Query, cap: CapPeriod, caps: ReadonlyMap<number, Caps>): Promise<void> {
  const begun = [...caps].filter(([, { periods }]) => periods[cap].isNew);
  const byStart = Map.groupBy(begun, ([, { periods }]) => periods[cap].fromMs);
  for (const [fromMs, of] of byStart) {
    const bases = await conn.query<{ customer_id: number; base: number | string }[]>(
      basesSql(
        of.map(([customerId]) => customerId),
        fromMs,
      ),
    );
    for (const { customer_id, base } of bases)
      (caps.get(customer_id) as Caps).periods[cap].base = Number(base);
  }
}

/** One statement, so that each message is either unspent in its lease or among the entries, never both. */
function basesSql(customerIds: readonly number[], fromMs: number): string {
  const of = `WHERE customer_id IN (${customerIds})`;
  return (
    "SELECT s.customer_id, s.taken - COALESCE(l.unspent, 0) - COALESCE(e.spent, 0) AS base " +
    "FROM spend_caps AS s " +
    "LEFT JOIN (SELECT customer_id, SUM(granted - spent) AS unspent FROM credit_leases " +
    `${of} GROUP BY customer_id) AS l ON l.customer_id=s.customer_id ` +
    "LEFT JOIN (SELECT customer_id, SUM(amount) AS spent FROM wallet_ledger FORCE INDEX (PRIMARY) " +
    `${of} AND entry_id>=${quote(ulidBound(fromMs))} AND op='reserve' GROUP BY customer_id) AS e ` +
    `ON e.customer_id=s.customer_id WHERE s.customer_id IN (${customerIds})`
  );
}

/** What each cap of a customer leaves for a grant; nothing for a customer without caps. */
export function roomsOf(caps: ReadonlyMap<number, Caps>, customerId: number): { caps?: CapRoom[] } {
  const of = caps.get(customerId);
  if (of === undefined) return {};
  const rooms = CAP_PERIODS.flatMap((cap) => {
    const limit = of.limits[cap];
    const { base, toMs } = of.periods[cap];
    return limit === null ? [] : [{ cap, limit, room: limit - (of.taken - base), resetsAtMs: toMs }];
  });
  return { caps: rooms };
}

/** The statements that store new bases, and what was granted to each customer, in minor units. */
export function capsSql(caps: ReadonlyMap<number, Caps>, granted: ReadonlyMap<number, number>): string[] {
  return [...caps].flatMap(([customerId, { periods }]) => {
    const amount = granted.get(customerId) ?? 0;
    const sets = CAP_PERIODS.filter((cap) => periods[cap].isNew).map((cap) => {
      const { fromMs, base } = periods[cap];
      return `${COLUMNS[cap]}_from=${fromMs},${COLUMNS[cap]}_base=${base}`;
    });
    if (amount > 0) sets.unshift(`taken=taken+${amount}`);
    return sets.length === 0 ? [] : [`UPDATE spend_caps SET ${sets} WHERE customer_id=${customerId}`];
  });
}

/** The statement that records what leases of these customers released, in minor units. */
export const releasedSql = (amounts: ReadonlyMap<number, number>): string =>
  `UPDATE spend_caps SET taken=taken-${byKey("customer_id", [...amounts], 0)} ` +
  `WHERE customer_id IN (${[...amounts.keys()]})`;
