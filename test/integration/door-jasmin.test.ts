// Jasmin's door on a real ingest process and MySQL: what its clients send is stored and charged like a send
// of the API; balances and rates are those of the wallet.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { ulidUuid } from "../../src/core/id.ts";
import { setSuspended } from "../../src/customers/customers.ts";
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

// ---- the REST front ----

const rest = async (
  { customerId, apiKey }: TestCustomer,
  path: string,
  body?: object,
  key?: string,
): Promise<[number, string]> => {
  const answer = await fetch(`${ingest.url}/secure${path}`, {
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    headers: {
      authorization: `Basic ${Buffer.from(`${customerId}:${apiKey}`).toString("base64")}`,
      ...(key === undefined ? {} : { "idempotency-key": key }),
    },
  });
  return [answer.status, await answer.text()];
};
const MESSAGE = { to: "989121234567", content: "Hello", from: "SLUICE" };
const BATCH = { globals: { from: "SLUICE" }, messages: [{ to: [989121234561, 989121234562], content: "a" }] };

test("the REST front stores and charges a message, and shows balance and rate", async () => {
  const customer = await makeCustomer(db.config, 12_345);
  const answer = await rest(customer, "/send", MESSAGE, "k");
  expect(await rest(customer, "/send", MESSAGE, "k")).toEqual(answer);
  const [stored] = await storedOf(db.pool, customer);
  expect(stored).toMatchObject({ phone: "+989121234567", text: "Hello" });
  expect(answer).toEqual([200, `{"data": "Success \\"${ulidUuid(stored?.id ?? "")}"}`]);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 11_845, reserved: 500 });
  expect(await rest(customer, "/balance")).toEqual([200, '{"data": {"balance": 118.45, "sms_count": "ND"}}']);
  expect(await rest(customer, "/rate?to=989121234567")).toEqual([
    200,
    '{"data": {"unit_rate": 5.00, "submit_sm_count": 1}}',
  ]);
});

test("a batch of the REST front is stored and charged as a whole, or not at all", async () => {
  const customer = await makeCustomer(db.config, 1_500);
  const [status, text] = await rest(customer, "/sendbatch", BATCH, "k");
  expect(status).toBe(200);
  expect(text).toMatch(/^\{"data": \{"batchId": "[0-9a-f-]{36}", "messageCount": 2\}\}$/);
  expect(await rest(customer, "/sendbatch", BATCH, "k")).toEqual([status, text]);
  expect(await storedOf(db.pool, customer)).toMatchObject([
    { phone: "+989121234561", text: "a" },
    { phone: "+989121234562", text: "a" },
  ]);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 500, reserved: 1_000 });
  expect(await rest(customer, "/sendbatch", BATCH)).toEqual([
    402,
    '{"message": "Error \\"Cannot charge submit_sm, check RouterPB log file for details"}',
  ]);
  const bad = { messages: [...BATCH.messages, { to: "12", content: "a" }] };
  expect((await rest(customer, "/sendbatch", bad))[0]).toBe(400);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 500, reserved: 1_000 });
});

test("a batch of the REST front that is scheduled waits for its time", async () => {
  const customer = await makeCustomer(db.config, 1_500);
  const body = { messages: [MESSAGE], batch_config: { schedule_at: "3600s" } };
  const [status, text] = await rest(customer, "/sendbatch", body);
  expect([status, text.endsWith('"messageCount": 1, "scheduled": "3600s"}}')]).toEqual([200, true]);
  expect(await sendAtOf(customer)).toBeWithin(Date.now() + 3_500_000, Date.now() + 3_600_001);
});

test("the REST front takes nothing of who may not send", async () => {
  const [own, reader] = [
    await makeCustomer(db.config, 1_500),
    await makeCustomer(db.config, 1_500, { scopes: ["read"] }),
  ];
  const suspended = await makeCustomer(db.config, 1_500);
  await setSuspended(db.pool, suspended.customerId, true);
  const asOther = { ...own, customerId: reader.customerId };
  const statuses = async (by: TestCustomer) => [
    (await rest(by, "/send", MESSAGE))[0],
    (await rest(by, "/sendbatch", BATCH))[0],
  ];
  expect(await statuses(asOther)).toEqual([403, 412]);
  expect(await statuses({ ...own, apiKey: "sk_unknown" })).toEqual([403, 412]);
  expect(await statuses(reader)).toEqual([400, 400]);
  expect(await statuses(suspended)).toEqual([403, 403]);
  for (const customer of [own, reader, suspended])
    expect(await walletOf(db.pool, customer)).toEqual({ left: 1_500, reserved: 0 });
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
