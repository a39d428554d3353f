// POST /v1/sms/batches on real ingest processes and MySQL: what is accepted, rejected and refused, and what
// it costs.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { BATCH_BODY_BYTES_MAX, BATCH_MESSAGES_MAX } from "../../src/core/batch-limits.ts";
import { COMMIT_ROWS_MAX, FIELD_ERRORS_MAX, REFERENCE_CHARS_MAX } from "../../src/core/limits.ts";
import * as support from "../support/batches.ts";
import { type Batch, messages, phone } from "../support/batches.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  type IngestProcess,
  makeCustomer,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";

type Problem = { code: string; required?: number; balance?: number; errors?: { field: string }[] };

let db: TestDatabase;
let ingest: IngestProcess;
let other: IngestProcess;
const PRICE = 500;

beforeAll(async () => {
  db = await createTestDatabase();
  [ingest, other] = await Promise.all([startIngest(db.config), startIngest(db.config)]);
}, 60_000);
afterAll(async () => {
  await Promise.all([ingest.end(), other.end()]);
  await db.drop();
});
// No relay runs here: what stays in the outbox would make the express lane look slow.
afterEach(async () => {
  await reconcileBooks(db.pool);
  await db.pool.query("DELETE FROM outbox");
});

const ask = (customer: TestCustomer, body: unknown, at = ingest) => support.sendBatch(at, customer, body);
const stored = (customer: TestCustomer) => support.storedOf(db.pool, customer);
const walletOf = (customer: TestCustomer) => support.walletOf(db.pool, customer);
const accepted = async (customer: TestCustomer, body: unknown): Promise<Batch> => {
  const answer = await ask(customer, body);
  expect(answer.status).toBe(202);
  return (await answer.json()) as Batch;
};
const refused = async (customer: TestCustomer, body: unknown, status: number): Promise<Problem> => {
  const answer = await ask(customer, body);
  expect(answer.status).toBe(status);
  return (await answer.json()) as Problem;
};
const fieldsOf = ({ errors = [] }: Problem) => errors.map(({ field }) => field);

describe("what is accepted", () => {
  test("is stored and charged in the order of the request, and answered with its place", async () => {
    const customer = await makeCustomer(db.config, 100_000);
    const body = {
      messages: [
        { phone: "09121234567", text: "one", reference: "r-1" },
        { phone: "۰۹۱۲۱۲۳۴۵۶۸", text: "x".repeat(200), reference: null },
        { phone: "+989121234569", text: "سلام" },
      ],
      from: "Sluice",
      valid_for: 60,
    };
    const answer = await accepted(customer, body);
    expect(answer).toEqual({
      batch_id: expect.any(String),
      customer_id: String(customer.customerId),
      type: "normal",
      accepted: [
        { index: 0, id: expect.any(String), encoding: "gsm7", parts: 1, cost: PRICE },
        { index: 1, id: expect.any(String), encoding: "gsm7", parts: 2, cost: 2 * PRICE },
        { index: 2, id: expect.any(String), encoding: "ucs2", parts: 1, cost: PRICE },
      ],
      rejected: [],
      cost: 4 * PRICE,
      currency: "IRR",
      balance_after: 100_000 - 4 * PRICE,
      status: "queued",
    } as never);
    const rows = await stored(customer);
    expect(rows.map(({ id }) => id)).toEqual(answer.accepted.map(({ id }) => id));
    expect(rows.map((row) => [row.phone, row.text, row.reference])).toEqual([
      ["+989121234567", "one", "r-1"],
      ["+989121234568", "x".repeat(200), null],
      ["+989121234569", "سلام", null],
    ]);
    const terms = await db.pool.query(
      "SELECT DISTINCT sender, TIMESTAMPDIFF(SECOND, created_at, valid_until) AS s FROM messages " +
        "WHERE customer_id=?",
      [customer.customerId],
    );
    expect(terms).toEqual([{ sender: "Sluice", s: 60 }]);
    expect(await walletOf(customer)).toEqual({ left: 100_000 - 4 * PRICE, reserved: 4 * PRICE });
  });

  test("goes by the express lane at its price, with one time by which operators have taken all of it", async () => {
    const customer = await makeCustomer(db.config, 100_000);
    const answer = await accepted(customer, { messages: messages(3), type: "express" });
    expect([answer.type, answer.cost]).toEqual(["express", 3 * 700]);
    const latest = await db.pool.query(
      "SELECT CAST(UNIX_TIMESTAMP(MAX(guaranteed_by))*1000 AS SIGNED) AS ms FROM messages " +
        "WHERE customer_id=?",
      [customer.customerId],
    );
    expect(latest).toEqual([{ ms: Date.parse(answer.guaranteed_by as string) }]);
  });

  test("may be a thousand messages, whose outbox rows stay as small as any", async () => {
    const customer = await makeCustomer(db.config, 1_000_000);
    const answer = await accepted(customer, { messages: messages(BATCH_MESSAGES_MAX) });
    expect(answer.accepted.map(({ index }) => index)).toEqual(Array.from({ length: 1_000 }, (_, n) => n));
    const rows = await stored(customer);
    expect(rows.map(({ text }) => text)).toEqual(messages(BATCH_MESSAGES_MAX).map(({ text }) => text));
    expect(await walletOf(customer)).toEqual({ left: 500_000, reserved: 500_000 });
    const outbox = await db.pool.query("SELECT id FROM outbox WHERE lane='normal'");
    expect(outbox).toHaveLength(Math.ceil(BATCH_MESSAGES_MAX / COMMIT_ROWS_MAX));
  });

  test("may be larger than what its customer's lease holds, and spends the wallet to the last unit", async () => {
    const customer = await makeCustomer(db.config, 301 * PRICE);
    await accepted(customer, { messages: messages(1) });
    const answer = await accepted(customer, { messages: messages(300) });
    expect(answer.accepted).toHaveLength(300);
    expect(await walletOf(customer)).toEqual({ left: 0, reserved: 301 * PRICE });
    expect(await refused(customer, { messages: messages(1) }, 402)).toMatchObject({ balance: 0 });
  });
});

