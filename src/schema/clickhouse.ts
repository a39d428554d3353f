// ClickHouse's migrations: the database itself, then sql/clickhouse in order. Forward only. ClickHouse has no
// locks, so the caller holds MySQL's migration lock; even so, every statement may be repeated. Files with
// {{words}} take them from the settings and run again when those change, all of them and in order, so that
// the tables which read Kafka follow their broker. Invariant: what reads the broker has the columns of the
// last file; a view that a later file replaces is never made.

import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { type Clickhouse, createClickhouse } from "../platform/clickhouse.ts";
import type { Config } from "../platform/config.ts";
import { brokerList } from "../platform/kafka/brokers.ts";
import {
  type AppliedMigration,
  applyMigrations,
  type Migration,
  type MigrationTarget,
  readMigrations,
} from "./migrations.ts";

const FOLDER = fileURLToPath(new URL("../../sql/clickhouse", import.meta.url));
const TIMEOUT_MS = 60_000;

export type ClickhouseMigrateOptions = {
  /** false: without the tables that read Kafka, for tests that insert events themselves. */
  kafka?: boolean;
};

/**
 * Brings ClickHouse to the latest schema; returns the names of the files it applied. @throws Error that says
 * which file was refused and why
 */
export async function migrateClickhouse(
  config: Config,
  { kafka = true }: ClickhouseMigrateOptions = {},
): Promise<string[]> {
  const words = wordsOf(config);
  const migrations = readMigrations(FOLDER, (sql) => fillIn(sql, words));
  const wanted = kafka ? migrations : migrations.filter(({ name }) => !name.endsWith("_kafka.sql"));
  const server = createClickhouse(config, { connections: 1, timeoutMs: TIMEOUT_MS, database: "default" });
  try {
    await server.command(`CREATE DATABASE IF NOT EXISTS \`${words.database}\``);
  } finally {
    await server.close();
  }
  const clickhouse = createClickhouse(config, { connections: 1, timeoutMs: TIMEOUT_MS });
  try {
    await clickhouse.command(HISTORY_TABLE);
    const target = targetOf(clickhouse, supersededIn(wanted));
    const applied = await applyMigrations(wanted, target);
    return [...applied, ...(await followSettings(wanted, applied, clickhouse, target))];
  } finally {
    await clickhouse.close();
  }
}

const HISTORY_TABLE = `CREATE TABLE IF NOT EXISTS schema_migrations (
  name            String,
  checksum        String,
  statements_done UInt32,
  finished        Bool,
  at              DateTime64(6, 'UTC') DEFAULT now64(6)
) ENGINE = ReplacingMergeTree(at) ORDER BY name`;

/**
 * The views of the broker that a later statement drops: until then they would read records without what is
 * new in them.
 */
export function supersededIn(migrations: readonly Migration[]): ReadonlySet<string> {
  const statements = migrations.flatMap((migration) => migration.statements);
  const isSuperseded = (statement: string, at: number) => {
    const view = /^CREATE MATERIALIZED VIEW (mv_kafka_\w+)/.exec(statement)?.[1];
    return view !== undefined && statements.indexOf(`DROP VIEW IF EXISTS ${view}`, at) > at;
  };
  return new Set(statements.filter(isSuperseded));
}

function targetOf(clickhouse: Clickhouse, superseded: ReadonlySet<string>): MigrationTarget {
  return {
    async applied() {
      const rows = await clickhouse.query<{
        name: string;
        checksum: string;
        statements_done: number;
        finished: boolean;
      }>(
        "SELECT name, checksum, statements_done, finished FROM schema_migrations FINAL " +
          "WHERE name LIKE '%.sql' ORDER BY name",
      );
      return rows.map((row) => ({ ...row, statementsDone: row.statements_done }));
    },
    async run(statement) {
      if (!superseded.has(statement)) await clickhouse.command(statement);
    },
    record: (migration) => recordOf(clickhouse, migration),
  };
}

function recordOf(
  clickhouse: Clickhouse,
  { name, checksum, statementsDone, finished }: AppliedMigration,
): Promise<void> {
  return clickhouse.insert("schema_migrations", [
    { name, checksum, statements_done: statementsDone, finished },
  ]);
}

/**
 * Runs the files that contain words again when the words of one have changed; the words last used are kept in
 * a row of their own. All of them run, because a later one replaces what an earlier one makes.
 */
async function followSettings(
  migrations: readonly Migration[],
  fresh: readonly string[],
  clickhouse: Clickhouse,
  target: MigrationTarget,
): Promise<string[]> {
  const templated = migrations.filter((migration) => migration.templated);
  const changed: AppliedMigration[] = [];
  for (const { name, statements } of templated) {
    const checksum = createHash("sha256").update(statements.join(";\n")).digest("hex");
    const [known] = await clickhouse.query<{ checksum: string }>(
      "SELECT checksum FROM schema_migrations FINAL WHERE name = {row:String}",
      { row: rowOf(name) },
    );
    if (known?.checksum !== checksum)
      changed.push({ name, checksum, statementsDone: statements.length, finished: true });
  }
  const again = changed.map(({ name }) => name).filter((name) => !fresh.includes(name));
  if (again.length > 0)
    for (const statement of templated.flatMap(({ statements }) => statements))
      await target.run(statement, { repeated: true });
  for (const row of changed) await recordOf(clickhouse, { ...row, name: rowOf(row.name) });
  return again.map((name) => `${name} (settings changed)`);
}

const rowOf = (name: string): string => `${name}:settings`;

type Words = { database: string; kafka_broker: string; topic_prefix: string };

// Words are put inside quoted SQL, so only characters that such names consist of are allowed.
function wordsOf(config: Config): Words {
  const words = {
    database: config.clickhouseDatabase,
    kafka_broker: brokerList({
      kafkaHost: config.clickhouseKafka || config.kafkaHost,
      kafkaPort: config.kafkaPort,
    }),
    topic_prefix: config.topicPrefix,
  };
  for (const [name, word] of Object.entries(words))
    if (!(name === "kafka_broker" ? /^[\w.:,-]*$/ : /^[\w.:-]*$/).test(word))
      throw new Error(`the setting for ${name} has characters that can't be used: ${word}`);
  return words;
}

function fillIn(sql: string, words: Words): string {
  return sql.replaceAll(/\{\{(\w+)\}\}/g, (_, word: string) => {
    const value = words[word as keyof Words];
    if (value === undefined) throw new Error(`no setting fills in {{${word}}}`);
    return value;
  });
}
