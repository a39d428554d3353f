// Brings the schemas of both databases to the latest migration and creates the partitions of the days ahead.
// Safe to run at any time, even twice at once. Kafka's topics are created by a Node process
// (src/main/topics.ts): `./sluice migrate` runs both.

import { migrateMysql } from "../schema/mysql.ts";
import { describeSettings, loadConfig } from "../platform/config.ts";
import { migrateClickhouse } from "../schema/clickhouse.ts";

if (process.argv.includes("--help")) {
  console.log(`usage: bun src/main/migrate.ts\n\n${describeSettings()}`);
  process.exit(0);
}

try {
  const config = loadConfig(process.env);
  const mysql = await migrateMysql(config, {
    afterwards: async () => report("ClickHouse", await migrateClickhouse(config)),
  });
  report("MySQL", mysql.applied);
  if (mysql.partitions.kind === "busy")
    console.log("MySQL: the tables are in use; an ingest process will create the partitions later");
} catch (error) {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  console.error(`migrate: ${message}${cause instanceof Error ? ` (${cause.message})` : ""}`);
  process.exit(1);
}

function report(engine: string, applied: readonly string[]): void {
  console.log(applied.length === 0 ? `${engine}: up to date` : `${engine}: applied ${applied.join(", ")}`);
}
