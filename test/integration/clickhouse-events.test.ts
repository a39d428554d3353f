// How events get from the broker into ClickHouse, through the real Kafka-engine tables.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import { brokersOf } from "../../src/platform/kafka/brokers.ts";
import { describeGroup } from "../../src/platform/kafka/group.ts";
import { consumersOf } from "../../src/platform/kafka/topics.ts";
import { createLog } from "../../src/platform/log.ts";
import { createMetrics } from "../../src/platform/metrics.ts";
import { createPool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { systemTimers } from "../../src/platform/timers.ts";
import { watchReportReaders } from "../../src/relay/report-readers.ts";
import { migrateClickhouse } from "../../src/schema/clickhouse.ts";
import { messagesReport } from "../../src/reports/messages-report.ts";
import { createTestClickhouse, type TestClickhouse } from "../support/clickhouse.ts";
import { createDownstream, type Downstream } from "../support/roles.ts";

const WAIT_MS = 30_000;
const id = createIdFactory({ now: Date.now });
let downstream: Downstream;
let db: TestClickhouse;
beforeAll(async () => {
  downstream = await createDownstream();
  db = await createTestClickhouse(downstream.config, { kafka: true });
}, 180_000);
afterAll(async () => {
  await Promise.all([db.drop(), downstream.end()]);
}, 180_000);

const lines = (rows: readonly object[]) => Buffer.from(rows.map((row) => JSON.stringify(row)).join("\n"));
const count = async (sql: string) => Number((await db.clickhouse.query<{ n: string }>(sql))[0]?.n);
async function until(sql: string, wanted: number, waitMs = WAIT_MS): Promise<void> {
  const startedMs = performance.now();
  for (;;) {
    const found = await count(sql);
    if (found === wanted) return;
    if (performance.now() - startedMs > waitMs) throw new Error(`${found} instead of ${wanted}: ${sql}`);
    await sleep(100);
  }
}
function statusRow(messageId: string, sequence: number, status: string): object {
  const at = Date.now();
  return {
    event_id: `${messageId}:${sequence}`,
    id: messageId,
    customer_id: 3,
    phone: "+989120000001",
    type: "express",
    status,
    parts: 2,
    cost: 1_400,
    reference: 'a "quoted"\nline é',
    operator: sequence === 1 ? "" : "B",
    operator_message_id: "",
    attempt: 0,
    sequence,
    created_at_ms: at,
    updated_at_ms: at + sequence,
  };
}
const ledgerRow = (entryId: string, amount: number) => ({
  event_id: `${entryId}:open`,
  entry_id: entryId,
  leg: "open",
  op: "topup",
  customer_id: 3,
  amount,
  created_at_ms: Date.now(),
});

test("records delivered twice change no total; an unreadable record is kept and blocks nothing", async () => {
  const ids = [id(), id(), id()];
  const record = lines(ids.flatMap((one) => [statusRow(one, 1, "queued"), statusRow(one, 4, "sent")]));
  await downstream.produce("sms.status", "", record);
  await until("SELECT count() AS n FROM messages_log", 6);
  await downstream.produce("sms.status", "", record);
  await downstream.produce("sms.status", "", Buffer.from('{"id": nonsense\n'));
  const last = id();
  await downstream.produce("sms.status", "", lines([statusRow(last, 1, "queued")]));
  await until(`SELECT count() AS n FROM messages_log WHERE id = '${last}'`, 1);
  expect(await count("SELECT count() AS n FROM messages_log FINAL")).toBe(7);
  await until("SELECT count() AS n FROM bad_records", 1); // written by another view
  expect(await db.clickhouse.query("SELECT raw, error <> '' AS failed FROM bad_records")).toEqual([
    { raw: '{"id": nonsense\n', failed: 1 },
  ]);
  const { messages } = await messagesReport(
    { clickhouse: db.clickhouse, now: Date.now },
    { customerId: 3, region: "IR" },
    new Map(new URLSearchParams()),
  );
  expect(messages.map((m) => [m.id, m.status, m.operator, m.reference])).toEqual([
    [last, "queued", null, 'a "quoted"\nline é'],
    ...ids.toReversed().map((one) => [one, "sent", "B", 'a "quoted"\nline é']),
  ]);

  const entries = lines([ledgerRow(id(), 5), ledgerRow(id(), 7)]);
  await downstream.produce("wallet.ledger", "", entries);
  await downstream.produce("wallet.ledger", "", entries);
  await until("SELECT count() AS n FROM wallet_ledger FINAL", 2);
  await until("SELECT sum(amount) AS n FROM mv_wallet_ledger_daily", 12);
}, 180_000);

test("a table that no longer reads its topic is reattached, and continues at its group's offset", async () => {
  const jobs = { timers: systemTimers, metrics: createMetrics("relay"), log: createLog("test", "silent") };
  const { status, ledger } = consumersOf(db.config);
  // Detached, the table has no consumer in the group, as if its consumer had been assigned no partitions.
  await db.clickhouse.command("DETACH TABLE kafka_status");
  await until(
    "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND name = 'kafka_status'",
    0,
  );
  const readers = async (topic: string, of: string) => {
    const { state, members } = await describeGroup(brokersOf(db.config), of);
    const each = members.map(({ instance, topics }) => ({
      instance,
      partitions: [...(topics.get(topic) ?? [])],
    }));
    return { partitions: [0], isSettled: !state.endsWith("Rebalance"), members: each };
  };
  const pool = createPool(downstream.config, { connections: 2 });
  const watching = watchReportReaders(
    { ...jobs, pool, topics: { readers, offsets: () => Promise.resolve(null) }, clickhouse: db.clickhouse },
    { consumers: { status, ledger }, unreadMs: 1_000, goneMs: 0 },
  );
  try {
    const one = id();
    await downstream.produce("sms.status", "", lines([statusRow(one, 1, "queued")]));
    // Its detached consumer is a member of the group until its session times out, after 20 s
    // (tools/clickhouse.xml); the watch looks every 5 s, and not while the group rebalances.
    await until(`SELECT count() AS n FROM messages_log WHERE id = '${one}'`, 1, 45_000);
    expect(await jobs.metrics.text()).toMatch(/^sluice_relay_reattached_total\S* [1-9]/m);
  } finally {
    await watching.stop();
    await pool.end();
  }
}, 180_000);

test("a table whose offset stands still while records wait is reattached; one that moves is left alone", async () => {
  const jobs = { timers: systemTimers, metrics: createMetrics("relay"), log: createLog("test", "silent") };
  const { status, ledger } = consumersOf(db.config);
  let looks = 0;
  const offsets = (topic: string) => {
    const committed = topic === ledger.topic ? 2 : looks++;
    return Promise.resolve({ topicId: "", partitions: [{ partition: 0, begin: 0, end: 1_000, committed }] });
  };
  const all = { partitions: [0], isSettled: true, members: [{ instance: "a", partitions: [0] }] };
  const commands: string[] = [];
  const clickhouse = {
    command: (sql: string) => {
      commands.push(sql);
      return db.clickhouse.command(sql);
    },
  };
  const pool = createPool(downstream.config, { connections: 2 });
  const watching = watchReportReaders(
    { ...jobs, pool, topics: { readers: () => Promise.resolve(all), offsets }, clickhouse },
    { consumers: { status, ledger }, unreadMs: 1_000, goneMs: 0 },
  );
  try {
    for (let i = 0; i < 400 && commands.length < 2; i++) await Bun.sleep(100);
    expect(commands).toEqual([
      "DETACH TABLE IF EXISTS kafka_ledger",
      "ATTACH TABLE IF NOT EXISTS kafka_ledger",
    ]);
    const entries = lines([ledgerRow(id(), 5)]);
    const before = "SELECT count() AS n FROM wallet_ledger FINAL";
    const n = await count(before);
    await downstream.produce("wallet.ledger", "", entries);
    await until(before, n + 1);
  } finally {
    await watching.stop();
    await pool.end();
  }
}, 180_000);

test("the tables that read Kafka follow their settings, and no other migration runs again", async () => {
  expect(await migrateClickhouse(db.config)).toEqual([]);
  const other = await createDownstream();
  try {
    const { topicPrefix } = other.config;
    const moved = { ...db.config, topicPrefix };
    expect(await migrateClickhouse(moved)).toEqual([
      "0004_kafka.sql (settings changed)",
      "0006_attempts_kafka.sql (settings changed)",
      "0009_passed_kafka.sql (settings changed)",
      "0031_unreserved_kafka.sql (settings changed)",
    ]);
    expect(await migrateClickhouse(moved)).toEqual([]);
    const one = id();
    await other.produce("sms.status", "", lines([statusRow(one, 1, "queued")]));
    await until(`SELECT count() AS n FROM messages_log WHERE id = '${one}'`, 1);
  } finally {
    await other.end();
  }
}, 180_000);

test("an upgrade in which the settings change, too, leaves the tables with the newest columns", async () => {
  const other = await createDownstream();
  try {
    await db.clickhouse.command(
      "ALTER TABLE schema_migrations DELETE WHERE name LIKE '0031%' SETTINGS mutations_sync = 1",
    );
    const moved = { ...db.config, topicPrefix: other.config.topicPrefix };
    expect(await migrateClickhouse(moved)).toEqual([
      "0031_unreserved_kafka.sql",
      "0004_kafka.sql (settings changed)",
      "0006_attempts_kafka.sql (settings changed)",
      "0009_passed_kafka.sql (settings changed)",
    ]);
    expect(await db.clickhouse.query("DESCRIBE TABLE kafka_status")).toContainEqual(
      expect.objectContaining({ name: "unreserved" }),
    );
    const one = id();
    const row = { ...statusRow(one, 1, "failed"), unreserved: 1 };
    await other.produce("sms.status", "", lines([row]));
    await until(`SELECT count() AS n FROM messages_log WHERE id = '${one}' AND unreserved = 1`, 1);
  } finally {
    await other.end();
  }
}, 180_000);
