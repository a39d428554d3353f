// Twilio's door on a real ingest process and MySQL: what its clients send is stored and charged like a send
// of the API, and read back as Twilio's resource. Its own client for Node drives it as well.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import twilio from "twilio";
import { accountSid } from "../../src/core/peers/twilio.ts";
import { walletOf } from "../support/batches.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  type IngestProcess,
  makeCustomer,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { rawHttp } from "../support/raw-http.ts";

type Resource = { sid: string; status: string; body: string; price: string | null; to: string };

let db: TestDatabase;
let ingest: IngestProcess;
let closed: IngestProcess;
beforeAll(async () => {
  db = await createTestDatabase();
  [ingest, closed] = await Promise.all([startIngest(db.config, { doors: "twilio" }), startIngest(db.config)]);
}, 60_000);
afterEach(async () => {
  await reconcileBooks(db.pool);
  await db.pool.query("DELETE FROM outbox");
});
afterAll(async () => {
  await Promise.all([ingest.end(), closed.end()]);
  await db.drop();
});

const MESSAGE = { To: "+989121234567", From: "SLUICE", Body: "سلام + & =" };

const pathOf = ({ customerId }: TestCustomer, rest: string) =>
  `/2010-04-01/Accounts/${accountSid(customerId)}/${rest}`;
const basic = ({ customerId, apiKey }: TestCustomer) => ({
  authorization: `Basic ${Buffer.from(`${accountSid(customerId)}:${apiKey}`).toString("base64")}`,
});
const post = (
  customer: TestCustomer,
  form: Record<string, string>,
  headers: Record<string, string> = {},
  rest = "Messages.json",
) =>
  fetch(ingest.url + pathOf(customer, rest), {
    method: "POST",
    body: new URLSearchParams(form),
    headers: { ...basic(customer), ...headers },
  });
const read = (customer: TestCustomer, rest: string, as = customer) =>
  fetch(ingest.url + pathOf(customer, rest), { headers: basic(as) });

test("without a Host, or with one that no URL can have, what isn't there is a 404 in Twilio's words", async () => {
  const customer = await makeCustomer(db.config, 0);
  const path = pathOf(customer, `Messages/SM${"0".repeat(32)}.json`);
  for (const start of ["1.0\r\n", "1.1\r\nHost: a b\r\n", "1.1\r\nHost: [\r\n"]) {
    const { authorization } = basic(customer);
    const head = `GET ${path}?a=b HTTP/${start}Authorization: ${authorization}\r\n\r\n`;
    const { status, body } = await rawHttp(ingest.url, [head]);
    const message = `The requested resource ${path} was not found`;
    expect([start, status, JSON.parse(body)]).toMatchObject([start, 404, { code: 20_404, message }]);
  }
});

describe("a message", () => {
  test("with SendAt is scheduled, reserved and read back", async () => {
    const customer = await makeCustomer(db.config, 10_000);
    const sendAt = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 3_600_000).toISOString();
    const service = { ScheduleType: "fixed", MessagingServiceSid: `MG${"0".repeat(32)}` };
    const answer = await post(customer, { ...MESSAGE, ...service, SendAt: sendAt.replace(".000Z", "Z") });
    expect(answer.status).toBe(201);
    const created = (await answer.json()) as Resource;
    expect(created.status).toBe("scheduled");
    expect(await walletOf(db.pool, customer)).toEqual({ left: 9_500, reserved: 500 });
    const stored = await db.pool.query<{ send_at: Date }[]>(
      "SELECT send_at FROM messages WHERE customer_id=?",
      [customer.customerId],
    );
    expect(stored.map(({ send_at }) => send_at.toISOString())).toEqual([sendAt]);
    const found = (await (await read(customer, `Messages/${created.sid}.json`)).json()) as Resource;
    expect(found).toMatchObject({ status: "scheduled", price: null });
  });

  test("is stored, charged, and read back; nobody else can read it", async () => {
    const [customer, other] = [await makeCustomer(db.config, 10_000), await makeCustomer(db.config, 0)];
    const answer = await post(customer, MESSAGE);
    expect(answer.status).toBe(201);
    const created = (await answer.json()) as Resource;
    expect(created).toMatchObject({ status: "queued", body: MESSAGE.Body, to: MESSAGE.To, price: null });
    expect(await walletOf(db.pool, customer)).toEqual({ left: 9_500, reserved: 500 });
    const stored = await db.pool.query("SELECT phone, text, sender FROM messages WHERE customer_id=?", [
      customer.customerId,
    ]);
    expect(stored).toEqual([{ phone: MESSAGE.To, text: MESSAGE.Body, sender: "SLUICE" }]);
    const found = await read(customer, `Messages/${created.sid}.json`);
    expect(found.status).toBe(200);
    expect((await found.json()) as Resource).toMatchObject({ ...created, date_updated: expect.any(String) });
    for (const as of [other, customer]) {
      const path = as === other ? `Messages/${created.sid}.json` : `Messages/SM${"0".repeat(32)}.json`;
      expect((await read(as, path)).status).toBe(404);
    }
    expect((await read(customer, `Messages/${created.sid}.json`, other)).status).toBe(404);
  });

  test("that is repeated with its Idempotency-Key is sent once, with the same bytes", async () => {
    const customer = await makeCustomer(db.config, 10_000);
    const key = { "idempotency-key": "order-1" };
    const [first, second] = [await post(customer, MESSAGE, key), await post(customer, MESSAGE, key)];
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.headers.get("idempotent-replayed")).toBe("true");
    expect(second.headers.get("content-type")).toBe("application/json");
    expect(await second.text()).toBe(await first.text());
    const another = await post(customer, { ...MESSAGE, Body: "x" }, key);
    expect(another.status).toBe(422);
    expect(await another.json()).toMatchObject({ code: 20422, status: 422 });
    expect(await walletOf(db.pool, customer)).toEqual({ left: 9_500, reserved: 500 });
  });

  test("that the wallet can't pay for is a 402, and one above the rate a 429; nothing is taken", async () => {
    const poor = await makeCustomer(db.config, 499);
    const unpaid = await post(poor, MESSAGE);
    expect(unpaid.status).toBe(402);
    expect(await unpaid.json()).toMatchObject({ code: 20402, status: 402 });
    expect(await walletOf(db.pool, poor)).toEqual({ left: 499, reserved: 0 });
    const slow = await makeCustomer(db.config, 100_000, { rateLimit: 1 });
    const statuses: number[] = [];
    for (let n = 0; n < 11; n++) {
      const answer = await post(slow, MESSAGE);
      statuses.push(answer.status);
      if (n === 10) expect(answer.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    }
    expect(statuses).toEqual([...Array<number>(10).fill(201), 429]);
    expect(await walletOf(db.pool, slow)).toEqual({ left: 95_000, reserved: 5_000 });
  });
});

