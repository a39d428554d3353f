// Administration of leases: listing them, and draining them when a customer's mode changes, or when somebody
// else needs their credit.
// Order of locks: wallet, then leases, as in lease.ts.

import { SluiceError } from "../core/errors.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import type { CustomerMode } from "./grant.ts";

export type LeaseRow = {
  customer_id: string;
  node_id: string;
  epoch: number;
  /** minor units */
  granted: number;
  spent: number;
  unspent: number;
  /**
   * Until its process must have renewed its node; below 0: the next process that looks takes the lease back.
   */
  expires_in_ms: number;
  /** Another process, or a change of mode, has recalled it. */
  recall: boolean;
};
export const LEASE_LIST_MAX = 10_000;

/** Leases by customer, node and epoch, at most `limit`; only those of one customer if one is given. */
export async function listLeases(
  pool: Pool,
  { customerId = null, limit = LEASE_LIST_MAX }: { customerId?: number | null; limit?: number } = {},
): Promise<LeaseRow[]> {
  const rows = await pool.query<(Omit<LeaseRow, "recall"> & { recall: number })[]>(
    "SELECT CAST(customer_id AS CHAR) AS customer_id, node_id, epoch, granted, spent, " +
      "granted - spent AS unspent, " +
      "TIMESTAMPDIFF(MICROSECOND, NOW(3), expires_at) DIV 1000 AS expires_in_ms, recall " +
      `FROM credit_leases JOIN nodes USING (node_id) ${customerId === null ? "" : "WHERE customer_id=?"} ` +
      `ORDER BY credit_leases.customer_id, node_id, epoch LIMIT ${limit}`,
    customerId === null ? [] : [customerId],
  );
  return rows.map((row) => ({ ...row, recall: row.recall === 1 }));
}

/**
 * Changes how a customer's credit is granted and recalls all its leases. Then call `drainsLeft` until it
 * returns 0. @throws SluiceError not_found
 */
export function setMode(pool: Pool, customerId: number, mode: CustomerMode): Promise<void> {
  return pool.transaction(async (conn) => {
    await lockWallet(conn, customerId);
    await conn.write("UPDATE customers SET mode=? WHERE customer_id=?", [mode, customerId]);
    await recallAll(conn, customerId);
  });
}

/** The first of the locks of whoever changes a customer's credit. @throws SluiceError not_found */
export async function lockWallet(conn: Pick<Connection, "query">, customerId: number): Promise<void> {
  const found = await conn.query("SELECT customer_id FROM wallet_accounts WHERE customer_id=? FOR UPDATE", [
    customerId,
  ]);
  if (found.length === 0) throw new SluiceError("not_found", { detail: `No customer ${customerId}.` });
}

/** Asks all processes for the credit of this customer that they hold; its wallet should be locked. */
export async function recallAll(conn: Pick<Connection, "write">, customerId: number): Promise<void> {
  await conn.write("UPDATE credit_leases SET recall=TRUE WHERE customer_id=? AND spent<granted", [
    customerId,
  ]);
}

/** Minor units in this customer's leases that were recalled and are not back yet. */
export async function drainsLeft(pool: Pool, customerId: number): Promise<number> {
  const [row] = await pool.query<{ unspent: number | string }[]>(
    "SELECT COALESCE(SUM(granted - spent), 0) AS unspent FROM credit_leases WHERE customer_id=? AND recall",
    [customerId],
  );
  return Number(row?.unspent);
}
