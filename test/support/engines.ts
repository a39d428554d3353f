// A database of MySQL and one of ClickHouse for a test file that compares the two, as those of reconcile do.

import type { Clickhouse } from "../../src/platform/clickhouse.ts";
import type { Config } from "../../src/platform/config.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { createTestClickhouse } from "./clickhouse.ts";
import { createTestDatabase } from "./database.ts";

export type TestEngines = {
  /** Names both databases. */
  config: Config;
  /** Allows several statements. */
  pool: Pool;
  clickhouse: Clickhouse;
  /** Ends the pool and drops both. */
  drop(): Promise<void>;
};

export async function createTestEngines(): Promise<TestEngines> {
  const [database, events] = await Promise.all([createTestDatabase(), createTestClickhouse()]);
  const { clickhouseDatabase } = events.config;
  const pool = createPool(database.config, { connections: 4, multipleStatements: true });
  return {
    config: { ...database.config, clickhouseDatabase },
    pool,
    clickhouse: events.clickhouse,
    async drop() {
      await pool.end();
      await Promise.all([database.drop(), events.drop()]);
    },
  };
}
