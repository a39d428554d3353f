import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import { ensurePartitions } from "../../src/schema/partitions.ts";
import { inSnapshot } from "../../src/reconcile/reconcile.ts";
import { startReconcileCycle, type Cycle, CYCLE_CONNECTIONS } from "../../src/reconcile/cycle.ts";
import { lockAllTables, SLOTS } from "../../src/schema/tables-lock.ts";
import { type Clickhouse, createClickhouse } from "../../src/platform/clickhouse.ts";
import { createLog } from "../../src/platform/log.ts";
import { createMetrics, type Metrics } from "../../src/platform/metrics.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { takeLock } from "../../src/platform/named-lock.ts";
import { sleep } from "../../src/platform/retry.ts";
import { createTestEngines, type TestEngines } from "../support/engines.ts";
import { insertCustomer } from "../support/messages.ts";
import { deliverEvents, emptyTables, makeBook } from "../support/small-book.ts";

let engines: TestEngines;
let pool: Pool;
let clickhouse: Clickhouse;
beforeAll(async () => {
  engines = await createTestEngines();
  ({ pool, clickhouse } = engines);
});
afterAll(() => engines.drop());

const id = createIdFactory({ now: Date.now });
const log = createLog("test", "silent");
let customerId: number;
let ids: string[];
beforeEach(async () => {
  await pool.query("DELETE FROM reconcile_turn");
  await emptyTables({ pool, clickhouse });
  ({ customerId, ids } = await makeBook(pool));
});

type Started = { cycle: Cycle; metrics: Metrics; stop(): Promise<void> };
const started: Started[] = [];
afterEach(async () => {
  for (const one of started.splice(0)) await one.stop();
});

/** Starts it as a relay does, with a pool of its own. */
function start(cycleMs = 3_600_000, reports = clickhouse): Started {
  const metrics = createMetrics("test");
  const own = createPool(engines.config, { connections: CYCLE_CONNECTIONS });
  const cycle = startReconcileCycle(
    { pool: own, clickhouse: reports, metrics, log, now: Date.now, monotonicMs: () => performance.now() },
    { cycleMs, startAfterMs: 0 },
  );
  const stop = async () => {
    await cycle.stop();
    await own.end();
  };
  started.push({ cycle, metrics, stop });
  return { cycle, metrics, stop };
}

async function valueOf({ metrics }: Started, name: string, label = ""): Promise<number> {
  const lines = (await metrics.text()).split("\n");
  const line = lines.find(
    (one) => one.startsWith(name) && /[ {]/.test(one[name.length] ?? "") && one.includes(label),
  );
  return Number(line?.split(" ").at(-1));
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 900; i++) {
    if (await isSo()) return;
    await sleep(50);
  }
  throw new Error(`not within 45 s: ${what}`);
}
const cycled = (one: Started, times = 1) =>
  until("a cycle", async () => (await valueOf(one, "sluice_reconcile_cycles_total")) >= times);