describe("one text for many phones", () => {
  const phones = [phone(1), "12", phone(2), phone(3)];

  test("goes to each of them as it is, if there are no parameters", async () => {
    const customer = await makeCustomer(db.config, 100_000);
    const answer = await accepted(customer, { phones, text: "Hi {name}", parameters: null });
    expect(answer.accepted.map(({ index }) => index)).toEqual([0, 2, 3]);
    expect(answer.rejected.map(({ index, code }) => [index, code])).toEqual([[1, "validation_failed"]]);
    expect((await stored(customer)).map(({ text }) => text)).toEqual(["Hi {name}", "Hi {name}", "Hi {name}"]);
  });

  test("is filled for each; a phone whose parameters are missing or unknown is rejected alone", async () => {
    const customer = await makeCustomer(db.config, 100_000);
    const answer = await accepted(customer, {
      phones: [phone(1), phone(2), phone(3), phone(4)],
      text: "Hi {name}, {name}: {amount}",
      parameters: [
        { name: "Ali", amount: "5" },
        { name: "Sara" },
        { name: "Reza", amount: "6", odd: "x" },
        { name: "", amount: "{name}" },
      ],
    });
    expect((await stored(customer)).map(({ text }) => text)).toEqual(["Hi Ali, Ali: 5", "Hi , : {name}"]);
    expect(answer.accepted.map(({ index }) => index)).toEqual([0, 3]);
    expect(answer.rejected).toEqual([
      { index: 1, code: "validation_failed", detail: "parameters.amount is missing." },
      { index: 2, code: "validation_failed", detail: "parameters.odd is not a parameter of the text." },
    ]);
  });
});

describe("what is rejected", () => {
  test("does not keep the others: bad phones, texts and references, each with its place and reason", async () => {
    const customer = await makeCustomer(db.config, 100_000);
    const good = { phone: phone(1), text: "hello" };
    const answer = await accepted(customer, {
      messages: [
        { ...good, phone: "" },
        good,
        { ...good, text: "" },
        { ...good, text: "x".repeat(2_000) },
        { ...good, reference: "" },
        { ...good, reference: "r".repeat(REFERENCE_CHARS_MAX + 1) },
        { ...good, reference: "same" },
        { ...good, reference: "same" },
        { ...good, reference: "😀".repeat(REFERENCE_CHARS_MAX) },
      ],
    });
    expect(answer.accepted.map(({ index }) => index)).toEqual([1, 6, 8]);
    expect(answer.rejected.map(({ index, detail }) => [index, detail.split(" ")[0]])).toEqual([
      [0, "phone"],
      [2, "text"],
      [3, "text"],
      [4, "reference"],
      [5, "reference"],
      [7, "reference"],
    ]);
    expect(answer.rejected[5]?.detail).toBe("reference is that of message 6 of this batch.");
    expect(await walletOf(customer)).toEqual({ left: 100_000 - 3 * PRICE, reserved: 3 * PRICE });
  });

  test("is everything: 422 with the fields, and nothing is stored", async () => {
    const customer = await makeCustomer(db.config, 100_000);
    const bad = await refused(customer, { messages: [{ phone: "1", text: "" }] }, 422);
    expect([bad.code, fieldsOf(bad)]).toEqual(["validation_failed", ["messages.0.phone", "messages.0.text"]]);
    const phones = await refused(customer, { phones: ["1"], text: "{a}", parameters: [{}] }, 422);
    expect(fieldsOf(phones)).toEqual(["parameters.0.a", "phones.0"]);
    const many = await refused(customer, { messages: messages(BATCH_MESSAGES_MAX, { phone: "1" }) }, 422);
    expect(many.errors).toHaveLength(FIELD_ERRORS_MAX);
    expect(await stored(customer)).toEqual([]);
  });
});