test("the balance is a decimal string of the major unit", async () => {
  const customer = await makeCustomer(db.config, 12_345);
  const answer = await read(customer, "Balance.json");
  expect(await answer.text()).toBe(
    `{"account_sid":"${accountSid(customer.customerId)}","balance":"123.45","currency":"IRR"}`,
  );
});

test("a door that is not open is no route", async () => {
  const customer = await makeCustomer(db.config, 1_000);
  const answer = await fetch(closed.url + pathOf(customer, "Balance.json"), { headers: basic(customer) });
  expect(answer.status).toBe(404);
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
});

test("another method is refused in Twilio's form", async () => {
  const customer = await makeCustomer(db.config, 1_000);
  const answer = await post(customer, {}, {}, "Balance.json");
  expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET"]);
  expect(Object.keys((await answer.json()) as object)).toEqual(["code", "message", "more_info", "status"]);
  const url = ingest.url + pathOf(customer, "Messages.json");
  const head = await fetch(url, { method: "HEAD", headers: basic(customer) });
  expect([head.status, head.headers.get("allow")]).toEqual([405, "POST, GET"]);
});

describe("Twilio's client for Node", () => {
  const clientOf = ({ customerId, apiKey }: TestCustomer) => {
    const client = twilio(accountSid(customerId), apiKey);
    client.api.baseUrl = ingest.url;
    return client;
  };

  test("sends a message, reads it, and reads the balance", async () => {
    const customer = await makeCustomer(db.config, 10_000);
    const client = clientOf(customer);
    const created = await client.messages.create({ to: MESSAGE.To, from: MESSAGE.From, body: MESSAGE.Body });
    expect([created.status, created.body, created.numSegments]).toEqual(["queued", MESSAGE.Body, "1"]);
    const found = await client.messages(created.sid).fetch();
    expect([found.sid, found.body, found.to]).toEqual([created.sid, MESSAGE.Body, MESSAGE.To]);
    expect(Math.abs(found.dateCreated.getTime() - Date.now())).toBeLessThan(60_000);
    expect((await client.balance.fetch()).balance).toBe("95.00");
  });

  test("gets the errors that it knows", async () => {
    const customer = await makeCustomer(db.config, 499);
    const client = clientOf(customer);
    const errorOf = (sending: Promise<unknown>) =>
      sending.then(
        () => null,
        ({ status, code }: { status: number; code: number }) => [status, code],
      );
    const message = { to: MESSAGE.To, from: MESSAGE.From, body: MESSAGE.Body };
    expect(await errorOf(client.messages.create({ ...message, to: "12" }))).toEqual([400, 21211]);
    expect(await errorOf(client.messages.create(message))).toEqual([402, 20402]);
    expect(await errorOf(clientOf({ ...customer, apiKey: "sk_wrong" }).messages.create(message))).toEqual([
      401, 20003,
    ]);
    expect(await walletOf(db.pool, customer)).toEqual({ left: 499, reserved: 0 });
  });
});
