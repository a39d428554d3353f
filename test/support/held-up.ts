// Commits, adjustments and replays that wait for a lock which a test holds.

import type { Pool } from "../../src/platform/mysql.ts";

/** How many commits of this pool's database wait for a lock on a lease. */
export const commitsHeldUp = (pool: Pick<Pool, "query">): Promise<number> =>
  running(pool, "UPDATE credit_leases%SET spent=spent+%");

/** How many adjustments of this pool's database wait for a lock on a wallet. */
export const adjustmentsHeldUp = (pool: Pick<Pool, "query">): Promise<number> =>
  running(pool, "SELECT balance, reserved FROM wallet_accounts%FOR UPDATE");

/** How many replays of webhooks of this pool's database wait for a lock on a delivery. */
export const replaysHeldUp = (pool: Pick<Pool, "query">): Promise<number> =>
  running(pool, "SELECT event_id, endpoint FROM webhook_deliveries%FOR UPDATE");

async function running(pool: Pick<Pool, "query">, statement: string): Promise<number> {
  const [row] = await pool.query<{ n: number }[]>(
    "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE db=DATABASE() AND info LIKE ?",
    [statement],
  );
  return Number(row?.n);
}
