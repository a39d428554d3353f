// Checks what spend caps count (src/ledger/spend-caps.ts): in each period, what leases took and no longer
// hold must be the reserves of the period, by MySQL's one snapshot. Owns that SQL. Not checked: whether a cap
// was exceeded, because what is under way when a cap is set or lowered is still stored.
// Invariant: a drift is never false, unless a clock was set back over a midnight, or a machine slept over it.
// A cap also counts messages that were accepted before its period and reserved in it; those of the last
// CROSSING_MS may have been reserved before it, so it may count more, by their sum at most.
// Bound: the reserves of each capped customer's month; all entries of those whose sums differ.

import { ulidBound } from "../core/id.ts";
import { CAP_PERIODS, type CapPeriod } from "../core/spend-cap.ts";
import type { Connection } from "../platform/mysql.ts";
import { quote } from "../ledger/sql-text.ts";
import { at, type Books, ofScope } from "./books.ts";
import { type Drift, driftOf } from "./result.ts";

type CapRow = {
  customer_id: number;
  taken: number;
  day_from: number;
  day_base: number;
  month_from: number;
  month_base: number;
};
/** `counted`: as spent since `fromMs`, in minor units. */
type Period = { customerId: number; cap: CapPeriod; fromMs: number; counted: number };

/** Customers in one statement. */
const CUSTOMERS_MAX = 500;
/** From the time of an entry to its commit it takes less: then its lease or its claim is over. */
const CROSSING_MS = 60_000;

/** Call within a snapshot. */
export async function checkCaps(conn: Connection, books: Books): Promise<Drift[]> {
  const rows = await conn.query<CapRow[]>(
    "SELECT customer_id, taken, day_from, day_base, month_from, month_base FROM spend_caps " +
      `WHERE ${ofScope(books.scope)}`,
  );
  const periods = rows.flatMap((row) => periodsOf(row, books));
  const drifts: Drift[] = [];
  for (const [fromMs, of] of Map.groupBy(periods, (period) => period.fromMs))
    for (let from = 0; from < of.length; from += CUSTOMERS_MAX)
      drifts.push(...(await checkPeriods(conn, fromMs, of.slice(from, from + CUSTOMERS_MAX))));
  return drifts;
}

function periodsOf(row: CapRow, { customers }: Books): Period[] {
  const customerId = Number(row.customer_id);
  const used = row.taken - (customers.get(customerId)?.unspent ?? 0);
  return CAP_PERIODS.map((cap) => {
    const [fromMs, base] = cap === "daily" ? [row.day_from, row.day_base] : [row.month_from, row.month_base];
    return { customerId, cap, fromMs, counted: used - base };
  });
}

/** Checks periods that all began at `fromMs`. */
async function checkPeriods(conn: Connection, fromMs: number, periods: readonly Period[]): Promise<Drift[]> {
  const bound = quote(ulidBound(fromMs));
  const ids = [...new Set(periods.map(({ customerId }) => customerId))];
  const spent = await reservesOf(conn, ids, `entry_id >= ${bound}`);
  const isSpent = ({ customerId, counted }: Period) => counted === (spent.get(customerId) ?? 0);
  const drifts: Drift[] = [];
  for (const period of periods.filter((each) => !isSpent(each))) {
    const { customerId, cap, counted } = period;
    const own = spent.get(customerId) ?? 0;
    const earlier = `entry_id < ${bound} AND created_at >= ${at(fromMs - CROSSING_MS)}`;
    const crossed =
      counted < own ? 0 : ((await reservesOf(conn, [customerId], earlier)).get(customerId) ?? 0);
    if (counted >= own && counted <= own + crossed) continue;
    const since = new Date(fromMs).toISOString();
    const detail = `what the ${cap} cap counts as spent since ${since}, and the reserves of that time`;
    drifts.push(driftOf("cap_counts_reserves", customerId, detail, own + crossed, counted));
  }
  return drifts;
}

/** The sums of the reserves for which this condition holds, in minor units, by customer. */
async function reservesOf(
  conn: Connection,
  customerIds: readonly number[],
  condition: string,
): Promise<Map<number, number>> {
  const rows = await conn.query<{ customer_id: number; amount: number }[]>(
    "SELECT customer_id, CAST(SUM(amount) AS SIGNED) AS amount FROM wallet_ledger FORCE INDEX (PRIMARY) " +
      `WHERE customer_id IN (${customerIds.map(Number)}) AND op = 'reserve' AND ${condition} ` +
      "GROUP BY customer_id",
  );
  return new Map(rows.map((row) => [Number(row.customer_id), Number(row.amount)]));
}
