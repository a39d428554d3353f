// Accepting messages, on a real ingest process and MySQL: the answer, what is stored, and what it costs.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { LEASE_TTL_MIN_MS, TEXT_PARTS_MAX } from "../../src/core/limits.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { type IngestProcess, makeCustomer, post, startIngest } from "../support/ingest-process.ts";

let db: TestDatabase;
let ingest: IngestProcess;
const running: IngestProcess[] = [];
const message = { phone: "09121234567", text: "hello", type: "normal" };

beforeAll(async () => {
  db = await createTestDatabase();
  ingest = await startIngest(db.config);
});
afterEach(async () => {
  for (const one of running.splice(0)) await one.end();
});
afterAll(async () => {
  await ingest.end();
  await db.drop();
});
const send = (apiKey: string, body: unknown = message, at = ingest) =>
  post(`${at.url}/v1/sms/send`, apiKey, body);
const balanceOf = async (customerId: number) => {
  const [row] = await db.pool.query<{ balance: number; held: string | null; reserved: number }[]>(
    "SELECT balance, reserved, (SELECT SUM(granted-spent) FROM credit_leases l " +
      "WHERE l.customer_id=w.customer_id) AS held " +
      "FROM wallet_accounts w WHERE customer_id=?",
    [customerId],
  );
  return (row?.balance ?? 0) + Number(row?.held ?? 0);
};

test("an accepted message is stored, charged, and answered with all of the contract's fields", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 10_000);
  const answer = await send(apiKey, { ...message, from: "Sluice", reference: "r-1" });
  expect(answer.status).toBe(202);
  expect(answer.headers.get("x-request-id")).toMatch(/^[0-9a-f]{32}$/);
  const body = (await answer.json()) as Record<string, unknown>;
  expect(body).toEqual({
    enqueued: true,
    id: expect.any(String),
    customer_id: String(customerId),
    type: "normal",
    encoding: "gsm7",
    parts: 1,
    cost: 500,
    currency: "IRR",
    balance_after: 9_500,
    status: "queued",
  });
  const [row] = await db.pool.query(
    "SELECT phone, text, sender, reference, status, cost FROM messages WHERE id=?",
    [body.id],
  );
  expect(row).toEqual({
    phone: "+989121234567",
    text: "hello",
    sender: "Sluice",
    reference: "r-1",
    status: "queued",
    cost: 500,
  });
  expect(await balanceOf(customerId)).toBe(9_500);
});

test("an express message says by when an operator will have accepted it", async () => {
  const { apiKey } = await makeCustomer(db.config, 10_000);
  const body = (await (await send(apiKey, { ...message, type: "express" })).json()) as Record<string, string>;
  expect(body.cost as unknown).toBe(700);
  const aheadMs = Date.parse(body.guaranteed_by as string) - Date.now();
  expect(aheadMs).toBeGreaterThan(3_000);
  expect(aheadMs).toBeLessThanOrEqual(5_000);
});

test("valid_for says how long after its acceptance a message may be sent; without it that is the usual time", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 10_000);
  for (const valid_for of [60, 259_200])
    expect((await send(apiKey, { ...message, valid_for })).status).toBe(202);
  expect((await send(apiKey)).status).toBe(202);
  const rows = await db.pool.query<{ seconds: number | null }[]>(
    "SELECT TIMESTAMPDIFF(SECOND, created_at, valid_until) AS seconds FROM messages " +
      "WHERE customer_id=? ORDER BY id",
    [customerId],
  );
  expect(rows.map(({ seconds }) => seconds)).toEqual([60, 259_200, null]);
});

test("a wallet is spent to the last unit, and then every answer is a 402 with both figures", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 20_300);
  const answers = await Promise.all(Array.from({ length: 100 }, () => send(apiKey)));
  expect(answers.filter((a) => a.status === 202)).toHaveLength(40);
  const refused = answers.filter((a) => a.status === 402);
  expect(refused).toHaveLength(60);
  expect(await refused[0]?.json()).toMatchObject({
    code: "insufficient_balance",
    error: "insufficient_balance",
    required: 500,
    balance: 300,
  });
  expect(await balanceOf(customerId)).toBe(300);
});

