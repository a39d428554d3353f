// Tells customers that their credit fell below the threshold they set (webhooks.low_balance): an event in
// webhook_events, written by the transaction that marks it as told, so there is one for each fall that is
// seen. Marked until the credit is at the threshold again. Credit is what the customer sees as its balance:
// the wallet and what is unspent in leases, of one snapshot.
// Nothing of it is on the way of a message: whoever looks sees the fall at the next look, or not at all if a
// top-up ends it before. Without a URL nothing is told, but a fall that was told is unmarked once it is over.
// Leaves when to look to src/webhook/, deliveries to webhook-deliveries.ts.
// Bound: CROSSED_MAX customers a call; the rows of customers with a threshold are read.

import type { LowBalanceEvent } from "../core/webhook-low-balance.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { webhookEventsSql } from "./webhook-events.ts";

/** Customers that are told, or no longer low, in one transaction. */
export const CROSSED_MAX = 200;

type CrossedRow = {
  customer_id: number;
  low_balance: number;
  is_low: 0 | 1;
  credit: number | string;
  currency: string;
  now_at: Date;
};

/** Several processes may look at once. Returns how many have crossed their threshold, either way. */
export async function tellLowBalances(pool: Pool): Promise<number> {
  // Without a lock first: almost always there is none.
  const seen = await pool.query<CrossedRow[]>(crossedSql(""));
  if (seen.length === 0) return 0;
  return pool.transaction(async (conn) => {
    const ids = seen.map((row) => row.customer_id);
    const crossed = await conn.query<CrossedRow[]>(
      `${crossedSql(`AND w.customer_id IN (${ids}) `)} FOR UPDATE OF w SKIP LOCKED`,
    );
    if (crossed.length === 0) return 0;
    await mark(conn, crossed);
    const sql = webhookEventsSql(crossed.filter(({ is_low }) => is_low === 0).map(eventOf));
    if (sql !== null) await conn.query(sql);
    return crossed.length;
  });
}

const CREDIT =
  "a.balance + COALESCE((SELECT SUM(l.granted - l.spent) FROM credit_leases AS l FORCE INDEX (PRIMARY) " +
  "WHERE l.customer_id=w.customer_id), 0)";

const crossedSql = (which: string): string =>
  `SELECT w.customer_id, w.low_balance, w.is_low, ${CREDIT} AS credit, c.currency, NOW(3) AS now_at ` +
  "FROM webhooks AS w JOIN wallet_accounts AS a ON a.customer_id=w.customer_id " +
  "JOIN customers AS c ON c.customer_id=w.customer_id " +
  `WHERE w.low_balance IS NOT NULL AND (w.url IS NOT NULL OR w.is_low) ${which}` +
  `AND w.is_low <> (${CREDIT} < w.low_balance) ORDER BY w.customer_id LIMIT ${CROSSED_MAX}`;

/** Marks those that fell, and unmarks the others. */
const mark = (conn: Connection, crossed: readonly CrossedRow[]) =>
  conn.write(
    "UPDATE webhooks SET is_low=NOT is_low WHERE customer_id IN " +
      `(${crossed.map((row) => row.customer_id)})`,
  );

const eventOf = (row: CrossedRow): LowBalanceEvent => ({
  customerId: row.customer_id,
  url: null,
  balance: Number(row.credit),
  threshold: row.low_balance,
  currency: row.currency,
  occurredAtMs: row.now_at.getTime(),
});
