// Checks the books of a test's database with SQL of its own: independent of `reconcile`, which also needs
// ClickHouse.

import { expect } from "bun:test";
import type { Pool } from "../../src/platform/mysql.ts";

/** Asserts that every wallet equals its entries, and reserved equals leases plus open messages. */
export async function reconcileBooks(pool: Pool): Promise<void> {
  const drifts = await pool.query(
    `SELECT w.customer_id, w.balance, w.reserved, l.b, l.r, c.u, m.m FROM wallet_accounts w
     LEFT JOIN (SELECT customer_id,
                  SUM(CASE op WHEN 'topup' THEN amount WHEN 'release' THEN amount WHEN 'refund' THEN amount
                      WHEN 'adjust_up' THEN amount WHEN 'adjust_down' THEN -amount
                      WHEN 'grant' THEN -amount ELSE 0 END) b,
                  SUM(CASE op WHEN 'grant' THEN amount WHEN 'release' THEN -amount
                      WHEN 'capture' THEN -amount WHEN 'refund' THEN -amount ELSE 0 END) r
                FROM wallet_ledger GROUP BY customer_id) l USING (customer_id)
     LEFT JOIN (SELECT customer_id, SUM(granted - spent) u FROM credit_leases GROUP BY customer_id) c
       USING (customer_id)
     LEFT JOIN (SELECT customer_id, SUM(cost) m FROM messages
                WHERE status IN ('scheduled', 'queued', 'sending', 'unknown')
                GROUP BY customer_id) m USING (customer_id)
     WHERE w.balance <> COALESCE(l.b, 0) OR w.reserved <> COALESCE(l.r, 0)
        OR w.reserved <> COALESCE(c.u, 0) + COALESCE(m.m, 0)`,
  );
  expect(drifts).toEqual([]);
}
