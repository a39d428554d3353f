// The door of /sms/send on a real ingest process and MySQL: what its clients send is stored and charged like
// a batch of the API, found in the history, and seen in the balance.

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
  ingest = await startIngest(db.config, { doors: "sms,kannel" });
}, 60_000);
afterEach(async () => {
  await reconcileBooks(db.pool);
  await db.pool.query("DELETE FROM outbox");
});
afterAll(async () => {
  await ingest.end();
  await db.drop();
});

type Json = Record<string, unknown>;
const post = (customer: TestCustomer, path: string, body: Json, headers: Record<string, string> = {}) =>
  fetch(ingest.url + path, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json", "x-api-key": customer.apiKey, ...headers },
  });
const get = async (customer: TestCustomer, path: string): Promise<string> => {
  const answer = await fetch(ingest.url + path, { headers: { "x-api-key": customer.apiKey } });
  expect(answer.status).toBe(200);
  return answer.text();
};
const send = async (customer: TestCustomer, recipients: string[], key: string | null = null) => {
  const body = { customer_id: customer.customerId, text: "Hello", recipients, type: "normal" };
  const answer = await post(customer, "/sms/send", body, key === null ? {} : { "idempotency-key": key });
  return { status: answer.status, body: (await answer.json()) as { sms_identifier: string } };
};

test("messages are one charge, and found in the history by their identifier and status", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const path = `/sms/history?user_id=${customer.customerId}`;
  expect(await get(customer, path)).toBe('{"history":null}\n');
  const { body: first } = await send(customer, ["09121234567"]);
  const { body: second } = await send(customer, ["09121234568", "09121234569"]);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 8_500, reserved: 1_500 });
  const history = async (filter: string) =>
    (JSON.parse(await get(customer, path + filter)) as { history: Json[] | null }).history;
  const all = await history("");
  expect(all?.map(({ recipient, sms_identifier }) => [recipient, sms_identifier])).toEqual([
    ["+989121234569", second.sms_identifier],
    ["+989121234568", second.sms_identifier],
    ["+989121234567", first.sms_identifier],
  ]);
  expect(Object.entries(all?.[0] ?? {}).map(([name, value]) => [name, typeof value])).toEqual([
    ["created_at", "string"],
    ["provider", "string"],
    ["recipient", "string"],
    ["sms_identifier", "string"],
    ["status", "string"],
    ["type", "string"],
    ["updated_at", "string"],
    ["user_id", "number"],
  ]);
  expect(await history(`&sms_identifier=${second.sms_identifier}`)).toHaveLength(2);
  const [oldest] = await storedOf(db.pool, customer);
  expect(await history(`&sms_identifier=${ulidUuid(oldest?.id ?? "")}`)).toHaveLength(1);
  expect(await history("&status=pending")).toHaveLength(3);
  expect(await history("&status=done")).toBeNull();
  const other = await makeCustomer(db.config, 0);
  expect(await get(other, `/sms/history?user_id=${other.customerId}`)).toBe('{"history":null}\n');
});

test("what can't be paid for as a whole is not taken at all", async () => {
  const customer = await makeCustomer(db.config, 999);
  expect(await send(customer, ["09121234567", "09121234568"])).toEqual({
    status: 402,
    body: { message: "dont have Not Enough Balance " },
  } as never);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 999, reserved: 0 });
});

test("a phone that opted out is named, and refuses all", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  expect((await post(customer, "/v1/opt-outs", { phone: "09121234568" })).ok).toBe(true);
  await Bun.sleep(2_000); // then every process knows of it
  const reason = "has opted out of messages from this sender";
  expect(await send(customer, ["09121234567", "09121234568"])).toEqual({
    status: 422,
    body: { errors: [{ field: "recipients.1", reason }], message: `recipients.1 ${reason}.` },
  } as never);
  expect((await send(customer, ["09121234568"])).status).toBe(422);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 10_000, reserved: 0 });
});

test("a repeat with its Idempotency-Key is sent once, with the same identifier", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const first = await send(customer, ["09121234567"], "order-1");
  expect(first.status).toBe(200);
  expect(await send(customer, ["09121234567"], "order-1")).toEqual(first);
  expect((await send(customer, ["09121234568"], "order-1")).status).toBe(422);
  expect(await storedOf(db.pool, customer)).toHaveLength(1);
});

test("an addition is made once, and the balance shows what it consists of", async () => {
  const customer = await makeCustomer(db.config, 0);
  const path = `/balance?user_id=${customer.customerId}`;
  expect(await get(customer, path)).toBe('{"balance":0,"transactions":null}\n');
  const add = async (balance: number) => {
    const body = { user_id: customer.customerId, balance };
    return (await post(customer, "/balance/add", body, { "idempotency-key": "invoice-1" })).status;
  };
  expect([await add(2_000), await add(2_000), await add(1)]).toEqual([200, 200, 409]);
  await send(customer, ["09121234567"]);
  const seen = JSON.parse(await get(customer, path)) as { balance: number; transactions: Json[] };
  expect(seen.balance).toBe(1_500);
  expect(seen.transactions.map(({ Amount, TransactionType }) => [Amount, TransactionType])).toEqual([
    [-500, "withdrawal"],
    [2_000, "deposit"],
  ]);
});
