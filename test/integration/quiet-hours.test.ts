// Quiet hours and sender ids on a real ingest process and MySQL: what waits until when, at what price, and
// what the answers say of it; within 2 s after they were set.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import type { QuietRule } from "../../src/core/quiet-hours.ts";
import { clearQuiet, setQuiet } from "../../src/customers/quiet-hours.ts";
import { allowSenders, clearSenders } from "../../src/customers/senders.ts";
import { moveDue } from "../../src/ledger/schedule.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { reconcileBooks } from "../support/books.ts";
import { type Api, fieldsOf, refused, startApi } from "../support/refusals.ts";
import { until } from "../support/roles.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const QUIET = "+989121234567";
const AWAKE = "+447400123456";

let api: Api;
let pool: Pool;
/** When the quiet hours end that hold now, and last for more than two hours. */
let endMs = 0;

beforeAll(async () => {
  api = await startApi();
  pool = createPool(api.db.config, { connections: 2, multipleStatements: true });
  const minute = Math.floor(Date.now() / MINUTE_MS);
  const untilMinute = minute + 150;
  endMs = untilMinute * MINUTE_MS;
  const ofDay = (n: number) => ((n % 1_440) + 1_440) % 1_440;
  const rule: QuietRule = {
    prefix: "98",
    fromMin: ofDay(minute - 60),
    untilMin: ofDay(untilMinute),
    zone: "UTC",
  };
  await setQuiet(pool, api.customer.customerId, rule);
  await until(
    async () => (await previewed({})).send_at !== null,
    "quiet hours are known",
    4_000,
    api.ingest.log,
  );
}, 120_000);
afterEach(async () => {
  await reconcileBooks(pool);
  // No relay runs here: what stays in the outbox would make the express lane look slow.
  await pool.query("DELETE FROM outbox");
});
afterAll(async () => {
  await pool.end();
  await api.stop();
});

const body = (fields: object) => ({ phone: QUIET, text: "hello", type: "normal", ...fields });
const at = (ms: number) => new Date(ms).toISOString();
/** The answer's body; its status, if it has none of its own. */
async function ask(path: string, given: unknown, method = "POST"): Promise<Record<string, unknown>> {
  const init = given === undefined ? { method } : { method, body: JSON.stringify(given) };
  const { status, text } = await api.ask(path, init);
  return { status, ...(JSON.parse(text) as Record<string, unknown>) };
}
const previewed = (fields: object) => ask("/v1/sms/preview", body(fields));
const sent = (fields: object) => ask("/v1/sms/send", body(fields));
const rowOf = async (id: unknown) =>
  (
    await pool.query<Record<string, unknown>[]>(
      "SELECT status, send_at, valid_until FROM messages WHERE id=?",
      [id],
    )
  )[0];
const available = async () => Number((await ask("/v1/wallet", undefined, "GET")).available);

test("a normal message waits for the end of quiet hours: charged now, told when, and cancelable", async () => {
  const before = await available();
  const answer = await sent({});
  expect(answer).toMatchObject({ status: "scheduled", send_at: at(endMs), cost: 500 });
  expect(await available()).toBe(before - 500);
  expect(await rowOf(answer.id)).toMatchObject({ status: "scheduled", send_at: new Date(endMs) });
  expect(await pool.query("SELECT run_at FROM scheduled_messages WHERE message_id=?", [answer.id])).toEqual([
    { run_at: new Date(endMs) },
  ]);
  expect(await ask(`/v1/messages/${String(answer.id)}`, undefined, "DELETE")).toMatchObject({
    status: "canceled",
  });
  expect(await available()).toBe(before);
});

test("express, other phones and later times are not held; a time within quiet hours means their end", async () => {
  expect(await sent({ type: "express" })).toMatchObject({ status: "queued" });
  expect(await sent({ phone: AWAKE })).toMatchObject({ status: "queued" });
  const later = at(endMs + HOUR_MS);
  expect(await sent({ send_at: later })).toMatchObject({ status: "scheduled", send_at: later });
  expect(await sent({ send_at: at(endMs - HOUR_MS) })).toMatchObject({ send_at: at(endMs) });
  const express = at(endMs - HOUR_MS);
  expect(await sent({ type: "express", send_at: express })).toMatchObject({ send_at: express });
});

