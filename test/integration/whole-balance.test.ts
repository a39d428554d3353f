// The whole balance can be spent, to the last unit and over several processes, but not one unit more:
// recalls, exact grants, strict mode, leases of processes that died or slept.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { listLeases, setMode } from "../../src/ledger/lease-admin.ts";
import { topUp } from "../../src/ledger/topup.ts";
import { LEASE_TTL_MIN_MS } from "../../src/core/limits.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { type IngestProcess, makeCustomer, post, startIngest } from "../support/ingest-process.ts";
import { until } from "../support/roles.ts";

const PRICE = 500;
const TTL_MS = LEASE_TTL_MIN_MS;
const message = { phone: "09121234567", text: "hello", type: "normal" };
const id = createIdFactory({ now: Date.now });
let db: TestDatabase;
let pool: Pool;
let one: IngestProcess;
let two: IngestProcess;

beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 4, multipleStatements: true });
  const start = () => startIngest(db.config, { leaseTtlMs: TTL_MS });
  [one, two] = await Promise.all([start(), start()]);
});
afterAll(async () => {
  await Promise.all([one.end("SIGKILL"), two.end("SIGKILL")]);
  await pool.end();
  await db.drop();
});
afterEach(() => reconcileBooks(pool));

type Told = { status: number; code?: string; balance?: number; balance_after?: number; retry: string | null };
async function send(at: IngestProcess, apiKey: string, body: object = message): Promise<Told> {
  const answer = await post(`${at.url}/v1/sms/send`, apiKey, body);
  const told = (await answer.json()) as Omit<Told, "retry">;
  return { ...told, status: answer.status, retry: answer.headers.get("retry-after") };
}
const wallet = async (customerId: number) =>
  (await pool.query("SELECT balance, reserved FROM wallet_accounts WHERE customer_id=?", [customerId]))[0];
const statuses = (told: Told[]) => {
  const counts: Record<string, number> = {};
  for (const { status, code } of told) {
    const word = status === 202 ? "accepted" : `${status} ${code}`;
    counts[word] = (counts[word] ?? 0) + 1;
  }
  return counts;
};
/** Sends messages until the process holds a lease with credit ahead of need. */
async function warm(at: IngestProcess, apiKey: string, customerId: number): Promise<number> {
  let sent = 0;
  for (let rounds = 0; rounds < 20; rounds++) {
    sent += (await Promise.all(Array.from({ length: 10 }, () => send(at, apiKey)))).length;
    const held = (await listLeases(pool, { customerId })).reduce((sum, l) => sum + l.unspent, 0);
    if (held >= 5 * PRICE) return sent;
    await Bun.sleep(60);
  }
  throw new Error("no credit was taken ahead");
}

test("credit held by another process is recalled for a message that needs it: no 402, no 503", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 2_000 * PRICE);
  await warm(one, apiKey, customerId);
  // Spends all that the wallet itself holds, so that the next message needs what process one took ahead.
  await pool.query(
    "UPDATE wallet_accounts SET balance=0 WHERE customer_id=?; " +
      "DELETE FROM wallet_ledger WHERE customer_id=? AND op='topup'; " +
      "INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) SELECT customer_id, ?, " +
      "'open','topup',reserved,NOW(3) FROM wallet_accounts WHERE customer_id=?",
    [customerId, customerId, id(), customerId],
  );
  // Nothing more can be granted: what is held now is all there is.
  const held = (await listLeases(pool, { customerId })).reduce((sum, l) => sum + l.unspent, 0);
  expect((await send(two, apiKey)).status).toBe(202);
  const told = await Promise.all(Array.from({ length: 300 }, () => send(two, apiKey)));
  expect(statuses(told)).toEqual({
    accepted: held / PRICE - 1,
    "402 insufficient_balance": 300 - (held / PRICE - 1),
  });
});

test("two processes spend a wallet to exactly 0 between them; every other answer is 402", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 700 * PRICE + 499);
  const told: Told[] = [];
  // 64 callers that stop at a 402, as in bench/hot-wallet.
  const caller = async (at: IngestProcess) => {
    for (;;) {
      const answer = await send(at, apiKey);
      told.push(answer);
      if (answer.status !== 202) return;
    }
  };
  await Promise.all(Array.from({ length: 64 }, (_, n) => caller(n % 2 ? one : two)));
  expect(statuses(told)).toEqual({ accepted: 700, "402 insufficient_balance": 64 });
  expect(told.find((t) => t.status === 402)?.balance).toBe(499);
  const reserved = { balance: 499, reserved: 700 * PRICE };
  await until(
    async () => (await listLeases(pool, { customerId })).every((l) => l.unspent === 0),
    "no credit held",
  );
  expect(await wallet(customerId)).toEqual(reserved);
});

