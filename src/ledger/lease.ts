// Leases in the database: grant, release, renew, reap. Owns every statement on credit_leases but the commit's
// own spending.
// Order of locks everywhere: wallets in customer_id order, then leases. So while a wallet is locked its
// leases can only be spent from, never given or taken back. Invariant: reserved = unspent leases + messages
// not settled. Bound: LEASE_BATCH_MAX customers.

import type { LedgerRow } from "../core/record.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { entriesSql, eventsSql, openEntry } from "./posting.ts";
import { rows } from "./sql-text.ts";

/** Customers of one grant, release or reap: some 10 ms of work, the longest a wallet stays locked by it. */
export const LEASE_BATCH_MAX = 500;

export type LeaseDeps = { pool: Pool; id: () => string; now: () => number };
/**
 * What the lease wants: the costs that wait for it, in order, and the size it would like for what comes after
 * them.
 */
export type Want = { customerId: number; epoch: number; costs: number[]; target: number; held: boolean };
/** balance and elsewhere are what is left after this grant: in the wallet, and unspent in other leases. */
export type Grant = {
  customerId: number;
  granted: number;
  balance: number;
  elsewhere: number;
  fenced: boolean;
};

type Wallet = { customer_id: number; balance: number };
type LeaseRow = { customer_id: number; node_id: string; epoch: number; unspent: number };

/**
 * How much to give, in minor units: all that waits and up to an eighth of the rest ahead of need; when the
 * wallet can't cover what waits, exactly those costs that fit, in order. So grants shrink as a wallet empties
 * and the last ones are exact.
 */
export function grantSize(balance: number, costs: readonly number[], target: number): number {
  let need = 0;
  for (const cost of costs) if (need + cost <= balance) need += cost;
  // A target comes from a rate, which is no whole number.
  return need + Math.floor(Math.min(target, (balance - need) / 8));
}

/**
 * Gives credit to leases of this node, all in one transaction. A busy wallet is left out with `skipLocked`.
 */
export function grantLeases(
  { pool, id, now }: LeaseDeps,
  nodeId: string,
  wants: Want[],
  options: { ttlMs: number; skipLocked: boolean },
): Promise<Grant[]> {
  const ids = wants.map((w) => w.customerId).sort((a, b) => a - b);
  const byCustomer = new Map(wants.map((w) => [w.customerId, w]));
  return pool.transaction(async (conn) => {
    const wallets = await lockWallets(conn, ids, options.skipLocked);
    if (wallets.length === 0) return [];
    const leases = await leasesOf(conn, wallets);
    const grants = wallets.map((wallet) =>
      decide(
        wallet,
        byCustomer.get(wallet.customer_id) as Want,
        leases.get(wallet.customer_id) ?? [],
        nodeId,
      ),
    );
    const given = grants.filter((g) => g.granted > 0);
    if (given.length === 0) return grants;
    const entries = given.map((g) => openEntry(id(), "grant", g.customerId, g.granted, now()));
    const leaseRows = given.map((g) => {
      const epoch = byCustomer.get(g.customerId)?.epoch;
      return (
        `('${nodeId}',${g.customerId},${epoch},${g.granted},NOW(3) + INTERVAL ` +
        `${options.ttlMs * 1000} MICROSECOND)`
      );
    });
    await conn.query(
      `${moveSql(given.map((g) => ({ customerId: g.customerId, amount: -g.granted })))};` +
        "INSERT INTO credit_leases (node_id,customer_id,epoch,granted,expires_at) VALUES " +
        `${leaseRows.join(",")} AS n ON DUPLICATE KEY UPDATE ` +
        `granted=credit_leases.granted+n.granted,expires_at=n.expires_at;` +
        `${entriesSql(entries)};${eventsSql([], entries)}`,
    );
    return grants;
  });
}

function decide(wallet: Wallet, want: Want, leases: LeaseRow[], nodeId: string): Grant {
  let elsewhere = 0;
  let found = false;
  for (const lease of leases) {
    if (lease.node_id === nodeId && lease.epoch === want.epoch) found = true;
    else elsewhere += lease.unspent;
  }
  const { customerId } = want;
  // The lease was reaped: its owner has to start over under a new epoch before it is given anything.
  if (want.held && !found)
    return { customerId, granted: 0, balance: wallet.balance, elsewhere, fenced: true };
  const granted = grantSize(wallet.balance, want.costs, want.target);
  return { customerId, granted, balance: wallet.balance - granted, elsewhere, fenced: false };
}

export type Release = { customerId: number; epoch: number; amount: number };

/**
 * Gives unspent credit back, and drops rows that hold nothing more. Only leases still there under their epoch
 * are touched: what was reaped in between went back already.
 */
