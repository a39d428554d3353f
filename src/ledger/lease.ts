// Leases in the database: grants, returns, recalls and ends. Owns every statement on credit_leases, except
// the spending of a group commit (accept.ts) and the ending of rows (lease-rows.ts). How much is granted
// is decided in grant.ts, within the room of spend-caps.ts; nodes, who own leases for a limited time, are
// in node.ts. Order of locks: wallets by customer_id, then leases (lease-rows.ts). Invariant: reserved =
// unspent leases + unsettled messages. Bound: LEASE_BATCH_MAX customers.

import type { CustomerMode } from "../core/customer-mode.ts";
import { entryOf, walletChanges } from "../core/ledger.ts";
import { type Pool, withRetries } from "../platform/mysql.ts";
import {
  type CommitBatch,
  commitOrDoubt,
  type HeldLinkOf,
  isStored,
  neverHeld,
  storeBatch,
} from "./accept.ts";
import { decideGrant, type Grant, type Want } from "./grant.ts";
import { customersOf, endRows, type LeaseDeps, type LeaseKey, lockSql, returnCredit } from "./lease-rows.ts";
import { capsSql, NO_CAPS, readCaps, roomsOf } from "./spend-caps.ts";
import { createNodeStore, type NodeStore } from "./node.ts";
import { entriesSql, eventsSql, walletsSql } from "./posting.ts";
import { quote, rows } from "./sql-text.ts";

/** Credit of a lease, in minor units, that is returned while commits on the lease continue. */
export type Return = LeaseKey & { amount: number };

/** The operations of a process on its node's leases, one transaction each. */
export type LeaseStore = NodeStore & {
  /**
   * Returns one grant for each wallet that could be locked. @throws NodeExpiredError; CommitInDoubtError; of
   * what rides along FencedError, KeyTakenError or the database's error (nothing was stored)
   */
  grant(wants: Want[], options: GrantOptions): Promise<Grant[]>;
  /** Affects only leases that still exist under their epoch: the credit of reaped ones is back already. */
  giveBack(returns: Return[]): Promise<void>;
  /**
   * Ends leases from which nothing will be spent any more, and returns what is left in them. A missing lease
   * is not an error, so this may be repeated until it is answered.
   */
  end(keys: LeaseKey[]): Promise<void>;
  /** Whether this message is stored; the answer is final. */
  isStored(id: string): Promise<boolean>;
  /** The leases of this node that another process has recalled. */
  recalled(): Promise<LeaseKey[]>;
};

/** What is stored by the transaction that grants its credit: of `Riding` every lease is granted as much. */
export type Riding = Omit<CommitBatch, "nodeId" | "nowMs">;
export type GrantOptions = {
  /** Leaves out wallets that others have locked. */
  skipLocked: boolean;
  /**
   * Called, with the wallets locked, once it is certain what will be granted; again if the transaction is
   * repeated. Null: nothing rides along.
   */
  ride?: (grants: readonly Grant[]) => Riding | null;
};

/** The node isn't registered, or its lifetime is over by MySQL's clock: nothing was granted. */
export class NodeExpiredError extends Error {
  override readonly name = "NodeExpiredError";
}

export function createLeaseStore(
  deps: LeaseDeps & { heldLinkOf?: HeldLinkOf },
  options: { nodeId: string; ttlMs: number },
): LeaseStore {
  const { nodeId } = options;
  return {
    ...createNodeStore(deps, options),
    grant: (wants, how) => grantLeases(deps, nodeId, wants, how),
    isStored: (id) => deps.pool.use((conn) => isStored(conn, id)),
    giveBack: (returns) => giveBack(deps, nodeId, returns),
    end: (keys) => endLeases(deps, nodeId, keys),
    recalled: () => recalledLeases(deps.pool, nodeId),
  };
}

type WalletRow = { customer_id: number; balance: number };
/** `capped`: its customer, if that has spend caps. */
type HeldRow = { customer_id: number; mode: CustomerMode; capped: number | null } & (
  | { node_id: string; epoch: number; unspent: number }
  | { node_id: null; epoch: null; unspent: null }
);

/**
 * Grants credit to leases of this node and marks the leases of others that have to return theirs, all in one
 * transaction.
 */
