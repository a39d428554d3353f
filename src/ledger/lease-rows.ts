// What all changes of leases share: locking wallets in order, moving credit between balance and reserved, and
// ending lease rows by the amounts in the database.
// Order of locks everywhere: a node, wallets by customer_id, then leases. So while a wallet is locked, its
// leases can be spent from but not granted or taken back.

import { entryOf, walletChanges } from "../core/ledger.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { entriesSql, eventsSql, walletsSql } from "./posting.ts";
import { releasedSql } from "./spend-caps.ts";

/** Customers in one grant, release or reap: some 10 ms of work, the longest time it locks a wallet. */
export const LEASE_BATCH_MAX = 500;

export type LeaseDeps = { pool: Pool; id: () => string; now: () => number };
export type LeaseKey = { customerId: number; epoch: number };

type EndedRow = { customer_id: number; epoch: number; unspent: number };

/**
 * Ends leases of one node and returns their unspent credit, within the caller's transaction. `which` is a
 * condition on credit_leases that selects them. It waits for commits under way, so what they spent is
 * counted; later commits are fenced.
 */
export async function endRows(
  conn: Connection,
  { nodeId, customerIds, which }: { nodeId: string; customerIds: readonly number[]; which: string },
  deps: Pick<LeaseDeps, "id" | "now">,
): Promise<void> {
  await conn.query(lockSql(customerIds, false));
  const ended = await conn.query<EndedRow[]>(
    `SELECT customer_id, epoch, granted - spent AS unspent FROM credit_leases WHERE ${which} FOR UPDATE`,
  );
  if (ended.length === 0) return;
  const keys = ended.map((l) => `(${l.customer_id},'${nodeId}',${l.epoch})`);
  await conn.write(`DELETE FROM credit_leases WHERE (customer_id,node_id,epoch) IN (${keys})`);
  await returnCredit(
    conn,
    ended.map((l) => ({ customerId: l.customer_id, amount: l.unspent })),
    deps,
  );
}

/** Moves credit from leases back to the balance, with one entry for each customer. */
export async function returnCredit(
  conn: Connection,
  amounts: readonly { customerId: number; amount: number }[],
  { id, now }: Pick<LeaseDeps, "id" | "now">,
): Promise<void> {
  // One entry per customer, however many of its leases end at once.
  const sums = new Map<number, number>();
  for (const { customerId, amount } of amounts)
    if (amount > 0) sums.set(customerId, (sums.get(customerId) ?? 0) + amount);
  if (sums.size === 0) return;
  const entries = [...sums].map(([customerId, amount]) =>
    entryOf(id(), "release", customerId, amount, now()),
  );
  const sql = `${walletsSql(walletChanges(entries))};${entriesSql(entries)};${eventsSql([], entries)}`;
  await conn.query(`${sql};${releasedSql(sums)}`);
}

/** Locks these wallets. `ids` must be in ascending order. */
export const lockSql = (ids: readonly number[], skipLocked: boolean): string =>
  `SELECT customer_id, balance FROM wallet_accounts WHERE customer_id IN (${ids}) ORDER BY customer_id ` +
  `FOR UPDATE${skipLocked ? " SKIP LOCKED" : ""}`;

/** The customers of some leases, each once, in the order of locks. */
export const customersOf = (keys: readonly { customerId: number }[]): number[] =>
  [...new Set(keys.map((key) => key.customerId))].sort((a, b) => a - b);
