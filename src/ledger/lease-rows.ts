// What every change of leases shares: wallets locked in their order, credit moved between balance and
// reserved, and lease rows ended by what the database says of them.
// Order of locks everywhere: a node, wallets in customer_id order, then leases. So while a wallet is locked
// its leases can only be spent from, never given or taken back.

import { entryOf, walletChanges } from "../core/ledger.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { entriesSql, eventsSql, walletsSql } from "./posting.ts";

/** Customers of one grant, release or reap: some 10 ms of work, the longest a wallet stays locked by it. */
export const LEASE_BATCH_MAX = 500;

export type LeaseDeps = { pool: Pool; id: () => string; now: () => number };
export type LeaseKey = { customerId: number; epoch: number };

type EndedRow = { customer_id: number; epoch: number; unspent: number };

/**
 * Ends leases of one node and gives their unspent credit back, in the caller's transaction. `which`: a
 * condition on credit_leases that names them. Commits under way are waited for, so what they spent is
 * counted; later ones are fenced.
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

/** Back from leases to the balance, with an entry for each customer. */
export async function returnCredit(
  conn: Connection,
  amounts: readonly { customerId: number; amount: number }[],
  { id, now }: Pick<LeaseDeps, "id" | "now">,
): Promise<void> {
  // One entry a customer, however many of its leases end at once.
  const sums = new Map<number, number>();
  for (const { customerId, amount } of amounts)
    if (amount > 0) sums.set(customerId, (sums.get(customerId) ?? 0) + amount);
  if (sums.size === 0) return;
  const entries = [...sums].map(([customerId, amount]) =>
    entryOf(id(), "release", customerId, amount, now()),
  );
  await conn.query(`${walletsSql(walletChanges(entries))};${entriesSql(entries)};${eventsSql([], entries)}`);
}

/** `ids`: in ascending order. */
export const lockSql = (ids: readonly number[], skipLocked: boolean): string =>
  `SELECT customer_id, balance FROM wallet_accounts WHERE customer_id IN (${ids}) ORDER BY customer_id ` +
  `FOR UPDATE${skipLocked ? " SKIP LOCKED" : ""}`;

/** The customers of some leases, each once, in the order of locks. */
export const customersOf = (keys: readonly { customerId: number }[]): number[] =>
  [...new Set(keys.map((key) => key.customerId))].sort((a, b) => a - b);