describe("what is refused as a whole", () => {
  const one = messages(1);
  const cases: [what: string, body: object, fields: string[]][] = [
    ["no messages", { messages: [] }, ["messages"]],
    ["1,001 messages", { messages: messages(BATCH_MESSAGES_MAX + 1) }, ["messages"]],
    ["neither form", {}, ["messages"]],
    ["both forms", { messages: one, phones: [phone(1)], text: "x" }, ["phones", "text"]],
    ["phones without text", { phones: [phone(1)] }, ["text"]],
    ["too few parameters", { phones: [phone(1), phone(2)], text: "x", parameters: [{}] }, ["parameters"]],
    ["parameters of messages", { messages: one, parameters: [{}] }, ["parameters"]],
    ["an unknown field", { messages: one, foo: 1 }, ["foo"]],
    ["a message without a phone", { messages: [...one, { text: "x" }] }, ["messages.1.phone"]],
    ["null for the text of a message", { messages: [{ ...one[0], text: null }] }, ["messages.0.text"]],
    ["a bad from", { messages: one, from: "خ" }, ["from"]],
    ["a fallback of normal messages", { messages: one, fallback: "normal" }, ["fallback"]],
    ["a callback without a webhook", { messages: one, callback_url: "https://a.example" }, ["callback_url"]],
    ["a callback that isn't public", { messages: one, callback_url: "https://127.0.0.1" }, ["callback_url"]],
    ["partial that is no boolean", { messages: one, partial: "yes" }, ["partial"]],
  ];
  let customer: TestCustomer;
  beforeAll(async () => {
    customer = await makeCustomer(db.config, 1_000_000);
  });
  afterAll(async () => {
    expect(await stored(customer)).toEqual([]);
    expect(await walletOf(customer)).toEqual({ left: 1_000_000, reserved: 0 });
  });

  for (const [what, body, fields] of cases)
    test(what, async () => {
      const problem = await refused(customer, body, 422);
      expect([problem.code, fieldsOf(problem)]).toEqual(["validation_failed", fields]);
    });

  test("an unknown field of a message", async () => {
    const problem = await refused(customer, { messages: [...one, { ...one[0], foo: 1 }] }, 422);
    expect(fieldsOf(problem).every((field) => field.startsWith("messages.1"))).toBe(true);
  });

  test("a send_at that is no time, or long over", async () => {
    for (const send_at of ["tomorrow", "2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
      expect(fieldsOf(await refused(customer, { messages: one, send_at }, 422))).toEqual(["send_at"]);
  });

  test("one byte more than a body may have; the last byte is still read", async () => {
    const open = '{"messages":[],"partial":false';
    const padded = (bytes: number) => `${open}${" ".repeat(bytes - open.length - 1)}}`;
    expect(await refused(customer, padded(BATCH_BODY_BYTES_MAX), 422)).toMatchObject({
      code: "validation_failed",
    });
    expect(await refused(customer, padded(BATCH_BODY_BYTES_MAX + 1), 413)).toMatchObject({
      code: "payload_too_large",
    });
  });
});

describe("a wallet that can't pay for all", () => {
  test("a wallet that can't pay for all pays for none: 402, and nothing is stored", async () => {
    const customer = await makeCustomer(db.config, 10 * PRICE - 1);
    expect(await refused(customer, { messages: messages(10) }, 402)).toMatchObject({
      code: "insufficient_balance",
      required: 10 * PRICE,
      balance: 10 * PRICE - 1,
    });
    expect(await stored(customer)).toEqual([]);
    expect(await walletOf(customer)).toEqual({ left: 10 * PRICE - 1, reserved: 0 });
  });

  test("with partial the first ones that the wallet pays for are accepted, the others rejected", async () => {
    const customer = await makeCustomer(db.config, 4 * PRICE);
    const list = [
      { phone: phone(1), text: "1" },
      { phone: "1", text: "bad" },
      { phone: phone(2), text: "x".repeat(200) },
      { phone: phone(3), text: "x".repeat(200) },
      { phone: phone(4), text: "4" },
    ];
    const answer = await accepted(customer, { messages: list, partial: true });
    expect(answer.accepted.map(({ index }) => index)).toEqual([0, 2]);
    expect(answer.rejected.map(({ index, code }) => [index, code])).toEqual([
      [1, "validation_failed"],
      [3, "insufficient_balance"],
      [4, "insufficient_balance"],
    ]);
    expect([answer.cost, answer.balance_after]).toEqual([3 * PRICE, PRICE]);
    expect(await walletOf(customer)).toEqual({ left: PRICE, reserved: 3 * PRICE });
    expect(await refused(customer, { messages: list.slice(2, 3), partial: true }, 402)).toMatchObject({
      required: 2 * PRICE,
      balance: PRICE,
    });
    expect(await stored(customer)).toHaveLength(2);
  });

  test("many partial batches at once, on two processes, spend it exactly and not beyond", async () => {
    const customer = await makeCustomer(db.config, 205 * PRICE);
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        ask(customer, { messages: messages(20), partial: true }, n % 2 === 0 ? ingest : other),
      ),
    );
    let count = 0;
    for (const answer of answers) {
      expect([202, 402, 503]).toContain(answer.status);
      if (answer.status === 202) count += ((await answer.json()) as Batch).accepted.length;
    }
    expect(await stored(customer)).toHaveLength(count);
    expect(await walletOf(customer)).toEqual({ left: (205 - count) * PRICE, reserved: count * PRICE });
  }, 30_000);
});
