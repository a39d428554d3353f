// Whether the database can be worked with: it answers, and the tables that every role needs are there. What a
// role waits for before anything else; making them is the migrator's.

import type { Pool } from "../platform/mysql.ts";

/** @throws the driver's error while MySQL is away or not migrated */
export async function tablesAnswer(pool: Pool): Promise<void> {
  await pool.query("(SELECT 1 FROM messages LIMIT 1) UNION (SELECT 1 FROM wallet_accounts LIMIT 1)");
  await pool.query("SELECT 1 FROM outbox LIMIT 1");
}
