// When a process sleeps in the middle of a transaction, its locks are freed in time; only such transactions
// are ended.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { endIdleTransactions } from "../../src/ledger/idle-transactions.ts";
import { sleep } from "../../src/platform/retry.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { insertCustomer } from "../support/messages.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";

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
