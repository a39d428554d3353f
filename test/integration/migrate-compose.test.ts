// `./sluice migrate --stack compose`: ClickHouse reads Kafka at the address that it has among the containers.

import { afterAll, expect, test } from "bun:test";
import { createClickhouse } from "../../src/platform/clickhouse.ts";
import { loadConfig } from "../../src/platform/config.ts";
import { createPool } from "../../src/platform/mysql.ts";
import { testCli } from "../support/cli.ts";

const { run, settings } = await testCli();
const name = `sluice_test_compose_${Date.now().toString(36)}`;
const env = {
  SLUICE_CLICKHOUSE_DATABASE: name,
  SLUICE_MYSQL_DATABASE: name,
  SLUICE_TOPIC_PREFIX: `${name}.`,
};
const config = loadConfig(settings);
const clickhouse = createClickhouse(config, { database: "default" });
const mysql = createPool(config, { connections: 1, database: null });
afterAll(async () => {
  await clickhouse.command(`DROP DATABASE IF EXISTS ${name} SYNC`);
  await clickhouse.close();
  await mysql.write(`DROP DATABASE IF EXISTS ${name}`);
  await mysql.end();
});

const brokers = async (): Promise<string[]> => {
  const sql =
    "SELECT DISTINCT extract(create_table_query, 'kafka_broker_list = \\'([^\\']*)') AS broker " +
    "FROM system.tables WHERE database = {name:String} AND engine = 'Kafka'";
  return (await clickhouse.query<{ broker: string }>(sql, { name })).map(({ broker }) => broker);
};

test("the tables that read Kafka have the containers' address, and the usual one without the option", async () => {
  expect(run(["migrate", "--stack", "compose"], { env })).toMatchObject({ code: 0, stderr: "" });
  expect(await brokers()).toEqual(["kafka:9094"]);
  expect(run(["migrate"], { env })).toMatchObject({ code: 0, stderr: "" });
  expect(await brokers()).toEqual([`127.0.0.1:${settings.SLUICE_KAFKA_PORT}`]);
});
