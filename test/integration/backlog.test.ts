// What the relay samples of the backlog: correct on a real MySQL, bounded while a great deal waits, reported
// by one relay at a time, and absent while the engine it comes from is away. Kafka and ClickHouse are
// replaced by stubs here; test/integration/metrics.test.ts has the real ones.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import type { Clickhouse } from "../../src/platform/clickhouse.ts";
import type { TopicOffsets } from "../../src/platform/kafka/topics.ts";
import { createLog } from "../../src/platform/log.ts";
import { createMetrics, type Metrics } from "../../src/platform/metrics.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { type Backlog, startBacklog } from "../../src/relay/backlog.ts";
import { laneRows, unknownMessages } from "../../src/relay/backlog-rows.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { until } from "../support/roles.ts";

const COUNTED_MAX = 10_000;
let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database.config, { connections: 6, multipleStatements: true });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
beforeEach(() => pool.query("DELETE FROM outbox; DELETE FROM claims"));

/** Adds rows to a lane that became due `ageS` seconds ago; if negative, they are due later. */
const addRows = (lane: string, count: number, ageS: number) =>
  pool.query(
    `INSERT INTO outbox (lane, run_at, payload)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
     SELECT /*+ SET_VAR(cte_max_recursion_depth = 100000) */ '${lane}',
       NOW(3) - INTERVAL ${Math.round(ageS * 1_000_000)} MICROSECOND, REPEAT('x', 2000) FROM n`,
  );

test("rows are counted by lane, due and later, and the age is that of the oldest due row", async () => {
  await addRows("normal", 3, 10);
  await addRows("normal", 1, 90);
  await addRows("normal", 5, -60);
  await addRows("express", 1, -3_600);
  await pool.use(async (conn) => {
    const normal = await laneRows(conn, "normal");
    expect(normal).toMatchObject({ lane: "normal", due: 4, later: 5 });
    expect(normal.oldestS).toBeGreaterThanOrEqual(90);
    expect(normal.oldestS).toBeLessThan(100);
    expect(await laneRows(conn, "express")).toEqual({ lane: "express", due: 0, later: 1, oldestS: 0 });
    expect(await laneRows(conn, "events")).toEqual({ lane: "events", due: 0, later: 0, oldestS: 0 });
  });
});

test("a look at a large backlog reads a bounded number of index entries, and no payload", async () => {
  await addRows("normal", 40_000, 600);
  await pool.use(async (conn) => {
    await conn.query("FLUSH STATUS");
    expect(await laneRows(conn, "normal")).toMatchObject({ due: COUNTED_MAX, later: 0 });
    const read = await conn.query<{ Variable_name: string; Value: string }[]>(
      "SHOW SESSION STATUS LIKE 'Handler_read%'",
    );
    const reads = (name: string) => Number(read.find((row) => row.Variable_name === name)?.Value);
    expect(reads("Handler_read_next")).toBeLessThanOrEqual(COUNTED_MAX + 10);
    // The rows of the derived table are read once more, from memory.
    expect(reads("Handler_read_rnd_next")).toBeLessThanOrEqual(COUNTED_MAX + 100);
    expect(reads("Handler_read_first")).toBeLessThanOrEqual(5);
  });
});

test("messages without an answer are counted from the claims that wait for one", async () => {
  const id = (n: number) => String(n).padStart(26, "0");
  const claim = (kind: string, n: number, count: number) =>
    pool.query(
      "INSERT INTO claims (claim_id, kind, lane, expires_at, ids) VALUES (?, ?, 'normal', NOW(3), ?)",
      [id(n), kind, Array.from({ length: count }, (_, i) => id(i)).join(",")],
    );
  await claim("unknown", 1, 1);
  await claim("unknown", 2, 200);
  await claim("sending", 3, 7);
  expect(await pool.use((conn) => unknownMessages(conn))).toBe(201);
});

const started: Backlog[] = [];
afterEach(() => Promise.all(started.splice(0).map((each) => each.stop())));

