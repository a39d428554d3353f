// clients/typescript against a real gateway: what it types is what is answered, what it repeats takes effect
// once, and its lists have everything. Retries and waits in detail: clients/typescript/sluice.test.ts.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { isProblem, type SluiceProblem } from "../../clients/typescript/problem.ts";
import { createSluice, type Sluice, type SluiceOptions } from "../../clients/typescript/sluice.ts";
import { PERSIAN } from "../../src/core/persian-errors.ts";
import { createTestClickhouse, insertStatusEvents, type TestClickhouse } from "../support/clickhouse.ts";
import { makeCustomer, type TestCustomer } from "../support/ingest-process.ts";
import { holdDeclared } from "../support/declared.ts";
import { type Api, startApi } from "../support/refusals.ts";

const BALANCE = 100_000;
let clickhouse: TestClickhouse;
let api: Api;
let customer: TestCustomer;
let sluice: Sluice;
beforeAll(async () => {
  clickhouse = await createTestClickhouse();
  api = await startApi({ clickhouseDatabase: clickhouse.config.clickhouseDatabase });
  customer = await makeCustomer(api.db.config, BALANCE);
  sluice = client();
}, 60_000);
// No relay runs here: what stays in the outbox would make the express lane look slow.
afterEach(() => api.db.pool.query("DELETE FROM outbox"));
afterAll(async () => {
  await api.stop();
  await clickhouse.drop();
}, 30_000);

/** Compares each answer with the table of routes. */
const compared: SluiceOptions["fetch"] = async (url, init) => {
  const answer = await fetch(url, init);
  const { status, headers } = answer;
  const seen = { status, type: headers.get("content-type"), text: await answer.clone().text() };
  holdDeclared(init.method ?? "GET", new URL(url).pathname, seen);
  return answer;
};
const client = (options: Partial<SluiceOptions> = {}): Sluice =>
  createSluice({
    baseUrl: api.ingest.url,
    apiKey: customer.apiKey,
    fetch: compared,
    delayMs: 20,
    ...options,
  });

const message = { phone: "09121234567", text: "Hello", type: "normal" } as const;
const all = async <T>(list: AsyncIterable<T>): Promise<T[]> => Array.fromAsync(list);
const thrownBy = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => Promise.reject(new Error("it did not throw")),
    (thrown: unknown) => thrown,
  );

test("a message is previewed, sent, and read again", async () => {
  const preview = await sluice.preview({ ...message, type: "express" });
  expect(preview).toMatchObject({ phone: "+989121234567", encoding: "gsm7", parts: 1, cost: 700 });
  const sent = await sluice.send({ ...message, type: "express", reference: "r-1" });
  expect(sent).toMatchObject({ type: "express", cost: preview.cost, balance_after: preview.balance_after });
  expect(Date.parse(sent.guaranteed_by ?? "")).toBeGreaterThan(Date.now());
  expect(await sluice.message(sent.id)).toMatchObject({ id: sent.id, status: "queued", reference: "r-1" });
});

test("a batch says what it took and what it didn't", async () => {
  const { accepted, rejected } = await sluice.sendBatch({
    phones: ["+989121234567", "12"],
    text: "Hello {name}",
    parameters: [{ name: "Ali" }, { name: "Sara" }],
  });
  expect(accepted.map(({ index }) => index)).toEqual([0]);
  expect(rejected.map(({ index, code }) => [index, code])).toEqual([[1, "validation_failed"]]);
});

test("a top-up is one, by its request_id and by its key", async () => {
  const { balance } = await sluice.wallet();
  const body = { amount: 1_000, request_id: "invoice-1" };
  expect(await sluice.topUp(body)).toMatchObject({ idempotent: false, balance: balance + 1_000 });
  expect(await sluice.topUp(body)).toMatchObject({ idempotent: true, balance: balance + 1_000 });
  const other = await thrownBy(sluice.topUp({ ...body, amount: 2 }));
  expect(isProblem(other, "topup_conflict")).toBe(true);
});

