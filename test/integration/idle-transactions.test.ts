// When a process sleeps in the middle of a transaction, its locks are freed in time; only such transactions
// are ended.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { endIdleTransactions } from "../../src/ledger/idle-transactions.ts";
import { sleep } from "../../src/platform/retry.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { insertCustomer } from "../support/messages.ts";
import { type Connection, createPool, type Pool } from "../../src/platform/mysql.ts";

const IDLE_MS = 2_000;
let db: TestDatabase;
let pool: Pool;
let customerId: number;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 6, multipleStatements: true });
  customerId = await insertCustomer(pool, 1_000);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

const LOCK = "SELECT balance FROM wallet_accounts WHERE customer_id=? FOR UPDATE";

test("an idle transaction that holds a wallet is ended, and the next one gets the lock", async () => {
  const sleeper = pool.use(async (conn) => {
    await conn.query("BEGIN");
    await conn.query(LOCK, [customerId]);
    await sleep(IDLE_MS * 2.5);
    return conn.query("COMMIT");
  });
  sleeper.catch(() => undefined);
  await sleep(200);
  expect(await endIdleTransactions(pool, IDLE_MS)).toBe(0);
  await sleep(IDLE_MS * 1.5);
  expect(await endIdleTransactions(pool, IDLE_MS)).toBe(1);
  await pool.transaction((conn) => conn.query(LOCK, [customerId]));
  expect(await sleeper.then(String, () => "its connection was lost")).toBe("its connection was lost");
}, 20_000);

test("a read-only snapshot and a working transaction are left alone, however long they last", async () => {
  const reader = pool.use(async (conn) => {
    await conn.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    await conn.query("START TRANSACTION WITH CONSISTENT SNAPSHOT");
    await conn.query("SELECT COUNT(*) FROM wallet_accounts");
    await sleep(IDLE_MS * 2);
    await conn.query("COMMIT");
  });
  const worker = pool.use(async (conn) => {
    await conn.query("BEGIN");
    await conn.query(LOCK, [customerId]);
    await conn.query("SELECT SLEEP(?)", [(IDLE_MS * 2) / 1_000]);
    await conn.query("COMMIT");
  });
  await sleep(IDLE_MS * 1.7);
  expect(await endIdleTransactions(pool, IDLE_MS)).toBe(0);
  await Promise.all([reader, worker]);
}, 20_000);

test("the runbook's statement for SluiceLockWaits finds the holder, and who waits for it", async () => {
  const runbook = readFileSync(join(projectRoot, "docs/OPERATIONS.md"), "utf8");
  const [, statement = ""] = /^\| `SluiceLockWaits` .*find the holder: `(SELECT [^`]+)`/m.exec(runbook) ?? [];
  type Row = { ID: number; COMMAND: string; trx_state: string; trx_rows_locked: number };
  const threadOf = async (conn: Connection): Promise<number> =>
    (await conn.query<{ id: number }[]>("SELECT CONNECTION_ID() AS id"))[0]?.id ?? 0;
  await pool.use(async (holder) => {
    await holder.query("BEGIN");
    await holder.query(LOCK, [customerId]);
    const [held, isWaiting] = [await threadOf(holder), Promise.withResolvers<number>()];
    const waiter = pool.use(async (conn) => {
      await conn.query("BEGIN");
      isWaiting.resolve(await threadOf(conn));
      await conn.query(LOCK, [customerId]);
      await conn.query("COMMIT");
    });
    const waits = await isWaiting.promise;
    await sleep(300); // InnoDB's table is at most 100 ms old
    const rows = await pool.query<Row[]>(statement);
    await holder.query("COMMIT");
    await waiter;
    const found = (id: number) => rows.find(({ ID }) => ID === id);
    expect(found(held)).toMatchObject({ COMMAND: "Sleep", trx_state: "RUNNING", trx_rows_locked: 1 });
    expect(found(waits)).toMatchObject({ COMMAND: "Query", trx_state: "LOCK WAIT" });
    expect(rows.indexOf(found(held) as Row)).toBeLessThan(rows.indexOf(found(waits) as Row));
  });
}, 20_000);
