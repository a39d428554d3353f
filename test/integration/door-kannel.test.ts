// Kannel's door on a real ingest process and MySQL: what its clients send is stored and charged like a send
// or a batch of the API, and a key in a URL is written down nowhere.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
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
  ingest = await startIngest(db.config, { doors: "kannel", doorsPriorityExpress: 1, logLevel: "trace" });
}, 60_000);
// No relay runs here: what stays in the outbox would make the express lane look slow.
afterEach(async () => {
  await reconcileBooks(db.pool);
  await db.pool.query("DELETE FROM outbox");
});
afterAll(async () => {
  await ingest.end();
  await db.drop();
});

const send = async (
  { customerId, apiKey }: TestCustomer,
  query: string,
  headers: Record<string, string> = {},
): Promise<[number, string]> => {
  const signed = `username=${customerId}&password=${apiKey}`;
  const answer = await fetch(`${ingest.url}/cgi-bin/sendsms?${signed}&${query}`, { headers });
  return [answer.status, await answer.text()];
};
const ACCEPTED: [number, string] = [202, "0: Accepted for delivery"];

test("a message to several receivers is one charge for all of them", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const to = "+989121234567++989121234568+09121234569";
  expect(await send(customer, `to=${to}&text=%D8%B3%D9%84%D8%A7%D9%85&account=a`)).toEqual(ACCEPTED);
  const rows = await storedOf(db.pool, customer);
  expect(rows.map(({ phone, text, reference }) => [phone, text, reference])).toEqual(
    ["+989121234567", "+989121234568", "+989121234569"].map((phone) => [phone, "سلام", "a"]),
  );
  expect(await walletOf(db.pool, customer)).toEqual({ left: 8_500, reserved: 1_500 });
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

test("a deferred message is scheduled and reserved", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const beforeMs = Date.now();
  expect(await send(customer, "to=09121234567&text=x&deferred=90&validity=120")).toEqual(ACCEPTED);
  const sendAtMs = await sendAtOf(customer);
  expect(sendAtMs).toBeGreaterThanOrEqual(beforeMs + 90 * 60_000);
  expect(sendAtMs).toBeLessThanOrEqual(Date.now() + 90 * 60_000);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 9_500, reserved: 500 });
  expect(await send(customer, "to=09121234567&text=x&deferred=43201")).toEqual([
    400,
    "Deferred field misformed, rejected",
  ]);
});

test("what can't be paid for as a whole is not taken at all", async () => {
  const customer = await makeCustomer(db.config, 1_000);
  const to = "09121234567+09121234568+09121234569";
  expect(await send(customer, `to=${to}&text=x`)).toEqual([402, "Not enough credit, rejected"]);
  expect(await send(customer, "to=09121234567+12&text=x")).toEqual([
    400,
    "Number(s) has/have been denied by white- and/or black-lists.",
  ]);
  expect(await storedOf(db.pool, customer)).toEqual([]);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 1_000, reserved: 0 });
});

test("priority 3 goes by the express lane at its price, where that is set", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  expect(await send(customer, "to=09121234567&text=x&priority=3")).toEqual(ACCEPTED);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 9_300, reserved: 700 });
});

test("a repeat with its Idempotency-Key is sent once", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const key = { "idempotency-key": "order-1" };
  for (let n = 0; n < 2; n++)
    expect(await send(customer, "to=09121234567+09121234568&text=x", key)).toEqual(ACCEPTED);
  expect(await storedOf(db.pool, customer)).toHaveLength(2);
  expect((await send(customer, "to=09121234567&text=x", key))[0]).toBe(422);
});

test("neither a HEAD nor a wrong key sends anything", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const signed = `username=${customer.customerId}&password=${customer.apiKey}`;
  const url = `${ingest.url}/cgi-bin/sendsms?${signed}&to=09121234567&text=x`;
  expect((await fetch(url, { method: "HEAD" })).status).toBe(405);
  expect(await send({ ...customer, apiKey: "sk_wrong" }, "to=09121234567&text=x")).toEqual([
    403,
    "Authorization failed for sendsms",
  ]);
  expect(await storedOf(db.pool, customer)).toEqual([]);
});

test("a key in a URL is in no log, metric or answer", async () => {
  const customer = await makeCustomer(db.config, 1_000);
  const seen = [
    ...(await send(customer, "to=09121234567&text=x")),
    ...(await send(customer, "to=12&text=x")),
    ...(await send(customer, "to=09121234567&text=x&validity=x")),
    await (await fetch(`${ingest.healthUrl}/metrics`)).text(),
    ingest.log(),
  ].join("\n");
  expect(seen).toContain('route="/cgi-bin/sendsms",method="GET",code="202"');
  expect(seen).not.toContain(customer.apiKey);
  expect(seen).not.toContain("password");
});
