// Ends transactions whose process went to sleep in the middle: one that is stopped, or whose machine is,
// would hold its rows' locks for as long as it sleeps, and with them every wallet and claim it was about to
// settle.
// MySQL has no time limit of its own for that. The sleeper finds its connection gone and looks up what became
// of its work, as after any lost connection.
// Invariant: only this user's transactions on this database, that hold locks and wait for no statement.

import { IDLE_TRANSACTION_MAX_MS } from "../core/limits.ts";
import { isError } from "../platform/mysql-errors.ts";
import type { Pool } from "../platform/mysql.ts";

/** Returns how many were ended. The database counts whole seconds. */
export async function endIdleTransactions(pool: Pool, idleMs = IDLE_TRANSACTION_MAX_MS): Promise<number> {
  const idle = await pool.query<{ id: number }[]>(
    "SELECT p.ID AS id FROM information_schema.innodb_trx t " +
      "JOIN information_schema.processlist p ON p.ID=t.trx_mysql_thread_id " +
      "WHERE p.COMMAND='Sleep' AND p.TIME>=? AND p.DB=DATABASE() " +
      "AND p.USER=SUBSTRING_INDEX(CURRENT_USER(),'@',1) AND (t.trx_rows_locked>0 OR t.trx_rows_modified>0)",
    [Math.ceil(idleMs / 1_000)],
  );
  let ended = 0;
  for (const { id } of idle) {
    try {
      await pool.query(`KILL ${id}`);
      ended++;
    } catch (error) {
      if (!isError(error, "noSuchThread")) throw error; // it ended by itself meanwhile
    }
  }
  return ended;
}