test("two processes on one nearly empty wallet accept exactly what it can pay for", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 30_000);
  const other = await startIngest(db.config);
  running.push(other);
  const answers = await Promise.all(
    Array.from({ length: 120 }, (_, i) => send(apiKey, message, i % 2 ? ingest : other)),
  );
  const accepted = answers.filter((a) => a.status === 202).length;
  const stored = await db.pool.query("SELECT 1 FROM messages WHERE customer_id=?", [customerId]);
  expect(stored).toHaveLength(accepted);
  expect(accepted).toBeLessThanOrEqual(60);
  for (const a of answers) expect([202, 402, 503]).toContain(a.status);
  expect(await balanceOf(customerId)).toBe(30_000 - accepted * 500);
});

describe("stopping", () => {
  test("SIGTERM answers what was accepted, returns the leases and exits 0", async () => {
    const { apiKey, customerId } = await makeCustomer(db.config, 1_000_000);
    const one = await startIngest(db.config);
    const answers = Array.from({ length: 300 }, () =>
      send(apiKey, message, one).then(
        (a) => a.status,
        () => 0,
      ),
    );
    await Bun.sleep(5);
    expect(await one.end()).toBe(0);
    const accepted = (await Promise.all(answers)).filter((status) => status === 202).length;
    const stored = await db.pool.query("SELECT 1 FROM messages WHERE customer_id=?", [customerId]);
    expect(stored).toHaveLength(accepted);
    expect(await db.pool.query("SELECT 1 FROM credit_leases WHERE customer_id=?", [customerId])).toEqual([]);
    expect(await balanceOf(customerId)).toBe(1_000_000 - accepted * 500);
  });

  test("kill -9 loses no accepted message, and the process's leases come back after its lifetime", async () => {
    const { apiKey, customerId } = await makeCustomer(db.config, 1_000_000);
    const one = await startIngest(db.config, { leaseTtlMs: LEASE_TTL_MIN_MS });
    const answers = Array.from({ length: 300 }, () =>
      send(apiKey, message, one).then(
        (a) => a.status,
        () => 0,
      ),
    );
    await Promise.race(answers);
    await one.end("SIGKILL");
    const accepted = (await Promise.all(answers)).filter((status) => status === 202).length;
    expect(accepted).toBeGreaterThan(0);
    for (
      let i = 0;
      i < 200 &&
      (await db.pool.query("SELECT 1 FROM credit_leases WHERE customer_id=?", [customerId])).length > 0;
      i++
    )
      await Bun.sleep(100);
    const stored = await db.pool.query("SELECT 1 FROM messages WHERE customer_id=?", [customerId]);
    expect(stored.length).toBeGreaterThanOrEqual(accepted);
    const [wallet] = await db.pool.query(
      "SELECT balance, reserved FROM wallet_accounts WHERE customer_id=?",
      [customerId],
    );
    expect(wallet).toEqual({ balance: 1_000_000 - stored.length * 500, reserved: stored.length * 500 });
  }, 60_000);
});

test("a revoked key stops working within 2 s", async () => {
  const { apiKey, keyId } = await makeCustomer(db.config, 10_000);
  expect((await send(apiKey)).status).toBe(202);
  await db.pool.write("UPDATE api_keys SET revoked_at=NOW(3) WHERE key_id=?", [keyId]);
  await Bun.sleep(2_000);
  expect((await send(apiKey)).status).toBe(401);
});

test("a rate limit answers 429 with Retry-After, and charges nothing", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 10_000, { rateLimit: 2 });
  // The longest message fits any limit, because a bucket is never smaller than it.
  const long = { ...message, text: "a".repeat(153 * (TEXT_PARTS_MAX - 1)) };
  const answers = [await send(apiKey, long), await send(apiKey), await send(apiKey)];
  expect(answers.map((a) => a.status)).toEqual([202, 202, 429]);
  expect(Number(answers[2]?.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(answers[2]?.headers.get("ratelimit")).toMatch(/^"parts";r=0;t=\d+$/);
  expect(await balanceOf(customerId)).toBe(10_000 - 500 * TEXT_PARTS_MAX);
});

test("a top-up counts once, and its repeat says so", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 0);
  const topup = (amount: number) =>
    post(`${ingest.url}/v1/wallet/topup`, apiKey, { amount, request_id: "t-1" });
  expect(await (await topup(5_000)).json()).toEqual({
    topup: true,
    idempotent: false,
    amount: 5_000,
    customer_id: customerId,
    balance: 5_000,
  });
  expect(await (await topup(5_000)).json()).toEqual({
    topup: true,
    idempotent: true,
    amount: 5_000,
    customer_id: customerId,
    balance: 5_000,
  });
  expect((await topup(6_000)).status).toBe(409);
});