export function releaseLeases(
  { pool, id, now }: LeaseDeps,
  nodeId: string,
  releases: Release[],
): Promise<void> {
  return pool.transaction(async (conn) => {
    const ids = releases.map((r) => r.customerId).sort((a, b) => a - b);
    await lockWallets(conn, ids, false);
    const leases = await leasesOf(
      conn,
      ids.map((customer_id) => ({ customer_id })),
    );
    const held = releases.filter((r) =>
      leases
        .get(r.customerId)
        ?.some((l) => l.node_id === nodeId && l.epoch === r.epoch && l.unspent >= r.amount),
    );
    if (held.length === 0) return;
    const back = held.filter((r) => r.amount > 0);
    const values = rows(held.map((r) => [r.customerId, r.epoch, r.amount]));
    const join = `l.customer_id=v.c AND l.node_id='${nodeId}' AND l.epoch=v.e`;
    await conn.query(
      `UPDATE (VALUES ${values}) AS v (c,e,a) STRAIGHT_JOIN credit_leases l ON ${join} ` +
        `SET l.granted=l.granted-v.a;` +
        `DELETE l FROM (VALUES ${values}) AS v (c,e,a) STRAIGHT_JOIN credit_leases l ON ${join} ` +
        `WHERE l.granted=l.spent`,
    );
    await returnCredit(conn, back, { id, now });
  });
}

/** Keeps this node's leases, but for those it dropped in doubt and leaves to the reaper. */
export async function renewLeases(
  pool: Pool,
  nodeId: string,
  ttlMs: number,
  dropped: Release[],
): Promise<void> {
  const except =
    dropped.length === 0
      ? ""
      : ` AND (customer_id,epoch) NOT IN (${dropped.map((d) => `(${d.customerId},${d.epoch})`)})`;
  await pool.transaction((conn) =>
    conn.write(
      `UPDATE credit_leases SET expires_at=NOW(3) + INTERVAL ${ttlMs * 1000} MICROSECOND ` +
        `WHERE node_id='${nodeId}'${except}`,
    ),
  );
}

/**
 * Takes back what dead processes hold, by MySQL's clock. Returns how many leases it ended; call again while
 * it is the maximum.
 */
export async function reapLeases({ pool, id, now }: LeaseDeps): Promise<number> {
  const expired = await pool.query<{ customer_id: number }[]>(
    `SELECT DISTINCT customer_id FROM credit_leases WHERE expires_at < NOW(3) ORDER BY customer_id ` +
      `LIMIT ${LEASE_BATCH_MAX}`,
  );
  if (expired.length === 0) return 0;
  return pool.transaction(async (conn) => {
    const ids = expired.map((row) => row.customer_id);
    await lockWallets(conn, ids, false);
    const leases = await conn.query<(LeaseRow & { epoch: number })[]>(
      "SELECT customer_id, node_id, epoch, granted - spent AS unspent FROM credit_leases " +
        `WHERE customer_id IN (${ids}) AND expires_at < NOW(3) ORDER BY customer_id, node_id, epoch ` +
        `FOR UPDATE`,
    );
    if (leases.length === 0) return 0;
    const keys = leases.map((l) => `(${l.customer_id},'${l.node_id}',${l.epoch})`);
    await conn.write(`DELETE FROM credit_leases WHERE (customer_id,node_id,epoch) IN (${keys})`);
    const back = new Map<number, number>();
    for (const l of leases) back.set(l.customer_id, (back.get(l.customer_id) ?? 0) + l.unspent);
    await returnCredit(
      conn,
      [...back].filter(([, amount]) => amount > 0).map(([customerId, amount]) => ({ customerId, amount })),
      { id, now },
    );
    return leases.length;
  });
}

async function returnCredit(
  conn: Connection,
  back: { customerId: number; amount: number }[],
  { id, now }: { id: () => string; now: () => number },
): Promise<void> {
  if (back.length === 0) return;
  const entries: LedgerRow[] = back.map((r) => openEntry(id(), "release", r.customerId, r.amount, now()));
  await conn.query(`${moveSql(back)};${entriesSql(entries)};${eventsSql([], entries)}`);
}

// Positive: from reserved back to the balance; negative: from the balance to reserved.
const moveSql = (moves: { customerId: number; amount: number }[]): string =>
  `UPDATE (VALUES ${rows(moves.map((m) => [m.customerId, m.amount]))}) AS v (c,a) STRAIGHT_JOIN ` +
  `wallet_accounts w ` +
  "ON w.customer_id=v.c SET w.balance=w.balance+v.a, w.reserved=w.reserved-v.a";

const lockWallets = (conn: Connection, ids: number[], skipLocked: boolean): Promise<Wallet[]> =>
  conn.query<Wallet[]>(
    `SELECT customer_id, balance FROM wallet_accounts WHERE customer_id IN (${ids}) ORDER BY customer_id ` +
      `FOR UPDATE${skipLocked ? " SKIP LOCKED" : ""}`,
  );

async function leasesOf(
  conn: Connection,
  wallets: { customer_id: number }[],
): Promise<Map<number, LeaseRow[]>> {
  const found = await conn.query<LeaseRow[]>(
    "SELECT customer_id, node_id, epoch, granted - spent AS unspent FROM credit_leases " +
      `WHERE customer_id IN (${wallets.map((w) => w.customer_id)})`,
  );
  const byCustomer = new Map<number, LeaseRow[]>();
  for (const lease of found) {
    const known = byCustomer.get(lease.customer_id);
    if (known === undefined) byCustomer.set(lease.customer_id, [lease]);
    else known.push(lease);
  }
  return byCustomer;
}
