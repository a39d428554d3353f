// A ClickHouse database for one test, without the tables that read Kafka: tests insert into status_events and
// ledger_events what a broker would deliver. Its name contains `test`; databases without that are never
// dropped here.

import { randomBytes } from "node:crypto";
import { type Clickhouse, createClickhouse } from "../../src/platform/clickhouse.ts";
import { type Config, loadConfig } from "../../src/platform/config.ts";
import { migrateClickhouse } from "../../src/schema/clickhouse.ts";

export type TestClickhouse = {
  /** The given config, with this database's name. */
  config: Config;
  clickhouse: Clickhouse;
  drop(): Promise<void>;
};

/** `kafka`: also creates the tables that read the broker, whose topics must exist. */
export async function createTestClickhouse(
  base: Config = loadConfig(process.env),
  { kafka = false } = {},
): Promise<TestClickhouse> {
  const config = { ...base, clickhouseDatabase: `sluice_test_${randomBytes(5).toString("hex")}` };
  await migrateClickhouse(config, { kafka });
  const clickhouse = createClickhouse(config);
  const drop = async () => {
    await clickhouse.command(`DROP DATABASE IF EXISTS ${config.clickhouseDatabase} SYNC`);
    await clickhouse.close();
  };
  return { config, clickhouse, drop };
}

export type StatusEvent = {
  id: string;
  sequence: number;
  status: string;
  customer_id?: number;
  phone?: string;
  type?: string;
  reference?: string;
  operator?: string;
  operator_message_id?: string;
  attempt?: number;
  last_error?: string;
  refused_by?: string[];
  refused_why?: string[];
  refused_at_ms?: number[];
  unreserved?: 0 | 1;
  created_at_ms: number;
  updated_at_ms?: number;
};

/** Inserts them as one block, like one record of the topic. */
export async function insertStatusEvents(
  clickhouse: Clickhouse,
  events: readonly StatusEvent[],
): Promise<void> {
  const rows = events.map((event) => ({
    customer_id: 1,
    phone: "+989120000001",
    type: "normal",
    parts: 1,
    cost: 500,
    reference: "",
    operator: "",
    operator_message_id: "",
    attempt: 0,
    updated_at_ms: event.created_at_ms + event.sequence,
    ...event,
  }));
  await clickhouse.insert("status_events", rows);
}

export type LedgerEvent = {
  event_id: string;
  customer_id: number;
  op: string;
  amount: number;
  created_at_ms: number;
};

export async function insertLedgerEvents(
  clickhouse: Clickhouse,
  events: readonly LedgerEvent[],
): Promise<void> {
  await clickhouse.insert("ledger_events", events);
}
