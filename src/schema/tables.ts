// Checks that the database is usable: it answers, and has the tables that every role needs. Roles wait for
// this before anything else; the migrator creates the tables.

import type { Pool } from "../platform/mysql.ts";

/** @throws the driver's error while MySQL is away or not migrated */
export async function tablesAnswer(pool: Pool): Promise<void> {
  await pool.query("(SELECT 1 FROM messages LIMIT 1) UNION (SELECT 1 FROM wallet_accounts LIMIT 1)");
  await pool.query("SELECT 1 FROM outbox LIMIT 1");
}
