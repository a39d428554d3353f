// The door of /send-sms on a real ingest process and MySQL: a message is sent once under its client's name,
// and found by it, also after the key is forgotten.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { customerUuid } from "../../src/api/doors/door.ts";
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
  ingest = await startIngest(db.config, { doors: "send-sms" });
}, 60_000);
afterEach(async () => {
  await reconcileBooks(db.pool);
  await db.pool.query("DELETE FROM outbox");
});
afterAll(async () => {
  await ingest.end();
  await db.drop();
});

const NAME = "6f1c2d3e-4b5a-4978-8796-a5b4c3d2e1f0";
const send = async ({ customerId, apiKey }: TestCustomer, message: string) => {
  const user_id = customerUuid(customerId);
  const answer = await fetch(`${ingest.url}/send-sms`, {
    method: "POST",
    body: JSON.stringify({ message_id: NAME, user_id, phone_number: "09121234567", message }),
    headers: { "content-type": "application/json", "x-api-key": apiKey },
  });
  return [answer.status, await answer.text(), answer.headers.get("idempotent-replayed")];
};
const read = async ({ apiKey }: TestCustomer, path: string) => {
  const answer = await fetch(ingest.url + path, { headers: { "x-api-key": apiKey } });
  return [answer.status, await answer.text()];
};

test("the same message_id is sent once, and names another message never", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const pending = `{"message_id":"${NAME}","status":"pending"}`;
  expect(await send(customer, "Hello")).toEqual([200, pending, null]);
  expect(await send(customer, "Hello")).toEqual([200, pending, "true"]);
  expect(await send(customer, "Bye")).toEqual([400, '{"error":"duplicate message_id"}', null]);
  expect(await storedOf(db.pool, customer)).toHaveLength(1);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 9_500, reserved: 500 });
});

test("a status and a balance are read by their names, by their own customer", async () => {
  const [customer, other] = [await makeCustomer(db.config, 10_000), await makeCustomer(db.config, 0)];
  await send(customer, "Hello");
  const path = `/message-status/${NAME}`;
  expect(await read(customer, path)).toEqual([200, '{"status":"pending"}']);
  expect(await read(other, path)).toEqual([404, '{"error":"message not found"}']);
  const balance = `/balance/${customerUuid(customer.customerId)}`;
  expect(await read(customer, balance)).toEqual([200, '{"balance":9500}']);
  expect(await read(other, balance)).toEqual([404, '{"error":"user not found"}']);
  await db.pool.query("DELETE FROM idempotency_keys");
  expect(await read(customer, path)).toEqual([200, '{"status":"pending"}']);
});

test("no credit is a 402, takes nothing, and leaves the name free", async () => {
  const customer = await makeCustomer(db.config, 499);
  expect(await send(customer, "Hello")).toEqual([402, '{"error":"insufficient balance"}', null]);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 499, reserved: 0 });
  expect(await read(customer, `/message-status/${NAME}`)).toEqual([404, '{"error":"message not found"}']);
});
