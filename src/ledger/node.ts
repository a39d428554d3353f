// A node is a process that holds leases, as the database knows it. Owns the statements on `nodes`: a node
// registers, renews itself while it lives, and once its lifetime is over, by MySQL's clock, any process takes
// its leases back. There is one row per process, so neither renewal nor expiry costs anything per lease.
// Invariant: no lease outlives its node's row; a node whose lifetime is over is never renewed, only
// registered again, and its process gives up what it held before. Bound: LEASE_BATCH_MAX leases a
// transaction.

import type { Pool } from "../platform/mysql.ts";
import { customersOf, endRows, LEASE_BATCH_MAX, type LeaseDeps } from "./lease-rows.ts";

export type NodeStore = {
  /** Extends the node's lifetime. False: it isn't registered, or its lifetime is over. */
  renew(): Promise<boolean>;
  register(): Promise<void>;
  /** Takes back leases of nodes whose lifetime is over. When aborted, it ends between two transactions. */
  reap(signal?: AbortSignal): Promise<void>;
  /**
   * Gives up this node and all its leases, keeping only what was really spent. When aborted, it ends between
   * two transactions and leaves the rest of the leases to the reapers.
   */
  retire(signal?: AbortSignal): Promise<void>;
};

export function createNodeStore(
  deps: LeaseDeps,
  { nodeId, ttlMs }: { nodeId: string; ttlMs: number },
): NodeStore {
  const { pool } = deps;
  const until = `NOW(3) + INTERVAL ${ttlMs * 1000} MICROSECOND`;
  return {
    async renew() {
      const { affectedRows } = await write(
        pool,
        `UPDATE nodes SET expires_at=${until} WHERE node_id='${nodeId}' AND expires_at > NOW(3)`,
      );
      return affectedRows > 0;
    },
    async register() {
      await write(
        pool,
        `INSERT INTO nodes (node_id,expires_at) VALUES ('${nodeId}',${until}) AS n ` +
          "ON DUPLICATE KEY UPDATE expires_at=n.expires_at",
      );
    },
    async reap(signal) {
      const expired = await pool.query<{ node_id: string; holds: number; old: number }[]>(
        `SELECT node_id, ${IS_OLD} AS old, EXISTS (SELECT 1 FROM credit_leases AS l ` +
          "FORCE INDEX (by_recall) WHERE l.node_id=n.node_id) AS holds FROM nodes AS n " +
          "WHERE expires_at <= NOW(3) ORDER BY node_id",
      );
      for (const node of expired)
        if (node.holds === 1) await reapNode(deps, node.node_id, signal);
        else if (node.old === 1) await forget(pool, node.node_id);
    },
    async retire(signal) {
      await write(pool, `UPDATE nodes SET expires_at=NOW(3) WHERE node_id='${nodeId}'`);
      await reapNode(deps, nodeId, signal);
    },
  };
}

// A transaction for a single statement, because transactions are retried.
const write = (pool: Pool, sql: string) => pool.transaction((conn) => conn.write(sql));

/** Ends all leases of a node whose lifetime is over, then the node. Several processes may do so at once. */
async function reapNode(deps: LeaseDeps, nodeId: string, signal?: AbortSignal): Promise<void> {
  while (signal?.aborted !== true && (await reapSome(deps, nodeId)));
}

// While the node is locked it can't register again. A lease granted late is found at the next look.
function reapSome(deps: LeaseDeps, nodeId: string): Promise<boolean> {
  return deps.pool.transaction(async (conn) => {
    const [node] = await conn.query<{ dead: number }[]>(
      `SELECT expires_at <= NOW(3) AS dead FROM nodes WHERE node_id='${nodeId}' FOR UPDATE`,
    );
    if (node?.dead !== 1) return false;
    const some = await conn.query<{ customer_id: number }[]>(
      `SELECT customer_id FROM credit_leases FORCE INDEX (by_recall) WHERE node_id='${nodeId}' ` +
        `LIMIT ${LEASE_BATCH_MAX}`,
    );
    if (some.length === 0) return false;
    const customerIds = customersOf(some.map((row) => ({ customerId: row.customer_id })));
    const which = `node_id='${nodeId}' AND customer_id IN (${customerIds})`;
    await endRows(conn, { nodeId, customerIds, which }, deps);
    return some.length === LEASE_BATCH_MAX;
  });
}

/**
 * A grant may read that its node lives and commit later, so a node's row is kept for longer than MySQL lets
 * any transaction stay open (wait_timeout, 8 h). Thus no lease outlives its node's row.
 */
const IS_OLD = "expires_at < NOW(3) - INTERVAL 2 DAY";
const forget = (pool: Pool, nodeId: string) =>
  write(pool, `DELETE FROM nodes WHERE node_id='${nodeId}' AND ${IS_OLD}`);
