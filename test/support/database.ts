// A MySQL database for one test, cloned from a migrated template. Owns their names: each contains `test`, and
// databases without that are never created or dropped here. The template is created once per state of
// sql/mysql, by whichever test needs it first.

import { createHash, randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { migrateMysql } from "../../src/schema/mysql.ts";
import { type Config, loadConfig } from "../../src/platform/config.ts";
import { readMigrations } from "../../src/schema/migrations.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";

export type TestDatabase = {
  /** The given config, with this database's name. */
  config: Config;
  pool: Pool;
  /** Ends the pool and drops the database. */
  drop(): Promise<void>;
};

const FOLDER = fileURLToPath(new URL("../../sql/mysql", import.meta.url));
// Few partitions, because each is a file and tests only write today's rows.
const DAYS_AHEAD = 2;
// Nobody replicates these databases, and one is made in half the time without the binlog.
const NOT_LOGGED = "SET sql_log_bin = 0";

export async function createTestDatabase(base: Config = loadConfig(process.env)): Promise<TestDatabase> {
  const template = await ensureTemplate(base);
  const config = {
    ...base,
    mysqlDatabase: `sluice_test_${Date.now().toString(36)}_${randomBytes(4).toString("hex")}`,
  };
  const database = checkedName(config.mysqlDatabase);
  const server = createPool(base, { connections: 1, database: null });
  try {
    await server.use(async (conn) => {
      await conn.query(NOT_LOGGED);
      await conn.query(`CREATE DATABASE ${database}`);
      await conn.query(`USE ${database}`);
      await conn.query("SET foreign_key_checks = 0"); // tables are created in any order
      for (const sql of template) await conn.query(sql);
      await conn.query("SET foreign_key_checks = 1");
    });
  } finally {
    await server.end();
  }
  const pool = createPool(config, { connections: 8 });
  const drop = async () => {
    await pool.end();
    await dropDatabase(base, config.mysqlDatabase);
  };
  return { config, pool, drop };
}

/** Drops the database. Refuses a name without `test`. */
export async function dropDatabase(base: Config, name: string): Promise<void> {
  const server = createPool(base, { connections: 1, database: null });
  try {
    await server.use(async (conn) => {
      await conn.query(NOT_LOGGED);
      await conn.query(`DROP DATABASE IF EXISTS ${checkedName(name)}`);
    });
  } finally {
    await server.end();
  }
}

// The CREATE TABLE and CREATE TRIGGER statements of the template, by server and day: read once per process.
const templates = new Map<string, Promise<string[]>>();

function ensureTemplate(base: Config): Promise<string[]> {
  const state = createHash("sha256");
  for (const { checksum } of readMigrations(FOLDER)) state.update(checksum);
  const today = new Date().toISOString().slice(0, 10).replaceAll("-", "");
  const name = `sluice_test_template_${state.digest("hex").slice(0, 12)}_${today}`;
  const key = `${base.mysqlHost}:${base.mysqlPort}/${name}`;
  const known = templates.get(key) ?? makeTemplate({ ...base, mysqlDatabase: name });
  templates.set(key, known);
  return known;
}

async function makeTemplate(config: Config): Promise<string[]> {
  checkedName(config.mysqlDatabase);
  // Holds a lock of its own, so two test processes may do this at once.
  await migrateMysql(config, { daysAhead: DAYS_AHEAD });
  const pool = createPool(config, { connections: 1 });
  try {
    const tables = await pool.query<{ name: string }[]>(
      "SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() " +
        "ORDER BY name",
    );
    const statements: string[] = [];
    for (const { name } of tables) {
      const rows = await pool.query<Record<string, string>[]>(`SHOW CREATE TABLE \`${name}\``);
      statements.push(rows[0]?.["Create Table"] as string);
    }
    type Trigger = { Trigger: string; Timing: string; Event: string; Table: string; Statement: string };
    for (const { Trigger, Timing, Event, Table, Statement } of await pool.query<Trigger[]>("SHOW TRIGGERS"))
      statements.push(
        `CREATE TRIGGER ${Trigger} ${Timing} ${Event} ON \`${Table}\` FOR EACH ROW ${Statement}`,
      );
    return statements;
  } finally {
    await pool.end();
  }
}

function checkedName(name: string): string {
  if (!/^\w{1,64}$/.test(name) || !name.includes("test"))
    throw new Error(`not the name of a test database: ${name}`);
  return `\`${name}\``;
}
