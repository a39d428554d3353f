// Batches when something goes wrong, on real ingest processes and MySQL: repeats, callers that leave, a
// connection lost at COMMIT, a killed process. A batch is stored whole or not at all, and charged once.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { BATCH_MESSAGES_MAX } from "../../src/core/batch-limits.ts";
import { LEASE_TTL_MIN_MS } from "../../src/core/limits.ts";
import * as support from "../support/batches.ts";
import { type Batch, messages, phone } from "../support/batches.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  type IngestProcess,
  makeCustomer,
  post,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

let db: TestDatabase;
let proxy: TcpProxy;
let ingest: IngestProcess;
let other: IngestProcess;
const PRICE = 500;

beforeAll(async () => {
  db = await createTestDatabase();
  proxy = await startTcpProxy(db.config.mysqlPort);
  [ingest, other] = await Promise.all([
    startIngest(db.config, { mysqlPort: proxy.port }),
    startIngest(db.config),
  ]);
}, 60_000);
afterAll(async () => {
  await Promise.all([ingest.end(), other.end()]);
  proxy.close();
  await db.drop();
});
afterEach(() => reconcileBooks(db.pool));

type At = { at?: IngestProcess; key?: string | null };
const ask = (customer: TestCustomer, body: unknown, { at = ingest, key = null }: At = {}) =>
  support.sendBatch(at, customer, body, key);
const stored = (customer: TestCustomer) => support.storedOf(db.pool, customer);
const walletOf = (customer: TestCustomer) => support.walletOf(db.pool, customer);
const accepted = async (customer: TestCustomer, body: unknown): Promise<Batch> => {
  const answer = await ask(customer, body);
  expect(answer.status).toBe(202);
  return (await answer.json()) as Batch;
};

describe("an Idempotency-Key", () => {
  test("a repeat with the same key gets the same bytes, and charges nothing", async () => {
    const customer = await makeCustomer(db.config, 1_000_000);
    const body = JSON.stringify({ messages: [{ phone: "1", text: "bad" }, ...messages(999)] });
    const first = await ask(customer, body, { key: "k" });
    const bytes = await first.text();
    expect(first.status).toBe(202);
    for (const at of [ingest, other]) {
      const again = await ask(customer, body, { at, key: "k" });
      expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([202, "true"]);
      expect(await again.text()).toBe(bytes);
    }
    expect(await stored(customer)).toHaveLength(999);
    expect(await walletOf(customer)).toEqual({ left: 1_000_000 - 999 * PRICE, reserved: 999 * PRICE });
    const [key] = await db.pool.query(
      "SELECT operation, owner, LENGTH(answer) AS short FROM idempotency_keys WHERE customer_id=?",
      [customer.customerId],
    );
    const [owner] = (JSON.parse(bytes) as Batch).accepted;
    expect(key).toEqual({ operation: "batch", owner: owner?.id, short: 0 });
  });

  test("of the same name on both processes at once has one effect, and everyone gets its answer", async () => {
    const customer = await makeCustomer(db.config, 1_000_000);
    const body = { messages: messages(50) };
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        ask(customer, body, { at: n % 2 === 0 ? ingest : other, key: "race" }),
      ),
    );
    const bytes = new Set<string>();
    for (const answer of answers) {
      expect([202, 409]).toContain(answer.status);
      if (answer.status === 202) bytes.add(await answer.text());
    }
    expect(bytes.size).toBe(1);
    expect(await stored(customer)).toHaveLength(50);
  });

  test("refuses another body, is free after a refusal, and is another one for a send", async () => {
    const customer = await makeCustomer(db.config, 10 * PRICE);
    const key = "k 2";
    expect((await ask(customer, { messages: messages(11) }, { key })).status).toBe(402);
    expect((await ask(customer, { messages: messages(2) }, { key })).status).toBe(202);
    const changed = await ask(customer, { messages: messages(3) }, { key });
    expect(changed.status).toBe(422);
    expect(await changed.json()).toMatchObject({ code: "idempotency_key_reused" });
    const send = { ...messages(1)[0], type: "normal" };
    const sent = await post(`${ingest.url}/v1/sms/send`, customer.apiKey, send, { "idempotency-key": key });
    expect([sent.status, sent.headers.get("idempotent-replayed")]).toEqual([202, null]);
    expect(await stored(customer)).toHaveLength(3);
  });
});

