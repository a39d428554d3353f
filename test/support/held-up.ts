// Commits that wait for a lock which a test holds.

import type { Pool } from "../../src/platform/mysql.ts";

/** How many commits of this pool's database wait for a lock on a lease. */
export async function commitsHeldUp(pool: Pick<Pool, "query">): Promise<number> {
  const [row] = await pool.query<{ n: number }[]>(
    "SELECT COUNT(*) AS n FROM information_schema.processlist " +
      "WHERE db=DATABASE() AND info LIKE 'UPDATE credit_leases%SET spent=spent+%'",
  );
  return Number(row?.n);
}
