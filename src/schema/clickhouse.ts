// ClickHouse's migrations: the database itself, then sql/clickhouse in order. Forward only. ClickHouse has no
// locks, so the caller holds MySQL's migration lock; even so, every statement may be repeated. Files with
// {{words}} take them from the settings and run again when those change, so that the tables which read Kafka
// follow their broker.

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
    const target = targetOf(clickhouse);
    const applied = await applyMigrations(wanted, target);
    return [...applied, ...(await followSettings(wanted, applied, clickhouse))];
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

function targetOf(clickhouse: Clickhouse): MigrationTarget {
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
    run: (statement) => clickhouse.command(statement),
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
 * Runs files that contain words again when the words have changed; the words last used are kept in a row of
 * their own.
 */
async function followSettings(
  migrations: readonly Migration[],
  fresh: readonly string[],
  clickhouse: Clickhouse,
): Promise<string[]> {
  const again: string[] = [];
  for (const { name, statements } of migrations.filter((migration) => migration.templated)) {
    const row = `${name}:settings`;
    const checksum = createHash("sha256").update(statements.join(";\n")).digest("hex");
    const [known] = await clickhouse.query<{ checksum: string }>(
      "SELECT checksum FROM schema_migrations FINAL WHERE name = {name:String}",
      { name: row },
    );
    if (known?.checksum === checksum) continue;
    if (!fresh.includes(name)) {
      for (const statement of statements) await clickhouse.command(statement);
      again.push(`${name} (settings changed)`);
    }
    await recordOf(clickhouse, { name: row, checksum, statementsDone: statements.length, finished: true });
  }
  return again;
}

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
