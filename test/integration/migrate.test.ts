import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createIdFactory, ulidDayPrefix } from "../../src/core/id.ts";
import { migrateMysql } from "../../src/schema/mysql.ts";
import { ensurePartitions } from "../../src/schema/partitions.ts";
import { type Config, loadConfig } from "../../src/platform/config.ts";
import { createPool } from "../../src/platform/mysql.ts";
import { createTestDatabase, dropDatabase, type TestDatabase } from "../support/database.ts";

/** The error with which it was refused. */
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => "",
    (error: Error) => error.message,
  );
const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 6, 14, 15);
const folder = mkdtempSync(join(tmpdir(), "sluice-sql-"));
let config: Config;
beforeAll(() => {
  config = { ...loadConfig(process.env), mysqlDatabase: `sluice_test_migrate_${Date.now().toString(36)}` };
  cpSync(join(import.meta.dirname, "../../sql/mysql"), folder, { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => dropDatabase(config, config.mysqlDatabase));

describe("migrateMysql", () => {
  test("creates the database, and is safe to run twice at once", async () => {
    const results = await Promise.all([migrateMysql(config), migrateMysql(config), migrateMysql(config)]);
    const applied = results.map((result) => result.applied.length).sort((a, b) => a - b);
    expect(applied).toEqual([0, 0, applied[2] as number]);
    expect(applied[2]).toBeGreaterThanOrEqual(3);
    expect(results.every(({ partitions }) => partitions.kind === "done")).toBe(true);
  });

  test("continues where a killed one stopped, even if its last statement had run", async () => {
    await migrateMysql(config);
    const pool = createPool(config, { connections: 1 });
    await pool.query("DROP TABLE api_keys, wallet_accounts, topups"); // all but the first table of 0001
    await pool.query(
      "UPDATE schema_migrations SET statements_done=1, finished_at=NULL WHERE name LIKE '0001%'",
    );
    await pool.query("CREATE TABLE api_keys (x INT)"); // it ran, and the process died before it was recorded
    expect((await migrateMysql(config)).applied).toEqual(["0001_customers.sql"]);
    const tables = await pool.query("SHOW TABLES LIKE 'topups'");
    expect(tables).toHaveLength(1);
    await pool.end();
  });

  test("reports that could not be read, and were kept in the inbox before 0014, are read again", async () => {
    const before = mkdtempSync(join(tmpdir(), "sluice-sql-"));
    cpSync(join(import.meta.dirname, "../../sql/mysql"), before, { recursive: true });
    for (const file of readdirSync(before)) if (file >= "0014") rmSync(join(before, file));
    await migrateMysql(config, { folder: before });
    rmSync(before, { recursive: true });
    const pool = createPool(config, { connections: 1 });
    await pool.query(
      "INSERT INTO inbox (run_at,dead,payload) VALUES (NOW(3) + INTERVAL 7 DAY,'no JSON','dead')," +
        "(NOW(3) + INTERVAL 1 HOUR,NULL,'later'),(NOW(3),NULL,'due')",
    );
    await migrateMysql(config);
    const rows = await pool.query<{ payload: Buffer; due: number }[]>(
      "SELECT payload, run_at <= NOW(3) AS due FROM inbox ORDER BY id",
    );
    expect(rows.map(({ payload, due }) => [payload.toString(), due])).toEqual([
      ["dead", 1],
      ["later", 0],
      ["due", 1],
    ]);
    await pool.end();
  });

  test("refuses a landed file that changed, and names it", async () => {
    await migrateMysql(config, { folder });
    writeFileSync(join(folder, "0002_ledger.sql"), "SELECT 1;\n");
    expect(await refusal(migrateMysql(config, { folder }))).toContain(
      "0002_ledger.sql was changed after it was applied",
    );
  });
});

describe("partitions", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  const partitions = async (pool: TestDatabase["pool"], table: string) =>
    pool.query<{ name: string; bound: string }[]>(
      `SELECT PARTITION_NAME AS name, PARTITION_DESCRIPTION AS bound FROM information_schema.PARTITIONS
       WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? ORDER BY PARTITION_ORDINAL_POSITION`,
      [table],
    );

  test("reach from yesterday to 35 days ahead, one per day, bounded by the ULID of midnight", async () => {
    await migrateMysql(config, { nowMs: NOW_MS });
    const pool = createPool(config, { connections: 1 });
    for (const table of ["messages", "wallet_ledger", "submissions", "webhook_deliveries", "late_reports"]) {
      const found = await partitions(pool, table);
      expect(found).toHaveLength(38);
      expect(found[0]).toMatchObject({ name: "p20260713", bound: `'${ulidDayPrefix(NOW_MS)}'` });
      expect(found[36]).toMatchObject({
        name: "p20260818",
        bound: `'${ulidDayPrefix(NOW_MS + 36 * DAY_MS)}'`,
      });
      expect(found[37]).toMatchObject({ name: "p_future", bound: "MAXVALUE" });
    }
    expect(await ensurePartitions(pool, { nowMs: NOW_MS + DAY_MS })).toEqual({ kind: "done", created: 5 });
    expect(await ensurePartitions(pool, { nowMs: NOW_MS + DAY_MS })).toEqual({ kind: "done", created: 0 });
    expect(await ensurePartitions(pool, { nowMs: NOW_MS })).toEqual({ kind: "done", created: 0 });
    const first = async (table: string) => (await partitions(pool, table))[0]?.name;
    // What was replayed 8 days after its event has its day, and another one, before it is dropped.
    await ensurePartitions(pool, { nowMs: NOW_MS + 9 * DAY_MS });
    expect(await first("webhook_deliveries")).toBe("p20260713");
    await ensurePartitions(pool, { nowMs: NOW_MS + 11 * DAY_MS });
    expect(await first("webhook_deliveries")).toBe("p20260715");
    for (const table of ["submissions", "late_reports", "messages"])
      expect(await first(table)).toBe("p20260713");
    // What is reported on a message may come 30 days later, because so much later it may be sent.
    await ensurePartitions(pool, { nowMs: NOW_MS + 40 * DAY_MS });
    for (const table of ["submissions", "late_reports"]) expect(await first(table)).toBe("p20260715");
    expect(await first("messages")).toBe("p20260713");
    await pool.end();
  });

  test("a day's ids go to the day's partition, and a query for a day reads only that one", async () => {
    const { pool } = database;
    const nowMs = Date.now();
    const id = createIdFactory({ now: () => nowMs })();
    await pool.query(
      "INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) " +
        "VALUES (1,?,'open','topup',1,NOW(3))",
      [id],
    );
    const name = `p${new Date(nowMs).toISOString().slice(0, 10).replaceAll("-", "")}`;
    const rows = await pool.query(`SELECT entry_id FROM wallet_ledger PARTITION (${name})`);
    expect(rows).toEqual([{ entry_id: id }]);
    const [plan] = await pool.query<{ partitions: string }[]>(
      "EXPLAIN FORMAT=TRADITIONAL SELECT * FROM wallet_ledger WHERE entry_id = ?",
      [id],
    );
    expect(plan?.partitions).toBe(name);
  });

  test("go by MySQL's clock: a machine whose own is 60 days ahead drops none", async () => {
    await migrateMysql(config);
    const pool = createPool(config, { connections: 1 });
    const tables = ["submissions", "webhook_deliveries", "late_reports"];
    const all = () => Promise.all(tables.map((table) => partitions(pool, table)));
    const before = await all();
    const now = Date.now;
    Date.now = () => now() + 60 * DAY_MS;
    try {
      await migrateMysql(config);
    } finally {
      Date.now = now;
    }
    expect(await all()).toEqual(before);
    await pool.end();
  }, 60_000);

  test("are postponed while a transaction uses the tables, after a bounded wait", async () => {
    const { pool } = database;
    await pool.use(async (conn) => {
      await conn.query("BEGIN");
      await conn.query("SELECT * FROM messages LIMIT 1");
      const startedMs = performance.now();
      const result = await ensurePartitions(pool, { nowMs: Date.now() + 10 * DAY_MS });
      expect(result).toEqual({ kind: "busy" });
      expect(performance.now() - startedMs).toBeLessThan(15_000);
      await conn.query("COMMIT");
    });
    expect(await ensurePartitions(pool, { nowMs: Date.now() + 10 * DAY_MS })).toMatchObject({ kind: "done" });
  }, 20_000);
});

test("a test database can't be dropped by a name without `test`", async () => {
  expect(await refusal(dropDatabase(config, "sluice"))).toContain("not the name of a test database");
});