test("a message is valid until it would have been; one whose time is over by then is refused, and can be express", async () => {
  const answer = await sent({ valid_for: 4 * 3_600 });
  const validUntil = (await rowOf(answer.id))?.valid_until as Date;
  expect(Math.abs(validUntil.getTime() - Date.now() - 4 * HOUR_MS)).toBeLessThan(20_000);
  const short = await api.send(body({ valid_for: 3_600 }));
  const problem = refused(short, "validation_failed");
  expect(problem.errors).toEqual([
    {
      field: "valid_for",
      reason: `must last 60 s beyond the recipient's quiet hours, which end at ${at(endMs)}`,
    },
  ]);
  expect((await sent({ valid_for: 3_600, type: "express" })).status).toBe("queued");
});

test("a preview says when a send would be sent", async () => {
  expect((await previewed({})).send_at).toBe(at(endMs));
  expect((await previewed({ type: "express" })).send_at).toBeNull();
  expect((await previewed({ phone: AWAKE })).send_at).toBeNull();
});

test("of a batch those wait that have to, and each says so", async () => {
  const messages = [QUIET, AWAKE].map((phone) => ({ phone, text: "hello" }));
  const both = await ask("/v1/sms/batches", { messages });
  expect(both).toMatchObject({ status: "queued", accepted: [{ send_at: at(endMs) }, { index: 1 }] });
  expect(both.send_at).toBeUndefined();
  expect((both.accepted as object[])[1]).not.toHaveProperty("send_at");
  const all = await ask("/v1/sms/batches", { phones: [QUIET, QUIET], text: "hello" });
  expect(all).toMatchObject({ status: "scheduled", send_at: at(endMs) });
  expect((all.accepted as object[])[0]).not.toHaveProperty("send_at");
  const short = await ask("/v1/sms/batches", { messages, valid_for: 60 });
  expect(short).toMatchObject({
    accepted: [{ index: 1 }],
    rejected: [{ index: 0, code: "validation_failed" }],
  });
  const none = await ask("/v1/sms/batches", { messages: messages.slice(0, 1), valid_for: 60 });
  expect(none).toMatchObject({ code: "validation_failed", errors: [{ field: "valid_for" }] });
  const lines = messages.map((one) => JSON.stringify(one)).join("\n");
  const headers = { "content-type": "application/x-ndjson" };
  const { text } = await api.ask("/v1/sms/batches", { method: "POST", body: lines, headers });
  const results = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { send_at?: string });
  expect(results.map(({ send_at }) => send_at)).toEqual([at(endMs), undefined]);
});

test("a change to a time within quiet hours means their end; without them what waited can be sent at once, once", async () => {
  const { id } = await sent({ send_at: at(endMs + HOUR_MS) });
  const change = (ms: number) => ask(`/v1/messages/${String(id)}`, { send_at: at(ms) }, "PATCH");
  expect((await change(endMs - HOUR_MS)).send_at).toBe(at(endMs));
  expect((await moveDue({ pool, now: Date.now }, "normal")).records.map((one) => one.id)).toEqual([]);
  const { customerId } = api.customer;
  const [rule] = await clearQuiet(pool, customerId, null);
  expect(rule).toBeUndefined();
  await until(async () => (await previewed({})).send_at === null, "they are cleared", 4_000, api.ingest.log);
  expect((await change(Date.now())).status).toBe("scheduled");
  expect((await moveDue({ pool, now: Date.now }, "normal")).records.map((one) => one.id)).toEqual([
    String(id),
  ]);
  expect(await rowOf(id)).toMatchObject({ status: "queued" });
}, 120_000);

test("a customer with a list of sender ids may use only these, in sends, batches and previews", async () => {
  const { customerId } = api.customer;
  expect((await sent({ from: "Other" })).status).not.toBe(422);
  await allowSenders(pool, customerId, ["Acme", "+98300045"]);
  const isKnown = async () => (await previewed({ from: "Other" })).code === "validation_failed";
  await until(isKnown, "the list is known", 4_000, api.ingest.log);
  const problem = refused(await api.send(body({ from: "Other" })), "validation_failed");
  expect(problem.errors).toEqual([
    { field: "from", reason: "is none of the sender ids that the customer may use" },
  ]);
  const batch = await api.ask("/v1/sms/batches", {
    method: "POST",
    body: JSON.stringify({ phones: [QUIET], text: "hello", from: "Other" }),
  });
  expect(fieldsOf(refused(batch, "validation_failed"))).toEqual(["from"]);
  for (const from of ["Acme", "98300045", "+98300045", undefined])
    expect((await sent({ from })).code).toBeUndefined();
  await clearSenders(pool, customerId);
  await until(async () => !(await isKnown()), "the list is gone", 4_000, api.ingest.log);
}, 120_000);
