// Leases in the database: grant, release, recall, renew, reap. Owns every statement on credit_leases but the
// commit's own spending. Who is given how much is decided in grant.ts.
// Order of locks everywhere: wallets in customer_id order, then leases. So while a wallet is locked its
// leases can only be spent from, never given or taken back. Invariant: reserved = unspent leases + messages
// not settled. Bound: LEASE_BATCH_MAX customers.

import { entryOf, walletChanges } from "../core/ledger.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { type CustomerMode, decideGrant, type Grant, type Want } from "./grant.ts";
import { entriesSql, eventsSql, walletsSql } from "./posting.ts";
import { rows } from "./sql-text.ts";

/** Customers of one grant, release or reap: some 10 ms of work, the longest a wallet stays locked by it. */
export const LEASE_BATCH_MAX = 500;

export type LeaseDeps = { pool: Pool; id: () => string; now: () => number };
export type LeaseKey = { customerId: number; epoch: number };
export type Release = LeaseKey & {
  /** minor units */
  amount: number;
  /** Nothing of the lease is under way: its row goes. */
  ends: boolean;
};

/** What a process does with the leases of its node, one transaction each. */
export type LeaseStore = {
  /** One answer for each wallet that could be locked; a busy one is left out with `skipLocked`. */
  grant(wants: Want[], options: { skipLocked: boolean }): Promise<Grant[]>;
  /** Only leases still there under their epoch are touched: what was reaped went back already. */
  release(releases: Release[]): Promise<void>;
  /** Puts off the expiry of all leases of this node, but for those it dropped in doubt. */
  renew(dropped: LeaseKey[]): Promise<void>;
  /** Leases of this node that another process wants back. */
  recalled(): Promise<LeaseKey[]>;
  /** Ends what has expired, of any node, by MySQL's clock; LEASE_BATCH_MAX: there is more. */
  reap(): Promise<number>;
};

export function createLeaseStore(deps: LeaseDeps, options: { nodeId: string; ttlMs: number }): LeaseStore {
  const { nodeId, ttlMs } = options;
  return {
    grant: (wants, { skipLocked }) => grantLeases(deps, nodeId, wants, { ttlMs, skipLocked }),
    release: (releases) => releaseLeases(deps, nodeId, releases),
    renew: (dropped) => renewLeases(deps.pool, nodeId, ttlMs, dropped),
    recalled: () => recalledLeases(deps.pool, nodeId),
    reap: () => reapLeases(deps),
  };
}

type WalletRow = { customer_id: number; balance: number };
type LeaseRow = { customer_id: number; node_id: string; epoch: number; unspent: number };
type HeldRow = { customer_id: number; mode: CustomerMode } & (
  | { node_id: string; epoch: number; unspent: number }
  | { node_id: null; epoch: null; unspent: null }
);

/**
 * Gives credit to leases of this node, all in one transaction, and marks the leases of others that are asked
 * to give theirs back.
 */
export function grantLeases(
  { pool, id, now }: LeaseDeps,
  nodeId: string,
  wants: Want[],
  options: { ttlMs: number; skipLocked: boolean },
): Promise<Grant[]> {
  const byCustomer = new Map(wants.map((w) => [w.customerId, w]));
  const ids = [...byCustomer.keys()].sort((a, b) => a - b);
  return pool.transaction(async (conn) => {
    // The second statement reads after the first has its locks, so no grant or change of mode is missed.
    const [wallets, held] = await conn.query<[WalletRow[], HeldRow[]]>(
      `${lockSql(ids, options.skipLocked)};` +
        "SELECT c.customer_id, c.mode, l.node_id, l.epoch, l.granted - l.spent AS unspent FROM customers c " +
        `LEFT JOIN credit_leases l ON l.customer_id=c.customer_id WHERE c.customer_id IN (${ids})`,
    );
    const heldBy = Map.groupBy(held, (row) => row.customer_id);
    const grants = wallets.map(({ customer_id: customerId, balance }) => {
      const found = heldBy.get(customerId) ?? [];
      const leases = found.flatMap((row) => (row.node_id === null ? [] : [{ ...row, nodeId: row.node_id }]));
      const wallet = { customerId, balance, mode: found[0]?.mode ?? "lease", leases };
      return decideGrant(wallet, byCustomer.get(customerId) as Want, nodeId);
    });
    const sql = [
      ...givenSql(
        grants.filter((g) => g.granted > 0),
        (customerId) => (byCustomer.get(customerId) as Want).epoch,
        { nodeId, ttlMs: options.ttlMs, id, nowMs: now() },
      ),
      ...recallSql(
        grants.filter((g) => g.recall).map((g) => byCustomer.get(g.customerId) as Want),
        nodeId,
      ),
    ];
    if (sql.length > 0) await conn.query(sql.join(";"));
    return grants;
  });
}

