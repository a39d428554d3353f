// Idempotency-Key on send and top-up: one effect per key, whoever repeats the request, wherever and however
// often.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { TEXT_PARTS_MAX } from "../../src/core/limits.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  type IngestProcess,
  makeCustomer,
  post,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { freePort } from "../support/ports.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

const message = { phone: "09121234567", text: "hello", type: "normal" };
let db: TestDatabase;
let proxy: TcpProxy;
let one: IngestProcess;
let two: IngestProcess;

beforeAll(async () => {
  db = await createTestDatabase();
  proxy = await startTcpProxy(db.config.mysqlPort);
  [one, two] = await Promise.all([startIngest(db.config, { mysqlPort: proxy.port }), startIngest(db.config)]);
});
afterAll(async () => {
  await Promise.all([one.end(), two.end()]);
  proxy.close();
  await db.drop();
});
afterEach(() => reconcileBooks(db.pool));

type Told = {
  status: number;
  replayed: boolean;
  body: string;
  code: string | undefined;
  retry: string | null;
};
async function tell(answer: Response): Promise<Told> {
  const body = await answer.text();
  return {
    status: answer.status,
    replayed: answer.headers.get("idempotent-replayed") === "true",
    body,
    code: (JSON.parse(body) as { code?: string }).code,
    retry: answer.headers.get("retry-after"),
  };
}
const send = async (at: IngestProcess, { apiKey }: TestCustomer, key: string, body: unknown = message) =>
  tell(await post(`${at.url}/v1/sms/send`, apiKey, body, { "idempotency-key": key }));
const topup = async (at: IngestProcess, { apiKey }: TestCustomer, key: string, body: unknown) =>
  tell(await post(`${at.url}/v1/wallet/topup`, apiKey, body, { "idempotency-key": key }));
const stored = async ({ customerId }: TestCustomer) =>
  (await db.pool.query("SELECT id FROM messages WHERE customer_id=?", [customerId])).length;
const charged = async ({ customerId }: TestCustomer) =>
  (await db.pool.query("SELECT 1 FROM wallet_ledger WHERE customer_id=? AND op='reserve'", [customerId]))
    .length;

describe("a repeat", () => {
  test("is answered byte for byte, from both processes, and after a restart", async () => {
    const customer = await makeCustomer(db.config, 10_000);
    const first = await send(one, customer, "k 1");
    expect(first).toMatchObject({ status: 202, replayed: false });
    for (const at of [one, two, one]) {
      expect(await send(at, customer, "k 1")).toEqual({ ...first, replayed: true });
    }
    await one.end("SIGKILL");
    one = await startIngest(db.config, { mysqlPort: proxy.port });
    expect(await send(one, customer, "k 1")).toEqual({ ...first, replayed: true });
    expect([await stored(customer), await charged(customer)]).toEqual([1, 1]);
  });

  test("is answered even when the wallet is empty by then, or the rate limit used up", async () => {
    const customer = await makeCustomer(db.config, 500 * TEXT_PARTS_MAX, { rateLimit: 1 });
    const long = { ...message, text: "a".repeat(153 * TEXT_PARTS_MAX) };
    const first = await send(one, customer, "last", long);
    expect(first.status).toBe(202);
    expect(await send(one, customer, "last", long)).toEqual({ ...first, replayed: true });
    expect((await send(one, customer, "more")).status).toBe(429);
  });

  test("with another body is refused and does nothing, even on the other process", async () => {
    const customer = await makeCustomer(db.config, 10_000);
    await send(one, customer, "k");
    for (const at of [one, two]) {
      const other = await send(at, customer, "k", { ...message, text: "other" });
      expect(other).toMatchObject({ status: 422, code: "idempotency_key_reused", replayed: false });
    }
    expect(await stored(customer)).toBe(1);
  });

  test("of another customer, or of another operation, is a separate request", async () => {
    const customer = await makeCustomer(db.config, 10_000);
    const other = await makeCustomer(db.config, 10_000);
    expect((await send(one, customer, "same")).replayed).toBe(false);
    expect((await send(one, other, "same")).replayed).toBe(false);
    const paid = await topup(one, customer, "same", { amount: 5, request_id: "r" });
    expect(paid).toMatchObject({ status: 200, replayed: false });
    expect([await stored(customer), await stored(other)]).toEqual([1, 1]);
  });

  test("of a refused request runs again: only committed answers are kept", async () => {
    const customer = await makeCustomer(db.config, 0);
    expect((await send(one, customer, "k")).status).toBe(402);
    await topup(one, customer, "t", { amount: 500, request_id: "r" });
    expect(await send(one, customer, "k")).toMatchObject({ status: 202, replayed: false });
    expect((await send(one, customer, "bad", { ...message, phone: "1" })).status).toBe(422);
    expect((await send(one, customer, "bad", { ...message, phone: "1" })).code).toBe("validation_failed");
  });
});