test("a cheap message that can still be paid for is not refused because an expensive one was", async () => {
  const { apiKey } = await makeCustomer(db.config, 3 * PRICE);
  const dear = { ...message, text: "a".repeat(160 * 4) };
  const told = await Promise.all([send(one, apiKey, dear), send(two, apiKey), send(one, apiKey)]);
  expect(told.map((t) => t.status)).toEqual([402, 202, 202]);
  expect((await send(two, apiKey)).status).toBe(202);
  expect((await send(one, apiKey)).status).toBe(402);
});

test("credit of a killed process: 503 with Retry-After until its lease expires, then 202, then 402", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 2_000 * PRICE);
  const doomed = await startIngest(db.config, { leaseTtlMs: TTL_MS });
  await warm(doomed, apiKey, customerId);
  await doomed.end("SIGKILL");
  const killedMs = performance.now();
  const rest = (await wallet(customerId)) as { balance: number };
  const dear = { ...message, text: "a".repeat(1_530) };
  let spent = 0;
  // Spends everything that the dead process doesn't hold.
  while ((rest.balance - spent) / PRICE >= 10) {
    const some = await Promise.all(Array.from({ length: 30 }, () => send(one, apiKey, dear)));
    spent += some.filter((t) => t.status === 202).length * 10 * PRICE;
    if (some.some((t) => t.status !== 202)) break;
  }
  const told: Told[] = [];
  for (let status = 0; status !== 402; ) {
    const answer = await send(one, apiKey);
    told.push(answer);
    status = answer.status;
  }
  const backMs = performance.now() - killedMs;
  expect(
    told.filter((t) => t.status === 503).every((t) => t.code === "credit_elsewhere" && t.retry === "1"),
  ).toBe(true);
  expect(told.filter((t) => t.status === 202).length).toBeGreaterThan(0);
  expect(backMs).toBeLessThan(TTL_MS + 5_000);
  const [left] = await pool.query<{ messages: number }[]>(
    "SELECT CAST(SUM(cost) AS SIGNED) AS messages FROM messages WHERE customer_id=?",
    [customerId],
  );
  expect(left?.messages).toBe(2_000 * PRICE);
}, 60_000);

test("strict: balance_after is exact for every message, from both processes at once", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 200 * PRICE);
  await setMode(pool, customerId, "strict");
  const told = await Promise.all(Array.from({ length: 250 }, (_, n) => send(n % 2 ? one : two, apiKey)));
  expect(statuses(told)).toEqual({ accepted: 200, "402 insufficient_balance": 50 });
  const after = told.flatMap((t) => t.balance_after ?? []).sort((a, b) => b - a);
  expect(after).toEqual(Array.from({ length: 200 }, (_, n) => (199 - n) * PRICE));
});

test("a change to strict drains what processes hold, and from then on nothing is granted ahead of need", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 5_000 * PRICE);
  const sent = await warm(one, apiKey, customerId);
  await setMode(pool, customerId, "strict");
  const unspent = async () => (await listLeases(pool, { customerId })).reduce((sum, l) => sum + l.unspent, 0);
  await until(async () => (await unspent()) === 0, "leases drained", 2_000);
  for (let n = 1; n <= 5; n++)
    expect((await send(one, apiKey)).balance_after).toBe((5_000 - sent - n) * PRICE);
  expect(await unspent()).toBe(0);
});

test("a process that slept beyond its lifetime serves at once from new leases", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 5_000 * PRICE);
  const sleeper = await startIngest(db.config, { leaseTtlMs: TTL_MS });
  await warm(sleeper, apiKey, customerId);
  process.kill(sleeper.pid, "SIGSTOP");
  await until(
    async () => (await listLeases(pool, { customerId })).length === 0,
    "its lease is reaped",
    TTL_MS + 6_000,
  );
  process.kill(sleeper.pid, "SIGCONT");
  const told = await Promise.all(Array.from({ length: 20 }, () => send(sleeper, apiKey)));
  expect(statuses(told)).toEqual({ accepted: 20 });
  await sleeper.end();
}, 60_000);

test("a top-up serves messages that already wait for credit", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 0);
  expect((await send(one, apiKey)).status).toBe(402);
  await topUp({ pool, id, now: Date.now }, customerId, PRICE, "r");
  expect((await send(one, apiKey)).status).toBe(202);
  expect(await send(two, apiKey)).toMatchObject({ status: 402, balance: 0 });
});