function givenSql(
  given: Grant[],
  epochOf: (customerId: number) => number,
  { nodeId, ttlMs, id, nowMs }: { nodeId: string; ttlMs: number; id: () => string; nowMs: number },
): string[] {
  if (given.length === 0) return [];
  const entries = given.map((g) => entryOf(id(), "grant", g.customerId, g.granted, nowMs));
  const expires = `NOW(3) + INTERVAL ${ttlMs * 1000} MICROSECOND`;
  const leases = given.map(
    (g) => `('${nodeId}',${g.customerId},${epochOf(g.customerId)},${g.granted},${expires})`,
  );
  return [
    walletsSql(walletChanges(entries)),
    `INSERT INTO credit_leases (node_id,customer_id,epoch,granted,expires_at) VALUES ${leases.join(",")} ` +
      "AS n ON DUPLICATE KEY UPDATE granted=credit_leases.granted+n.granted,expires_at=n.expires_at",
    entriesSql(entries),
    eventsSql([], entries),
  ];
}

const recallSql = (wants: LeaseKey[], nodeId: string): string[] =>
  wants.map(
    ({ customerId, epoch }) =>
      `UPDATE credit_leases SET recall=TRUE WHERE customer_id=${customerId} ` +
      `AND NOT (node_id='${nodeId}' AND epoch=${epoch}) AND spent<granted AND NOT recall`,
  );

async function recalledLeases(pool: Pool, nodeId: string): Promise<LeaseKey[]> {
  const found = await pool.query<{ customer_id: number; epoch: number }[]>(
    `SELECT customer_id, epoch FROM credit_leases WHERE node_id='${nodeId}' AND recall`,
  );
  return found.map((row) => ({ customerId: row.customer_id, epoch: row.epoch }));
}

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
    const ids = [...new Set(releases.map((r) => r.customerId))].sort((a, b) => a - b);
    const [, leases] = await conn.query<[unknown, LeaseRow[]]>(
      `${lockSql(ids, false)};SELECT customer_id, node_id, epoch, granted - spent AS unspent ` +
        `FROM credit_leases WHERE node_id='${nodeId}' AND customer_id IN (${ids})`,
    );
    const unspent = new Map(leases.map((l) => [`${l.customer_id}:${l.epoch}`, l.unspent]));
    const held = releases.filter((r) => (unspent.get(`${r.customerId}:${r.epoch}`) ?? -1) >= r.amount);
    if (held.length === 0) return;
    const values = (of: Release[]) => rows(of.map((r) => [r.customerId, r.epoch, r.amount]));
    const join = `l.customer_id=v.c AND l.node_id='${nodeId}' AND l.epoch=v.e`;
    const ended = held.filter((r) => r.ends);
    await conn.query(
      `UPDATE (VALUES ${values(held)}) AS v (c,e,a) STRAIGHT_JOIN credit_leases l ON ${join} ` +
        "SET l.granted=l.granted-v.a,l.recall=FALSE" +
        (ended.length === 0
          ? ""
          : `;DELETE l FROM (VALUES ${values(ended)}) AS v (c,e,a) STRAIGHT_JOIN credit_leases l ` +
            `ON ${join} WHERE l.granted=l.spent`),
    );
    await returnCredit(conn, held, { id, now });
  });
}

/** Keeps this node's leases, but for those it dropped in doubt and leaves to the reaper. */
async function renewLeases(pool: Pool, nodeId: string, ttlMs: number, dropped: LeaseKey[]): Promise<void> {
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
 * Takes back what dead processes hold, by MySQL's clock. Returns of how many customers; call again while it
 * is LEASE_BATCH_MAX.
 */
export async function reapLeases({ pool, id, now }: LeaseDeps): Promise<number> {
  const expired = await pool.query<{ customer_id: number }[]>(
    `SELECT DISTINCT customer_id FROM credit_leases WHERE expires_at < NOW(3) ORDER BY customer_id ` +
      `LIMIT ${LEASE_BATCH_MAX}`,
  );
  if (expired.length === 0) return 0;
  return pool.transaction(async (conn) => {
    const ids = expired.map((row) => row.customer_id);
    await conn.query(lockSql(ids, false));
    const leases = await conn.query<LeaseRow[]>(
      "SELECT customer_id, node_id, epoch, granted - spent AS unspent FROM credit_leases " +
        `WHERE customer_id IN (${ids}) AND expires_at < NOW(3) ORDER BY customer_id, node_id, epoch ` +
        `FOR UPDATE`,
    );
    if (leases.length === 0) return 0;
    const keys = leases.map((l) => `(${l.customer_id},'${l.node_id}',${l.epoch})`);
    await conn.write(`DELETE FROM credit_leases WHERE (customer_id,node_id,epoch) IN (${keys})`);
    const back = leases.map((l) => ({ customerId: l.customer_id, amount: l.unspent }));
    await returnCredit(conn, back, { id, now });
    return expired.length;
  });
}

async function returnCredit(
  conn: Connection,
  amounts: readonly { customerId: number; amount: number }[],
  { id, now }: { id: () => string; now: () => number },
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

const lockSql = (ids: number[], skipLocked: boolean): string =>
  `SELECT customer_id, balance FROM wallet_accounts WHERE customer_id IN (${ids}) ORDER BY customer_id ` +
  `FOR UPDATE${skipLocked ? " SKIP LOCKED" : ""}`;
