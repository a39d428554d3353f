// Ends transactions whose process fell asleep in the middle: while that process, or its machine, is stopped,
// it would hold its row locks, and with them every wallet and claim it was about to settle.
// MySQL has no time limit of its own for that. When the process wakes up it finds its connection gone and
// looks up what became of its work, as after any lost connection.
// Invariant: ends only this user's transactions on this database that hold locks and run no statement.

import { IDLE_TRANSACTION_MAX_MS } from "../core/limits.ts";
import { isError } from "../platform/mysql-errors.ts";
import type { Pool } from "../platform/mysql.ts";

/** Returns how many transactions it ended. MySQL measures their idle time in whole seconds. */
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
      if (!isError(error, "noSuchThread")) throw error; // it has ended on its own in the meantime
    }
  }
  return ended;
}