describe("at the same time", () => {
  test("64 copies on two processes make one message and one charge; each gets its answer or is asked to wait", async () => {
    const customer = await makeCustomer(db.config, 100_000);
    const told = await Promise.all(
      Array.from({ length: 64 }, (_, n) => send(n % 2 ? one : two, customer, "burst")),
    );
    const accepted = told.filter((t) => t.status === 202);
    expect(accepted.filter((t) => !t.replayed)).toHaveLength(1);
    expect(new Set(accepted.map((t) => t.body)).size).toBe(1);
    for (const t of told.filter((each) => each.status !== 202))
      expect(t).toMatchObject({ status: 409, code: "idempotency_in_progress", retry: "1" });
    const last = await send(one, customer, "burst");
    expect(last).toMatchObject({ replayed: true, body: accepted[0]?.body as string });
    expect([await stored(customer), await charged(customer)]).toEqual([1, 1]);
  });

  test("another body under a key in progress is refused, not asked to wait", async () => {
    const customer = await makeCustomer(db.config, 100_000);
    const told = await Promise.all([
      send(one, customer, "k"),
      send(one, customer, "k", { ...message, text: "other" }),
    ]);
    expect(new Set(told.map((t) => t.status))).toEqual(new Set([202, 422]));
    expect(await stored(customer)).toBe(1);
  });

  test("one copy among 500 others never fails their batch", async () => {
    const customer = await makeCustomer(db.config, 1_000_000);
    const first = await send(two, customer, "copy");
    const others = Array.from({ length: 500 }, (_, n) => send(one, customer, `other ${n}`));
    const [copy, ...told] = await Promise.all([send(one, customer, "copy"), ...others]);
    expect(copy).toEqual({ ...first, replayed: true });
    expect(told.filter((t) => t.status === 202 && !t.replayed)).toHaveLength(500);
    expect([await stored(customer), await charged(customer)]).toEqual([501, 501]);
  });

  test("both processes race for the same 100 keys: each key has one message, and all agree on it", async () => {
    const customer = await makeCustomer(db.config, 1_000_000);
    const keys = Array.from({ length: 100 }, (_, n) => `race ${n}`);
    const told = await Promise.all(
      keys.flatMap((key) => [send(one, customer, key), send(two, customer, key)]),
    );
    expect(told.map((t) => t.status)).toEqual(told.map(() => 202));
    for (const [at] of keys.entries()) expect(told[2 * at]?.body).toBe(told[2 * at + 1]?.body as string);
    expect(told.filter((t) => !t.replayed)).toHaveLength(100);
    expect([await stored(customer), await charged(customer)]).toEqual([100, 100]);
  });
});

describe("a top-up", () => {
  test("repeated by key is answered byte for byte; repeated by request_id alone it says so", async () => {
    const customer = await makeCustomer(db.config, 0);
    const body = { amount: 700, request_id: "r" };
    const first = await topup(one, customer, "k", body);
    expect(JSON.parse(first.body)).toMatchObject({ topup: true, idempotent: false, balance: 700 });
    expect(await topup(two, customer, "k", body)).toEqual({ ...first, replayed: true });
    const other = await topup(two, customer, "k2", body);
    expect(JSON.parse(other.body)).toMatchObject({ topup: true, idempotent: true, balance: 700 });
    expect(await topup(two, customer, "k2", body)).toEqual({ ...other, replayed: true });
    expect(await topup(one, customer, "k", { ...body, amount: 701 })).toMatchObject({
      status: 422,
      code: "idempotency_key_reused",
    });
  });

  test("64 copies on two processes count once", async () => {
    const customer = await makeCustomer(db.config, 0);
    const body = { amount: 700, request_id: "r" };
    const told = await Promise.all(
      Array.from({ length: 64 }, (_, n) => topup(n % 2 ? one : two, customer, "k", body)),
    );
    expect(told.filter((t) => t.status === 200 && !t.replayed)).toHaveLength(1);
    expect(told.every((t) => t.status === 200 || t.code === "idempotency_in_progress")).toBe(true);
    const [wallet] = await db.pool.query("SELECT balance FROM wallet_accounts WHERE customer_id=?", [
      customer.customerId,
    ]);
    expect(wallet).toEqual({ balance: 700 });
  });
});

for (const when of ["before", "after"] as const) {
  test(`a connection cut ${when} the server received COMMIT: the retry with the same key ends in exactly one`, async () => {
    const customer = await makeCustomer(db.config, 10_000);
    await send(one, customer, "warm");
    const happened = proxy.cutAtCommit("INSERT INTO idempotency_keys", when);
    const lost = send(one, customer, "k");
    await happened;
    const first = await lost;
    expect(first.status).toBe(202);
    expect(await send(two, customer, "k")).toEqual({ ...first, replayed: true });
    expect(await stored(customer)).toBe(2);
  });
}

test("an unknown outcome is a 503 that says to retry with the same key; the retry ends in exactly one", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  await send(one, customer, "warm");
  const happened = proxy.cutAtCommit("INSERT INTO idempotency_keys", "after");
  const lost = send(one, customer, "k");
  await happened;
  proxy.cutAll();
  const unknown = await lost;
  expect(unknown).toMatchObject({ status: 503, code: "outcome_unknown" });
  expect(unknown.body).toContain("Retry with the same Idempotency-Key");
  proxy.mend();
  expect(await send(two, customer, "k")).toMatchObject({ status: 202, replayed: true });
  expect(await stored(customer)).toBe(2);
}, 30_000);

test("a process that listens on the same port replays the other's keys", async () => {
  const port = await freePort();
  const pair = await Promise.all([
    startIngest(db.config, { apiPort: port }),
    startIngest(db.config, { apiPort: port }),
  ]);
  const customer = await makeCustomer(db.config, 1_000_000);
  const [shared] = pair as [IngestProcess, IngestProcess];
  const told = await Promise.all(
    Array.from({ length: 200 }, (_, n) => send(shared, customer, `k${n % 50}`).then((t) => ({ n, ...t }))),
  );
  expect(told.every((t) => t.status === 202 || t.status === 409)).toBe(true);
  expect(await stored(customer)).toBe(50);
  await Promise.all(pair.map((each) => each.end()));
});