test("a batch counts against the rate limit with all its parts, and may exceed the bucket once it is full", async () => {
  const customer = await makeCustomer(db.config, 1_000_000, { rateLimit: 20 });
  const first = await ask(customer, { messages: messages(30) });
  expect([first.status, first.headers.get("ratelimit")]).toEqual([202, '"parts";r=0;t=90']);
  const second = await ask(customer, { messages: messages(1) });
  expect(second.status).toBe(429);
  expect(Number(second.headers.get("retry-after"))).toBeGreaterThan(30);
  expect(await stored(customer)).toHaveLength(30);
});

test("a caller that is gone before the commit leaves nothing of its batch, and its key is free", async () => {
  const customer = await makeCustomer(db.config, 1_000_000);
  const body = JSON.stringify({ messages: messages(200) });
  const leaving = new AbortController();
  await db.pool.transaction(async (conn) => {
    // A customer's first request waits for its wallet.
    await conn.query("SELECT 1 FROM wallet_accounts WHERE customer_id=? FOR UPDATE", [customer.customerId]);
    const headers = {
      "content-type": "application/json",
      "x-api-key": customer.apiKey,
      "idempotency-key": "gone",
    };
    const request = { method: "POST", headers, body, signal: leaving.signal };
    const asked = fetch(`${ingest.url}/v1/sms/batches`, request).catch(() => null);
    await Bun.sleep(500);
    leaving.abort();
    expect(await asked).toBeNull();
    await Bun.sleep(500);
  });
  await Bun.sleep(500);
  expect(await stored(customer)).toEqual([]);
  expect(await walletOf(customer)).toEqual({ left: 1_000_000, reserved: 0 });
  const again = await ask(customer, body, { key: "gone" });
  expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([202, null]);
}, 20_000);

for (const when of ["before", "after"] as const)
  test(`a cut ${when} the COMMIT: a connection lost at COMMIT stores all of a batch or none, and answers with what is stored`, async () => {
    const customer = await makeCustomer(db.config, 1_000_000);
    await accepted(customer, { messages: messages(1) });
    const happened = proxy.cutAtCommit("INSERT INTO messages", when);
    const answer = await accepted(customer, { messages: messages(300) });
    await happened;
    const rows = await stored(customer);
    expect(rows.slice(1).map(({ id }) => id)).toEqual(answer.accepted.map(({ id }) => id));
    expect(rows).toHaveLength(301);
    expect((await walletOf(customer)).reserved).toBe(301 * PRICE);
  }, 30_000);

test("kill -9 while batches are stored leaves whole batches, and none that was answered is missing", async () => {
  const customer = await makeCustomer(db.config, 100_000_000);
  const one = await startIngest(db.config, { leaseTtlMs: LEASE_TTL_MIN_MS });
  const size = 250;
  const named = (batch: number) =>
    Array.from({ length: size }, (_, n) => ({ phone: phone(n), text: "x", reference: `${batch}-${n}` }));
  const answers = Array.from({ length: 20 }, (_, batch) =>
    ask(customer, { messages: named(batch) }, { at: one }).then(
      (answer) => answer.status,
      () => 0,
    ),
  );
  await Promise.race(answers);
  await one.end("SIGKILL");
  const told = await Promise.all(answers);
  const sizes = Map.groupBy(await stored(customer), ({ reference }) => String(reference).split("-")[0]);
  for (const rows of sizes.values()) expect(rows).toHaveLength(size);
  for (const [batch, status] of told.entries())
    if (status === 202) expect(sizes.get(String(batch))).toHaveLength(size);
}, 30_000);

test("single messages beside large batches are answered without waiting for them", async () => {
  const [busy, quiet] = [
    await makeCustomer(db.config, 100_000_000),
    await makeCustomer(db.config, 1_000_000),
  ];
  const send = { ...messages(1)[0], type: "normal" };
  const url = `${ingest.url}/v1/sms/send`;
  expect((await post(url, quiet.apiKey, send)).status).toBe(202);
  let under = 8;
  const batches = Array.from({ length: 8 }, () =>
    ask(busy, { messages: messages(BATCH_MESSAGES_MAX) }).finally(() => under--),
  );
  let beside = 0;
  while (under > 0) {
    expect((await post(url, quiet.apiKey, send)).status).toBe(202);
    if (under > 0) beside++;
  }
  for (const answer of await Promise.all(batches)) expect(answer.status).toBe(202);
  // Behind all of them in one queue, a message would have been answered once or twice.
  expect(beside).toBeGreaterThan(2);
}, 60_000);
