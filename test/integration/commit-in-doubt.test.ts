// A connection lost around COMMIT: every answer is true, and nothing is charged twice.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { COMMIT_WAIT_MAX_MS, LEASE_TTL_MIN_MS, MYSQL_ANSWER_MAX_MS } from "../../src/core/limits.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { type IngestProcess, makeCustomer, post, startIngest } from "../support/ingest-process.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

let db: TestDatabase;
let proxy: TcpProxy;
let ingest: IngestProcess;
const message = { phone: "09121234567", text: "hello", type: "normal" };

beforeEach(async () => {
  db = await createTestDatabase();
  proxy = await startTcpProxy(db.config.mysqlPort);
  ingest = await startIngest(db.config, { mysqlPort: proxy.port, leaseTtlMs: LEASE_TTL_MIN_MS });
});
afterEach(async () => {
  await ingest.end("SIGKILL");
  proxy.close();
  await db.drop();
});

const send = (apiKey: string) => post(`${ingest.url}/v1/sms/send`, apiKey, message);
const stored = async (customerId: number) =>
  (await db.pool.query("SELECT id FROM messages WHERE customer_id=?", [customerId])).length;
/** Waits until leases were returned or have expired, so that the wallet shows what was really spent. */
async function settledWallet(customerId: number) {
  await ingest.end();
  const late = await startIngest(db.config, { leaseTtlMs: LEASE_TTL_MIN_MS });
  for (let i = 0; i < 600; i++) {
    if ((await db.pool.query("SELECT 1 FROM credit_leases")).length === 0) break;
    await Bun.sleep(100);
  }
  await late.end();
  return (
    await db.pool.query("SELECT balance, reserved FROM wallet_accounts WHERE customer_id=?", [customerId])
  )[0];
}

for (const when of ["before", "after"] as const) {
  test(`a connection cut ${when} the server received COMMIT ends in one 202, one message and one charge`, async () => {
    const { apiKey, customerId } = await makeCustomer(db.config, 10_000);
    expect((await send(apiKey)).status).toBe(202);
    const happened = proxy.cutAtCommit("INSERT INTO messages", when);
    const answer = await send(apiKey);
    await happened;
    expect(answer.status).toBe(202);
    expect(await stored(customerId)).toBe(2);
    expect(await settledWallet(customerId)).toEqual({ balance: 9_000, reserved: 1_000 });
  }, 120_000);
}

for (const when of ["before", "after"] as const) {
  test(`a connection cut ${when} the server received a grant's COMMIT strands no credit`, async () => {
    const { apiKey, customerId } = await makeCustomer(db.config, 1_000);
    const happened = proxy.cutAtCommit("INSERT INTO credit_leases", when);
    const first = send(apiKey);
    await happened;
    expect((await first).status).toBe(202);
    let second = await send(apiKey);
    for (let i = 0; i < 300 && second.status === 503; i++) {
      await Bun.sleep(100);
      second = await send(apiKey);
    }
    expect(second.status).toBe(202);
    expect((await send(apiKey)).status).toBe(402);
    expect(await stored(customerId)).toBe(2);
    expect(await settledWallet(customerId)).toEqual({ balance: 0, reserved: 1_000 });
  }, 120_000);

  test(`a connection cut ${when} the server received a top-up's COMMIT: 503, and a repeat counts once`, async () => {
    const { apiKey, customerId } = await makeCustomer(db.config, 0);
    const topup = () => post(`${ingest.url}/v1/wallet/topup`, apiKey, { amount: 700, request_id: "r" });
    const happened = proxy.cutAtCommit("INSERT INTO topups", when);
    const first = await topup();
    await happened;
    expect(first.status).toBe(503);
    expect((await first.json()) as object).toMatchObject({ code: "outcome_unknown" });
    expect((await (await topup()).json()) as object).toMatchObject({
      topup: true,
      idempotent: when === "after",
      balance: 700,
    });
    expect(await settledWallet(customerId)).toEqual({ balance: 700, reserved: 0 });
  }, 120_000);
}

test("MySQL away for longer than anyone waits: 503, and the books agree with what was stored", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 10_000);
  expect((await send(apiKey)).status).toBe(202);
  const happened = proxy.cutAtCommit("INSERT INTO messages", "after");
  const answer = send(apiKey);
  await happened;
  proxy.cutAll();
  const { status, headers } = await answer;
  expect(status).toBe(503);
  expect(headers.get("retry-after")).not.toBeNull();
  expect((await (await answer).json()) as object).toMatchObject({ code: "outcome_unknown" });
  expect((await send(apiKey)).status).toBe(503);
  proxy.mend();
  expect(await stored(customerId)).toBe(2);
  expect(await settledWallet(customerId)).toEqual({ balance: 9_000, reserved: 1_000 });
}, 120_000);

test("a network that drops everything: 503 within 16 s, and the books agree with what was stored", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 10_000);
  expect((await send(apiKey)).status).toBe(202);
  proxy.delay(600_000);
  const startedMs = performance.now();
  expect((await send(apiKey)).status).toBe(503);
  expect(performance.now() - startedMs).toBeLessThan(COMMIT_WAIT_MAX_MS + MYSQL_ANSWER_MAX_MS);
  proxy.cutAll();
  proxy.delay(0);
  proxy.mend();
  const count = await stored(customerId);
  expect(await settledWallet(customerId)).toEqual({ balance: 10_000 - 500 * count, reserved: 500 * count });
}, 120_000);