function grantLeases(
  { pool, id, now, heldLinkOf = neverHeld }: LeaseDeps & { heldLinkOf?: HeldLinkOf },
  nodeId: string,
  wants: Want[],
  { skipLocked, ride }: GrantOptions,
): Promise<Grant[]> {
  const byCustomer = new Map(wants.map((w) => [w.customerId, w]));
  const ids = customersOf(wants);
  return withRetries(pool, async (conn) => {
    // The last statement reads after the locks are held, so it misses no grant or change of mode.
    const [, alive, wallets, held] = await conn.query<[unknown, unknown[], WalletRow[], HeldRow[]]>(
      `BEGIN;SELECT node_id FROM nodes WHERE node_id='${nodeId}' AND expires_at > NOW(3);` +
        `${lockSql(ids, skipLocked)};` +
        "SELECT c.customer_id, c.mode, l.node_id, l.epoch, l.granted - l.spent AS unspent, " +
        "s.customer_id AS capped FROM customers c LEFT JOIN spend_caps s ON s.customer_id=c.customer_id " +
        `LEFT JOIN credit_leases l ON l.customer_id=c.customer_id WHERE c.customer_id IN (${ids})`,
    );
    if (alive.length === 0) throw new NodeExpiredError(`node ${nodeId} is not alive`);
    const heldBy = Map.groupBy(held, (row) => row.customer_id);
    const capped = wallets.flatMap((wallet) => heldBy.get(wallet.customer_id)?.[0]?.capped ?? []);
    const caps = capped.length === 0 ? NO_CAPS : await readCaps(conn, capped);
    const grants = wallets.map(({ customer_id: customerId, balance }) => {
      const found = heldBy.get(customerId) ?? [];
      const leases = found.flatMap((row) => (row.node_id === null ? [] : [{ ...row, nodeId: row.node_id }]));
      const mode = found[0]?.mode ?? "lease";
      const wallet = { customerId, balance, mode, leases, ...roomsOf(caps, customerId) };
      return decideGrant(wallet, byCustomer.get(customerId) as Want, nodeId);
    });
    const sql = [
      ...givenSql(
        grants.filter((g) => g.granted > 0),
        (customerId) => (byCustomer.get(customerId) as Want).epoch,
        { nodeId, id, nowMs: now() },
      ),
      ...recallSql(
        grants.filter((g) => g.recall).map((g) => byCustomer.get(g.customerId) as Want),
        nodeId,
      ),
      ...capsSql(caps, new Map(grants.map((g) => [g.customerId, g.granted]))),
    ];
    const riding = ride?.(grants) ?? null;
    if (riding !== null)
      await storeBatch(conn, sql.join(";"), { ...riding, nodeId, nowMs: now() }, heldLinkOf);
    else if (sql.length > 0) await conn.query(sql.join(";"));
    await commitOrDoubt(conn);
    return grants;
  });
}

function givenSql(
  given: Grant[],
  epochOf: (customerId: number) => number,
  { nodeId, id, nowMs }: { nodeId: string; id: () => string; nowMs: number },
): string[] {
  if (given.length === 0) return [];
  const entries = given.map((g) => entryOf(id(), "grant", g.customerId, g.granted, nowMs));
  const leases = given.map((g) => [quote(nodeId), g.customerId, epochOf(g.customerId), g.granted]);
  return [
    walletsSql(walletChanges(entries)),
    `INSERT INTO credit_leases (node_id,customer_id,epoch,granted) VALUES ` +
      `${leases.map((lease) => `(${lease})`).join(",")} ` +
      "AS n ON DUPLICATE KEY UPDATE granted=credit_leases.granted+n.granted",
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

// Runs many times a second: reads an empty range of the index, however many leases there are.
async function recalledLeases(pool: Pool, nodeId: string): Promise<LeaseKey[]> {
  const found = await pool.query<{ customer_id: number; epoch: number }[]>(
    "SELECT customer_id, epoch FROM credit_leases FORCE INDEX (by_recall) " +
      `WHERE node_id='${nodeId}' AND recall=TRUE`,
  );
  return found.map((row) => ({ customerId: row.customer_id, epoch: row.epoch }));
}

/** Skips leases that no longer exist or hold less than the amount. */
export function giveBack(
  { pool, id, now }: LeaseDeps,
  nodeId: string,
  returns: readonly Return[],
): Promise<void> {
  return pool.transaction(async (conn) => {
    const ids = customersOf(returns);
    const [, leases] = await conn.query<[unknown, { customer_id: number; epoch: number; unspent: number }[]]>(
      `${lockSql(ids, false)};SELECT customer_id, epoch, granted - spent AS unspent ` +
        `FROM credit_leases WHERE node_id='${nodeId}' AND customer_id IN (${ids})`,
    );
    const unspent = new Map(leases.map((l) => [`${l.customer_id}:${l.epoch}`, l.unspent]));
    const held = returns.filter((r) => (unspent.get(`${r.customerId}:${r.epoch}`) ?? -1) >= r.amount);
    if (held.length === 0) return;
    await conn.query(
      `UPDATE (VALUES ${rows(held.map((r) => [r.customerId, r.epoch, r.amount]))}) AS v (c,e,a) ` +
        `STRAIGHT_JOIN credit_leases l ON l.customer_id=v.c AND l.node_id='${nodeId}' AND l.epoch=v.e ` +
        "SET l.granted=l.granted-v.a,l.recall=FALSE",
    );
    await returnCredit(conn, held, { id, now });
  });
}

/** Implements `LeaseStore.end`. */
export function endLeases(deps: LeaseDeps, nodeId: string, keys: readonly LeaseKey[]): Promise<void> {
  const tuples = keys.map((k) => `(${k.customerId},'${nodeId}',${k.epoch})`);
  const which = `(customer_id,node_id,epoch) IN (${tuples})`;
  return deps.pool.transaction((conn) =>
    endRows(conn, { nodeId, customerIds: customersOf(keys), which }, deps),
  );
}