describe("the background check", () => {
  test("cycles through all customers, says how long ago, and finds nothing in correct books", async () => {
    for (let i = 0; i < 20; i++) await insertCustomer(pool, 700);
    await deliverEvents({ pool, clickhouse });
    const one = start(3_000);
    await cycled(one);
    expect(await valueOf(one, "sluice_reconcile_customers_total")).toBeGreaterThanOrEqual(21);
    expect(await valueOf(one, "sluice_reconcile_cycle_drifts")).toBe(0);
    expect(await valueOf(one, "sluice_reconcile_cycle_age_seconds")).toBeLessThan(20);
    expect(await valueOf(one, "sluice_reconcile_active")).toBe(1);
    expect(await valueOf(one, "sluice_reconcile_failed_total")).toBe(0);
  });

  test("counts a drift by its kind", async () => {
    await deliverEvents({ pool, clickhouse });
    await pool.query("UPDATE wallet_accounts SET balance=balance+1");
    const one = start();
    await cycled(one);
    const of = (invariant: string) => valueOf(one, "sluice_reconcile_drifts_total", `"${invariant}"`);
    expect(await of("balance_equals_entries")).toBe(1);
    expect(await of("never_negative")).toBe(0);
    expect(await valueOf(one, "sluice_reconcile_cycle_drifts")).toBe(1);
  });

  test("finds a message that has no entry at all, which no check of a single customer can find", async () => {
    await deliverEvents({ pool, clickhouse });
    await pool.query(
      "INSERT INTO messages (id,customer_id,lane,status,phone,text,encoding,parts,cost,created_at," +
        `updated_at) VALUES ('${id()}',${customerId},'normal','queued','+989121234567','x','gsm7',1,500,` +
        "NOW(3),NOW(3))",
    );
    const one = start();
    const found = () =>
      valueOf(one, "sluice_reconcile_drifts_total", '"message_has_one_reserve"').then((n) => n > 0);
    await until("the message is found", found);
    expect(await valueOf(one, "sluice_reconcile_messages_total")).toBe(4);
  });

  test("sends lost events again, and the next cycle is clean", async () => {
    await deliverEvents({ pool, clickhouse }, { old: true, except: ids[0] as string });
    const one = start(1_000);
    await cycled(one);
    expect(await valueOf(one, "sluice_reconcile_resent_total")).toBe(2);
    await deliverEvents({ pool, clickhouse });
    const cycles = await valueOf(one, "sluice_reconcile_cycles_total");
    await cycled(one, cycles + 2);
    expect(await valueOf(one, "sluice_reconcile_cycle_drifts")).toBe(0);
    expect(await valueOf(one, "sluice_reconcile_resent_total")).toBe(2);
  });

  test("a customer about whom ClickHouse never answers in time is skipped and counted, and the others are checked", async () => {
    const others = [await insertCustomer(pool, 700), await insertCustomer(pool, 700)];
    await deliverEvents({ pool, clickhouse });
    const asked = (sql: string) => {
      const [, low, high] = /customer_id BETWEEN (\d+) AND (\d+)/.exec(sql) ?? [];
      return Number(low) <= customerId && customerId <= Number(high);
    };
    const one = start(3_000, {
      ...clickhouse,
      query: (sql, params) =>
        asked(sql)
          ? clickhouse.query("SELECT sum(number) FROM numbers(1e12) SETTINGS max_execution_time = 0.1")
          : clickhouse.query(sql, params),
    });
    await cycled(one);
    expect(await valueOf(one, "sluice_reconcile_customers_total")).toBeGreaterThanOrEqual(others.length);
    expect(await valueOf(one, "sluice_reconcile_too_long_total")).toBeGreaterThanOrEqual(1);
  }, 90_000);

  test("while ClickHouse is away no customer is skipped", async () => {
    await deliverEvents({ pool, clickhouse });
    let isAway = true;
    const gone = createClickhouse({ ...engines.config, clickhousePort: 9 });
    const one = start(3_600_000, {
      ...clickhouse,
      query: (sql, params) => (isAway ? gone : clickhouse).query(sql, params),
      ping: () => (isAway ? gone : clickhouse).ping(),
    });
    const failed = () => valueOf(one, "sluice_reconcile_failed_total");
    await until("steps failed", async () => (await failed()) >= 3);
    isAway = false;
    await cycled(one);
    expect(await valueOf(one, "sluice_reconcile_too_long_total")).toBe(0);
    expect(await valueOf(one, "sluice_reconcile_customers_total")).toBe(1);
    await gone.close();
  }, 120_000);

  test("only one process does it; when that stops, another continues, and a finished cycle isn't repeated", async () => {
    await deliverEvents({ pool, clickhouse });
    const one = start();
    await cycled(one);
    const other = start();
    await sleep(500);
    expect(await valueOf(other, "sluice_reconcile_active")).toBe(0);
    expect(await valueOf(other, "sluice_reconcile_cycle_age_seconds")).toBeLessThan(20);
    await one.stop();
    started.splice(0, 1);
    await until("the other takes over", async () => (await valueOf(other, "sluice_reconcile_active")) === 1);
    await sleep(500);
    expect(await valueOf(other, "sluice_reconcile_cycles_total")).toBe(0);
  });

  test("after a restart, continues after the customers already checked", async () => {
    await deliverEvents({ pool, clickhouse });
    await pool.query("UPDATE wallet_accounts SET balance=balance+1");
    await pool.query(
      `INSERT INTO reconcile_turn (turn,next_customer,started_at) VALUES (1,${customerId + 1},NOW(3))`,
    );
    const one = start();
    await cycled(one);
    expect(await valueOf(one, "sluice_reconcile_customers_total")).toBe(0);
  });

  test("after the clock was set back, begins at once, and meanwhile its age is counted from its start", async () => {
    await deliverEvents({ pool, clickhouse });
    const ahead = "NOW(3) + INTERVAL 1 DAY";
    await pool.query(
      `INSERT INTO reconcile_turn (turn,next_customer,started_at,ended_at) VALUES (1,0,${ahead},${ahead})`,
    );
    await pool.use(async (conn) => {
      // Another process has it: this one only looks.
      const lock = await takeLock(conn, "reconcile-cycle");
      const one = start();
      const age = () => valueOf(one, "sluice_reconcile_cycle_age_seconds");
      await sleep(1_500);
      expect(await age()).toBeGreaterThan(1);
      await lock?.release();
      await cycled(one);
      expect(await age()).toBeLessThan(20);
    });
  });
});

describe("snapshots and partition DDL", () => {
  const partitions = (daysAhead: number) => ensurePartitions(pool, { nowMs: Date.now(), daysAhead });

  test("DDL waits for a snapshot, and a snapshot for DDL", async () => {
    await inSnapshot(pool, { maxMs: 10_000, waitS: 0 }, async () => {
      expect(await partitions(3)).toEqual({ kind: "busy" });
    });
    expect(await partitions(3)).toMatchObject({ kind: "done" });
    await pool.use(async (conn) => {
      const lock = await lockAllTables(conn, 0);
      expect(inSnapshot(pool, { maxMs: 10_000, waitS: 0 }, async () => {})).rejects.toThrow("partitions");
      await sleep(200);
      await lock?.release();
    });
    await inSnapshot(pool, { maxMs: 10_000, waitS: 0 }, async () => {});
  });

  test("as many snapshots as there are places run at once, and no more", async () => {
    const many = createPool(engines.config, { connections: SLOTS + 1 });
    let running = 0;
    const oneIsRefused = Promise.withResolvers<void>();
    const one = () =>
      inSnapshot(many, { maxMs: 10_000, waitS: 0 }, async () => {
        running++;
        await oneIsRefused.promise;
      });
    const snapshots = Array.from({ length: SLOTS + 1 }, one);
    for (const snapshot of snapshots) snapshot.catch(() => oneIsRefused.resolve());
    const results = await Promise.allSettled(snapshots);
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(SLOTS);
    expect(running).toBe(SLOTS);
    await many.end();
  });

  test("a snapshot ends when its time is up, even in the middle of a statement", async () => {
    const startedMs = performance.now();
    const slow = inSnapshot(pool, { maxMs: 300, waitS: 0 }, (conn) =>
      conn.query("SELECT COUNT(*) FROM messages a, messages b WHERE SLEEP(1) = 0"),
    );
    expect(slow).rejects.toThrow("longer than it may");
    await slow.catch(() => {});
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    await inSnapshot(pool, { maxMs: 300, waitS: 0 }, (conn) => conn.query("SELECT 1"));
  });
});
