// What a run of ClickHouse's migrations leaves out, on the files themselves.

import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { supersededIn } from "./clickhouse.ts";
import { readMigrations } from "./migrations.ts";

const migrations = readMigrations(fileURLToPath(new URL("../../sql/clickhouse", import.meta.url)));

test("of each view of the broker only the last is made", () => {
  const superseded = supersededIn(migrations);
  const made = migrations
    .flatMap(({ name, statements }) => statements.map((statement) => ({ name, statement })))
    .filter(({ statement }) => statement.includes("VIEW mv_kafka_") && statement.startsWith("CREATE"))
    .filter(({ statement }) => !superseded.has(statement));
  expect(made.map(({ name, statement }) => [name, /mv_kafka_\w+/.exec(statement)?.[0]])).toEqual([
    ["0004_kafka.sql", "mv_kafka_ledger"],
    ["0031_unreserved_kafka.sql", "mv_kafka_status"],
  ]);
  expect(superseded.size).toBe(3);
});

test("what nothing drops later is made, also if it was dropped before", () => {
  const view = (from: string) => `CREATE MATERIALIZED VIEW mv_kafka_a TO a AS SELECT 1 FROM ${from}`;
  const file = (...statements: string[]) => ({ name: "", checksum: "", statements, templated: true });
  const drop = "DROP VIEW IF EXISTS mv_kafka_a";
  expect([...supersededIn([file(drop, view("one")), file(view("two"))])]).toEqual([]);
  expect([...supersededIn([file(drop, view("one")), file("SELECT 1", drop, view("two"))])]).toEqual([
    view("one"),
  ]);
});
