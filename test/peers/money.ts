// Whether the money of a run is exact, by statements of its own beside `reconcile`: every message has the one
// entry that its status calls for, at its price, and every wallet is what was topped up less what was
// captured. Call it when nothing is on its way, and no process holds credit.

import type { Pool } from "../../src/platform/mysql.ts";

/** Minor units a part. */
export const PRICE = 500;
/** What each customer had at first. */
export const TOPUP = 1_000_000_000;

const CLOSED_BY: Record<string, string | null> = {
  delivered: "capture",
  undelivered: "capture",
  failed: "refund",
  unknown: null,
};

const sumOf = (...statuses: string[]): string =>
  `CAST(COALESCE(SUM(CASE WHEN m.status IN ('${statuses.join("','")}') THEN m.cost END), 0) AS SIGNED)`;

/** What is wrong; nothing if all of it is exact. */
export async function moneyFaults(pool: Pool, customerIds: readonly number[]): Promise<string[]> {
  const faults: string[] = [];
  const groups = await pool.query<
    { status: string; op: string | null; count: number; differing: number; mispriced: number }[]
  >(
    "SELECT m.status AS status, CAST(e.op AS CHAR) AS op, COUNT(*) AS count, " +
      "CAST(COALESCE(SUM(e.amount <> m.cost), 0) AS SIGNED) AS differing, " +
      `CAST(SUM(m.cost <> ${PRICE} * m.parts) AS SIGNED) AS mispriced ` +
      "FROM messages m LEFT JOIN wallet_ledger e ON e.customer_id = m.customer_id AND e.entry_id = m.id " +
      "AND e.leg = 'close' GROUP BY m.status, e.op",
  );
  for (const { status, op, count, differing, mispriced } of groups) {
    if (CLOSED_BY[status] !== op) faults.push(`${count} messages are ${status} with ${op ?? "no entry"}`);
    if (Number(differing) > 0) faults.push(`${op} of ${differing} messages is not their cost`);
    if (Number(mispriced) > 0) faults.push(`${mispriced} messages don't cost their parts`);
  }
  const wallets = await pool.query<
    { customer: number; balance: number; reserved: number; captured: number; open: number }[]
  >(
    "SELECT w.customer_id AS customer, w.balance AS balance, w.reserved AS reserved, " +
      `${sumOf("delivered", "undelivered")} AS captured, ${sumOf("unknown")} AS open ` +
      "FROM wallet_accounts w LEFT JOIN messages m ON m.customer_id = w.customer_id " +
      `WHERE w.customer_id IN (${customerIds.join(",")}) GROUP BY w.customer_id, w.balance, w.reserved`,
  );
  if (wallets.length !== customerIds.length) faults.push(`${wallets.length} of the customers have a wallet`);
  for (const { customer, balance, reserved, captured, open } of wallets)
    if (balance + captured + open !== TOPUP || reserved !== open)
      faults.push(
        `customer ${customer} has ${balance}, of ${TOPUP}, with ${captured} captured, ` +
          `${open} open and ${reserved} reserved`,
      );
  return faults;
}
