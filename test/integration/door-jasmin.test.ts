// Jasmin's door on a real ingest process and MySQL: what its clients send is stored and charged like a send
// of the API; balances and rates are those of the wallet.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { ulidUuid } from "../../src/core/id.ts";
import { storedOf, walletOf } from "../support/batches.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  type IngestProcess,
  makeCustomer,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";

let db: TestDatabase;
let ingest: IngestProcess;
beforeAll(async () => {
  db = await createTestDatabase();
  ingest = await startIngest(db.config, { doors: "jasmin", logLevel: "trace" });
}, 60_000);
afterEach(async () => {
  await reconcileBooks(db.pool);
  await db.pool.query("DELETE FROM outbox");
});
afterAll(async () => {
  await ingest.end();
  await db.drop();
});

const ask = async (
  { customerId, apiKey }: TestCustomer,
  path: string,
  query = "",
  headers: Record<string, string> = {},
): Promise<[number, string]> => {
  const signed = `username=${customerId}&password=${apiKey}`;
  const answer = await fetch(`${ingest.url}${path}?${signed}${query}`, { headers });
  return [answer.status, await answer.text()];
};

test("a message is stored and charged, and answered with its id", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const answer = await ask(customer, "/send", "&to=+989121234567&content=Hello&from=SLUICE&tags=a");
  const rows = await storedOf(db.pool, customer);
  expect(rows).toEqual([
    { id: expect.any(String), phone: "+989121234567", text: "Hello", reference: "a" } as never,
  ]);
  expect(answer).toEqual([200, `Success "${ulidUuid(rows[0]?.id ?? "")}"`]);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 9_500, reserved: 500 });
});

test("a form is accepted like a query", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const form = { username: String(customer.customerId), password: customer.apiKey, to: "09121234567" };
  const body = new URLSearchParams({ ...form, content: "سلام" });
  const answer = await fetch(`${ingest.url}/send`, { method: "POST", body });
  expect(answer.status).toBe(200);
  expect((await storedOf(db.pool, customer)).map(({ text }) => text)).toEqual(["سلام"]);
});

/** When the customer's only message is to be sent. */
const sendAtOf = async ({ customerId }: TestCustomer): Promise<number> => {
  const rows = await db.pool.query<{ status: string; send_at: Date }[]>(
    "SELECT status, send_at FROM messages WHERE customer_id=?",
    [customerId],
  );
  expect(rows.map(({ status }) => status)).toEqual(["scheduled"]);
  return (rows[0] as { send_at: Date }).send_at.getTime();
};

test("a message with sdt is scheduled and reserved", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const beforeMs = Date.now();
  const [status] = await ask(customer, "/send", "&to=09121234567&content=x&sdt=000001020000000R");
  expect(status).toBe(200);
  const sendAtMs = await sendAtOf(customer);
  expect(sendAtMs).toBeGreaterThanOrEqual(beforeMs + 26 * 3_600_000);
  expect(sendAtMs).toBeLessThanOrEqual(Date.now() + 26 * 3_600_000);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 9_500, reserved: 500 });
});

test("no credit is Jasmin's refusal under 402, and nothing is taken", async () => {
  const customer = await makeCustomer(db.config, 499);
  expect(await ask(customer, "/send", "&to=09121234567&content=x")).toEqual([
    402,
    'Error "Cannot charge submit_sm, check RouterPB log file for details"',
  ]);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 499, reserved: 0 });
});

test("a repeat with its Idempotency-Key is sent once", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const key = { "idempotency-key": "order-1" };
  const first = await ask(customer, "/send", "&to=09121234567&content=x", key);
  expect(await ask(customer, "/send", "&to=09121234567&content=x", key)).toEqual(first);
  expect(await storedOf(db.pool, customer)).toHaveLength(1);
});

test("the balance is all that can still be spent, and the rate the price of a part", async () => {
  const customer = await makeCustomer(db.config, 12_345);
  expect(await ask(customer, "/balance")).toEqual([200, '{"balance": 123.45, "sms_count": "ND"}']);
  await ask(customer, "/send", "&to=09121234567&content=x");
  expect(await ask(customer, "/balance")).toEqual([200, '{"balance": 118.45, "sms_count": "ND"}']);
  expect(await ask(customer, "/rate", `&to=09121234567&content=${"x".repeat(161)}`)).toEqual([
    200,
    '{"unit_rate": 5.00, "submit_sm_count": 2}',
  ]);
});

test("a key in a URL is in no log, metric or answer", async () => {
  const customer = await makeCustomer(db.config, 1_000);
  const seen = [
    ...(await ask(customer, "/send", "&to=09121234567&content=x")),
    ...(await ask(customer, "/send", "&to=12&content=x")),
    ...(await ask(customer, "/balance", "&x=y")),
    await (await fetch(`${ingest.healthUrl}/metrics`)).text(),
    ingest.log(),
  ].join("\n");
  expect(seen).toContain('route="/send",method="GET",code="200"');
  expect(seen).not.toContain(customer.apiKey);
  expect(seen).not.toContain("password");
});