type Started = { metrics: Metrics; backlog: Backlog };
const consumer = { topic: "t", group: "g" };
const NOW_MS = Date.now(); // what the relay's clock always says, so that ages are exact

function start(offsets: () => Promise<TopicOffsets | null>, from = pool): Started {
  const metrics = createMetrics("relay");
  const clickhouse = {
    query: async (sql: string) =>
      sql.includes("bad_records") ? [{ n: "2" }] : [{ topic: "sms.status", at: String(NOW_MS - 3_000) }],
  } as unknown as Clickhouse;
  const deps = { pool: from, topics: { offsets }, clickhouse, metrics, log: createLog("test", "silent") };
  const clocks = { now: () => NOW_MS, monotonicMs: () => performance.now() };
  const consumers = { normal: consumer, express: consumer, status: consumer, ledger: consumer };
  const backlog = startBacklog({ ...deps, ...clocks }, { consumers, sampleMs: 100 });
  started.push(backlog);
  return { metrics, backlog };
}
const lines = async ({ metrics }: Started, name: string): Promise<string[]> =>
  (await metrics.text()).split("\n").filter((line) => line.startsWith(`${name}{`));
const behind = async (): Promise<TopicOffsets> => ({
  topicId: "1:1",
  partitions: [{ partition: 0, begin: 0, end: 9, committed: 4 }],
});

test("one relay samples, and another takes over when it ends", async () => {
  await addRows("normal", 2, 30);
  const first = start(behind);
  await until(async () => (await lines(first, "sluice_outbox_rows")).length === 6, "the first samples");
  const second = start(behind);
  await Bun.sleep(1_000);
  expect(await lines(second, "sluice_outbox_rows")).toEqual([]);
  expect(await lines(first, "sluice_outbox_rows")).toContain(
    'sluice_outbox_rows{lane="normal",state="due",role="relay"} 2',
  );
  expect(await lines(first, "sluice_dead_letters")).toContain(
    'sluice_dead_letters{source="record",role="relay"} 0',
  );
  expect(await lines(first, "sluice_consumer_lag_records")).toContain(
    'sluice_consumer_lag_records{topic="express",partition="0",role="relay"} 5',
  );
  expect((await lines(first, "sluice_clickhouse_newest_event_age_seconds"))[0]).toMatch(/ 3$/);
  expect((await lines(first, "sluice_clickhouse_bad_records"))[0]).toMatch(/ 2$/);
  await first.backlog.stop();
  expect(await lines(first, "sluice_outbox_rows")).toEqual([]);
  await until(async () => (await lines(second, "sluice_outbox_rows")).length === 6, "the second takes over");
});

test("with Kafka away its figures are absent, and the others continue", async () => {
  let isAway = false;
  const one = start(() => (isAway ? Promise.reject(new Error("no broker")) : behind()));
  await until(async () => (await lines(one, "sluice_consumer_lag_records")).length === 4, "it samples");
  isAway = true;
  await until(async () => (await lines(one, "sluice_consumer_lag_records")).length === 0, "lag is left out");
  expect(await lines(one, "sluice_outbox_rows")).toHaveLength(6);
});

test("with MySQL away no old values are shown, and sampling continues when it is back", async () => {
  const own = createPool(database.config, { connections: 2, multipleStatements: true });
  const one = start(behind, own);
  await until(async () => (await lines(one, "sluice_outbox_rows")).length === 6, "it samples");
  await pool.query(
    "SELECT IS_USED_LOCK(LEFT(CONCAT('sluice-backlog:', DATABASE()), 64)) INTO @holder; " +
      "SET @kill = CONCAT('KILL ', @holder); PREPARE kill_it FROM @kill; EXECUTE kill_it",
  );
  await until(async () => (await lines(one, "sluice_outbox_rows")).length === 0, "nothing is told");
  await until(async () => (await lines(one, "sluice_outbox_rows")).length === 6, "it goes on");
  await one.backlog.stop();
  await own.end();
});
