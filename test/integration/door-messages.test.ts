// The door of POST /v1/messages on a real ingest process and MySQL, next to the API's own GET /v1/messages.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { customerUuid } from "../../src/api/doors/door.ts";
import { ulidUuid } from "../../src/core/id.ts";
import { walletOf } from "../support/batches.ts";
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
  ingest = await startIngest(db.config, { doors: "messages" });
}, 60_000);
afterEach(async () => {
  await reconcileBooks(db.pool);
  await db.pool.query("DELETE FROM outbox");
});
afterAll(async () => {
  await ingest.end();
  await db.drop();
});

const ask = async ({ apiKey }: TestCustomer, path: string, body?: object, key?: string) => {
  const answer = await fetch(ingest.url + path, {
    method: body === undefined ? "GET" : "POST",
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    headers: {
      "content-type": "application/json",
      "x-api-key": apiKey,
      ...(key === undefined ? {} : { "idempotency-key": key }),
    },
  });
  return [answer.status, await answer.text()] as const;
};
const MESSAGE = { to: "09121234567", from: "SLUICE", text: "Hello" };

test("a message is stored and charged, a repeat is a 200 with the same bytes, and the API lists it", async () => {
  const customer = await makeCustomer(db.config, 10_000);
  const [status, text] = await ask(customer, "/v1/messages", MESSAGE, "order-1");
  expect(status).toBe(202);
  expect(await ask(customer, "/v1/messages", MESSAGE, "order-1")).toEqual([200, text]);
  const [, listed] = await ask(customer, "/v1/messages");
  const { messages } = JSON.parse(listed) as { messages: { id: string; phone: string }[] };
  expect(messages.map(({ phone }) => phone)).toEqual(["+989121234567"]);
  expect(text).toBe(`{"message_id":"${ulidUuid(messages[0]?.id ?? "")}","status":"QUEUED"}`);
  expect(await walletOf(db.pool, customer)).toEqual({ left: 9_500, reserved: 500 });
});

test("no credit is a 402 that says how much is missing, and /v1/me what there is", async () => {
  const customer = await makeCustomer(db.config, 499);
  expect(await ask(customer, "/v1/messages", MESSAGE)).toEqual([
    402,
    '{"balance":499,"error":"insufficient credits","required":500}',
  ]);
  const id = customerUuid(customer.customerId);
  expect(await ask(customer, "/v1/me")).toEqual([200, `{"credits":499,"id":"${id}"}`]);
  expect(await ask(customer, `/v1/me?client_id=${id}`)).toEqual([200, `{"credits":499,"id":"${id}"}`]);
});

test("other methods of a shared path are refused as the API does", async () => {
  const customer = await makeCustomer(db.config, 0);
  const answer = await fetch(`${ingest.url}/v1/messages`, {
    method: "DELETE",
    headers: { "x-api-key": customer.apiKey },
  });
  expect([answer.status, answer.headers.get("content-type")]).toEqual([405, "application/problem+json"]);
});
