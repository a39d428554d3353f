// MySQL's migrations: the database itself, sql/mysql in order, and the partitions of the days ahead. Safe to
// run twice at once (GET_LOCK); forward only. Leaves reading, checksums and order to
// src/schema/migrations.ts.

import { fileURLToPath } from "node:url";
import type { Config } from "../platform/config.ts";
import {
  type AppliedMigration,
  applyMigrations,
  type MigrationTarget,
  readMigrations,
} from "./migrations.ts";
import { isError, type MysqlError } from "../platform/mysql-errors.ts";
import { type Connection, createPool } from "../platform/mysql.ts";
import { takeLock } from "../platform/named-lock.ts";
import { ensurePartitions, type PartitionOptions, type PartitionResult } from "./partitions.ts";

export type MigrateOptions = PartitionOptions & {
  folder?: string;
  /** Runs under the same lock, after MySQL's own migrations: for engines without locks. */
  afterwards?: () => Promise<void>;
};
export type MigrateResult = { applied: string[]; partitions: PartitionResult };

const FOLDER = fileURLToPath(new URL("../../sql/mysql", import.meta.url));
// Another migrator may be running; none takes longer than this.
const LOCK_WAIT_S = 60;
/** Other engines are migrated under the same lock. */
const MIGRATION_MAX_S = 3_600;
const ALREADY_THERE: readonly MysqlError[] = [
  "tableExists",
  "columnExists",
  "keyExists",
  "nothingToDrop",
  "foreignKeyExists",
];

const NO_TRIGGERS =
  "MySQL writes a binary log and lets this user create no triggers: set log_bin_trust_function_creators=1 " +
  "there, or migrate as a user with SUPER; then migrate again, it continues where it stopped " +
  "(deploy/systemd/README.md, Engines)";

/**
 * Brings the database named in the config to the latest schema. @throws Error that says which file was
 * refused and why
 */
export async function migrateMysql(config: Config, options: MigrateOptions = {}): Promise<MigrateResult> {
  const { folder = FOLDER, afterwards, ...days } = options;
  const database = quoteName(config.mysqlDatabase);
  const migrations = readMigrations(folder);
  const server = createPool(config, { connections: 1, database: null });
  try {
    return await server.use((conn) =>
      locked(conn, config.mysqlDatabase, async () => {
        await conn.query(
          `CREATE DATABASE IF NOT EXISTS ${database} CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci`,
        );
        await conn.query(`USE ${database}`);
        await conn.query(HISTORY_TABLE);
        const applied = await applyMigrations(migrations, targetOf(conn));
        await afterwards?.();
        // Under the lock too: whoever migrates beside this one waits for the partitions, and finds them made.
        const partitions = await makePartitions(config, days);
        return { applied, partitions };
      }),
    );
  } finally {
    await server.end();
  }
}

async function makePartitions(config: Config, options: PartitionOptions): Promise<PartitionResult> {
  const pool = createPool(config, { connections: 1 });
  try {
    return await ensurePartitions(pool, options);
  } finally {
    await pool.end();
  }
}

const HISTORY_TABLE = `CREATE TABLE IF NOT EXISTS schema_migrations (
  name            VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  checksum        CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'SHA-256 of the file',
  statements_done INT NOT NULL,
  started_at      DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  finished_at     DATETIME(3) NULL
) ENGINE = InnoDB`;

function targetOf(conn: Connection): MigrationTarget {
  return {
    async applied() {
      const rows = await conn.query<
        { name: string; checksum: string; statements_done: number; finished: number }[]
      >(
        "SELECT name, checksum, statements_done, finished_at IS NOT NULL AS finished " +
          "FROM schema_migrations ORDER BY name",
      );
      return rows.map((row) => ({
        ...row,
        statementsDone: row.statements_done,
        finished: row.finished === 1,
      }));
    },
    async run(statement, { repeated }) {
      try {
        await conn.query(statement);
      } catch (error) {
        if (isError(error, "noTriggersWithBinlog")) throw new Error(NO_TRIGGERS, { cause: error });
        if (!(repeated && isError(error, ...ALREADY_THERE))) throw error;
      }
    },
    async record({ name, checksum, statementsDone, finished }: AppliedMigration) {
      const end = finished ? "CURRENT_TIMESTAMP(3)" : "NULL";
      await conn.write(
        `INSERT INTO schema_migrations (name, checksum, statements_done, finished_at) VALUES (?, ?, ?, ${end})
         ON DUPLICATE KEY UPDATE statements_done = ?, finished_at = ${end}`,
        [name, checksum, statementsDone, statementsDone],
      );
    },
  };
}

// On a connection without a database, because the database may have to be created first.
async function locked<T>(conn: Connection, database: string, body: () => Promise<T>): Promise<T> {
  const lock = await takeLock(conn, `migrate-${database}`, {
    waitS: LOCK_WAIT_S,
    silentMaxS: MIGRATION_MAX_S,
  });
  if (lock === null)
    throw new Error(`another migration of ${database} has been running for ${LOCK_WAIT_S} s`);
  try {
    return await body();
  } finally {
    await lock.release();
  }
}

function quoteName(name: string): string {
  if (!/^\w{1,64}$/.test(name)) throw new Error(`not a database name: ${name}`);
  return `\`${name}\``;
}