describe("what is repeated takes effect once", () => {
  test("because its tries have one key: answers that are lost cost nothing", async () => {
    const before = await sluice.wallet();
    let lost = 2;
    const losing: SluiceOptions["fetch"] = async (url, init) => {
      const answer = await compared(url, init);
      if (lost-- > 0) throw new TypeError("the connection was lost");
      return answer;
    };
    const sent = await client({ fetch: losing }).send({ ...message, reference: "lost" });
    const found = (await all(sluice.messages())).filter(({ reference }) => reference === "lost");
    expect(found.map(({ id }) => id)).toEqual([sent.id]);
    expect(before.balance - (await sluice.wallet()).balance).toBe(sent.cost);
  });

  test("also later, by the key that its caller chose", async () => {
    const options = { idempotencyKey: "order-77" };
    const first = await sluice.send(message, options);
    expect(await sluice.send(message, options)).toEqual(first);
    const other = await thrownBy(sluice.send({ ...message, text: "another" }, options));
    expect(other).toMatchObject({ code: "idempotency_key_reused", idempotencyKey: "order-77" });
  });
});

test("lists have each row once, over all pages", async () => {
  const ids = new Set<string>();
  for (let n = 0; n < 5; n++) ids.add((await sluice.send({ ...message, reference: `list-${n}` })).id);
  const paged = await all(sluice.messages({ limit: 2 }));
  expect(new Set(paged.map(({ id }) => id)).size).toBe(paged.length);
  expect(paged.filter(({ id }) => ids.has(id))).toHaveLength(5);
  expect(paged).toEqual(await all(sluice.messages({ limit: 1_000 })));
  const entries = await all(sluice.ledger({ limit: 3 }));
  const signs: Record<string, number> = { topup: 1, reserve: -1 };
  const sum = entries.reduce((total, { op, amount }) => total + amount * (signs[op] ?? 0), 0);
  expect(sum).toBe((await sluice.wallet()).balance);
});

test("the reports are read, by message and by status", async () => {
  const { id } = await sluice.send({ ...message, reference: "report" });
  const { customerId: customer_id } = customer;
  const event = { id, sequence: 1, status: "queued", customer_id, created_at_ms: Date.now() - 1_000 };
  await insertStatusEvents(clickhouse.clickhouse, [event]);
  const rows = await all(sluice.messagesReport({ status: "queued" }));
  expect(rows.map((row) => [row.id, row.status])).toEqual([[id, "queued"]]);
  const usage = await all(sluice.usageReport({ interval: "day", by: "status" }));
  expect(usage.map(({ status, messages }) => [status, messages])).toEqual([["queued", 1]]);
});

describe("a problem", () => {
  test("has its code's members", async () => {
    const poor = await makeCustomer(api.db.config, 300);
    const thrown = await thrownBy(client({ apiKey: poor.apiKey }).send(message));
    if (!isProblem(thrown, "insufficient_balance")) throw thrown;
    const { required, balance } = thrown.problem;
    expect([required, balance]).toEqual([500, 300]);
    expect(thrown.requestId).toMatch(/^[0-9a-f]{32}$/);
  });

  test("names refused fields, in Persian if the client asks for it", async () => {
    const wrong = { ...message, phone: "12" };
    const english = (await thrownBy(sluice.send(wrong))) as SluiceProblem<"validation_failed">;
    expect(english.problem.errors).toEqual([{ field: "phone", reason: "is not a valid phone number" }]);
    const persian = (await thrownBy(
      client({ language: "fa" }).send(wrong),
    )) as SluiceProblem<"validation_failed">;
    expect<string>(persian.problem.title).toBe(PERSIAN.validation_failed.title);
    expect(persian.problem.errors).toEqual([{ field: "phone", reason: "شمارهٔ تلفن معتبری نیست" }]);
  });

  test("of a webhook that isn't set up, and of an unknown key", async () => {
    expect(await thrownBy(sluice.webhook())).toMatchObject({ code: "not_found" });
    expect(await thrownBy(client({ apiKey: "unknown" }).wallet())).toMatchObject({ code: "api_key_invalid" });
    expect(await all(sluice.deliveries())).toEqual([]);
  });
});

test("all repeats of a request at once are one message", async () => {
  const calls = Array.from({ length: 6 }, () => sluice.send(message, { idempotencyKey: "at-once" }));
  const ids = new Set((await Promise.all(calls)).map(({ id }) => id));
  expect(ids.size).toBe(1);
});
