// Scheduled messages on real processes and engines: a message waits for its time without a row in the outbox,
// is sent then, and can be canceled or put off until then; nothing of it is lost when processes are killed.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { setSuspended } from "../../src/customers/customers.ts";
import { lookForMoved, lookForQueued } from "../../src/ledger/requeue.ts";
import { cancelScheduled, moveDue, moveResumed } from "../../src/ledger/schedule.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { reconcileBooks } from "../support/books.ts";
import { messages as batchOf, sendBatch } from "../support/batches.ts";
import { holdDeclared } from "../support/declared.ts";
import {
  type IngestProcess,
  makeCustomer,
  post,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { acceptMessages, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

const HOUR_MS = 3_600_000;
/** Such that a busy machine keeps it: what it can't keep is expired and refunded, as it should. */
const PROMISE_MS = 15_000;

let down: Downstream;
let pool: Pool;
let ingest: IngestProcess;
let customer: TestCustomer;
let relay: Role;

beforeAll(async () => {
  down = await createDownstream();
  pool = createPool(down.config, { connections: 4, multipleStatements: true });
  ingest = await startIngest(down.config, { expressPromiseMs: PROMISE_MS });
  customer = await makeCustomer(down.config, 1_000_000);
  await Promise.all(["A", "B", "C"].map((name) => down.startOperator(name as "A", "fast")));
  [relay] = await Promise.all([
    down.start("relay"),
    down.start("sender-normal"),
    down.start("sender-express"),
  ]);
}, 120_000);
afterAll(async () => {
  await ingest.end();
  await pool.end();
  await down.end();
});
afterEach(() => reconcileBooks(pool));

const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();
type Answer = Record<string, unknown> & { id: string; status: string; send_at: string };
async function send(fields: object): Promise<Answer> {
  const body = { phone: "+989121234567", text: "later", type: "normal", ...fields };
  const answer = await post(`${ingest.url}/v1/sms/send`, customer.apiKey, body);
  expect(answer.status).toBe(202);
  return (await answer.json()) as Answer;
}
async function ask(method: string, id: string, body?: unknown, by = customer) {
  const answer = await fetch(`${ingest.url}/v1/messages/${id}`, {
    method,
    headers: { "x-api-key": by.apiKey, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  const [type, { status }] = [answer.headers.get("content-type"), answer];
  holdDeclared(method, `/v1/messages/${id}`, { status, type, text });
  return { status, body: JSON.parse(text) as Record<string, unknown>, text };
}
const rowOf = async (id: string) =>
  (
    await pool.query<
      { status: string; sequence: number; waits: number; updated_at: Date; send_at: Date | null }[]
    >(
      "SELECT m.status, m.sequence, m.updated_at, m.send_at, COALESCE(s.moved = FALSE, FALSE) AS waits " +
        "FROM messages m LEFT JOIN scheduled_messages s ON s.message_id = m.id WHERE m.id = ?",
      [id],
    )
  )[0];
const untilStatus = (id: string, status: string) =>
  until(async () => (await rowOf(id))?.status === status, `${id} is ${status}`, 30_000, relay.log);
async function list(): Promise<Record<string, unknown>[]> {
  const headers = { "x-api-key": customer.apiKey };
  const answer = await fetch(`${ingest.url}/v1/messages?limit=1`, { headers });
  return ((await answer.json()) as { messages: Record<string, unknown>[] }).messages;
}
const left = async (): Promise<number> => {
  const answer = await fetch(`${ingest.url}/v1/wallet`, { headers: { "x-api-key": customer.apiKey } });
  return ((await answer.json()) as { available: number }).available;
};

test("a scheduled message is reserved at once, waits without an outbox row, and is queued within a second of its time", async () => {
  const before = await left();
  const sendAt = inMs(10_000); // time to look at it before, on a busy machine too
  const answer = await send({ send_at: sendAt, valid_for: 60 });
  expect(answer).toMatchObject({ status: "scheduled", send_at: sendAt });
  expect(await left()).toBe(before - 500);
  expect(await rowOf(answer.id)).toMatchObject({ status: "scheduled", sequence: 0, waits: 1 });
  expect(await pool.query("SELECT id FROM outbox WHERE lane='normal'")).toEqual([]);
  const [body = {}] = await list();
  expect(body).toMatchObject({ id: answer.id, status: "scheduled", send_at: sendAt, attempts: 0 });
  expect(Date.parse(body.valid_until as string)).toBe(Date.parse(sendAt) + 60_000);
  await until(
    async () => (await rowOf(answer.id))?.status !== "scheduled",
    "it is queued",
    30_000,
    relay.log,
  );
  const lateMs = Date.now() - Date.parse(sendAt);
  expect(lateMs).toBeGreaterThanOrEqual(0);
  expect(lateMs).toBeLessThan(1_000);
  await untilStatus(answer.id, "sent");
}, 120_000);

test("express is promised from its time on, and keeps that", async () => {
  const sendAt = inMs(1_500);
  const answer = await send({ type: "express", send_at: sendAt });
  expect(Date.parse(answer.guaranteed_by as string)).toBe(Date.parse(sendAt) + PROMISE_MS);
  await untilStatus(answer.id, "sent");
}, 120_000);

test("a time that was just reached means at once", async () => {
  const answer = await send({ send_at: inMs(-30_000) });
  expect(answer).toMatchObject({ status: "queued" });
  expect(answer.send_at).toBeUndefined();
});

test("a canceled message is refunded and never sent; a repeat gets the same answer, and a change comes too late", async () => {
  const before = await left();
  const { id } = await send({ send_at: inMs(HOUR_MS) });
  const canceled = await ask("DELETE", id);
  expect([canceled.status, canceled.body.status, canceled.body.attempts]).toEqual([200, "canceled", 0]);
  expect(await left()).toBe(before);
  expect((await ask("DELETE", id)).text).toBe(canceled.text);
  expect(await ask("PATCH", id, { send_at: inMs(HOUR_MS) })).toMatchObject({
    status: 409,
    body: { code: "not_scheduled", message_status: "canceled" },
  });
  expect((await rowOf(id))?.waits).toBe(0);
});

test("a message that is put off or brought forward is sent at the new time", async () => {
  const { id } = await send({ send_at: inMs(HOUR_MS), valid_for: 60 });
  const later = inMs(2 * HOUR_MS);
  const { status, body } = await ask("PATCH", id, { send_at: later });
  expect([status, body.send_at]).toEqual([200, later]);
  expect(Date.parse(body.valid_until as string)).toBe(Date.parse(later) + 60_000);
  expect((await ask("PATCH", id, { send_at: inMs(-1_000) })).status).toBe(200);
  await untilStatus(id, "sent");
  for (const [method, change] of [["DELETE"], ["PATCH", { send_at: later }]] as const)
    expect(await ask(method, id, change)).toMatchObject({ status: 409, body: { message_status: "sent" } });
}, 120_000);

test("what can't be changed is refused: another's message, one that doesn't exist, a time that is none", async () => {
  const other = await makeCustomer(down.config, 0);
  const { id } = await send({ send_at: inMs(HOUR_MS) });
  expect((await ask("DELETE", id, undefined, other)).status).toBe(404);
  expect((await ask("DELETE", "01M7YBCG2N0V4QK5A1T8P6WJ3D")).status).toBe(404);
  expect((await ask("DELETE", "x")).status).toBe(404);
  for (const send_at of ["soon", inMs(-90_000), inMs(31 * 24 * HOUR_MS), undefined])
    expect((await ask("PATCH", id, { send_at })).status).toBe(422);
  expect((await ask("PATCH", id, { send_at: inMs(HOUR_MS), text: "new" })).status).toBe(422);
  const reader = await makeCustomer(down.config, 0, { scopes: ["read"] });
  expect((await ask("DELETE", id, undefined, reader)).status).toBe(403);
  expect((await ask("DELETE", id)).status).toBe(200);
});

test("a batch is scheduled as a whole", async () => {
  const sendAt = inMs(1_200);
  const answer = await sendBatch(ingest, customer, { messages: batchOf(20), send_at: sendAt });
  const body = (await answer.json()) as { status: string; send_at: string; accepted: { id: string }[] };
  expect([answer.status, body.status, body.send_at]).toEqual([202, "scheduled", sendAt]);
  for (const { id } of body.accepted) await untilStatus(id, "sent");
}, 120_000);

test("what is due while no relay runs is sent when one is there again, once each, whichever relays move it", async () => {
  process.kill(relay.pid, "SIGSTOP");
  const ids: string[] = [];
  try {
    for (let n = 0; n < 40; n++) ids.push((await send({ send_at: inMs(200), reference: `late-${n}` })).id);
    await Bun.sleep(1_000);
    // Several at once, as several relays do it.
    const moved = await Promise.all([1, 2, 3].map(() => moveDue({ pool, now: Date.now }, "normal")));
    const all = moved.flatMap(({ records }) => records).map(({ id }) => id);
    expect(new Set(all).size).toBe(all.length);
    for (const id of ids) expect(["scheduled", "queued"]).toContain((await rowOf(id))?.status as string);
  } finally {
    process.kill(relay.pid, "SIGCONT");
  }
  for (const id of ids) await untilStatus(id, "sent");
  const taken = ["A", "B", "C"].flatMap((name) => down.received(name)).filter((id) => ids.includes(id));
  expect(taken.toSorted()).toEqual(ids.toSorted());
}, 120_000);

test("the sweep looks at scheduled messages from the moment at which they are queued, however old their ids are", async () => {
  const oldMs = Date.now() - 20 * 24 * HOUR_MS;
  const oldId = createIdFactory({ now: () => oldMs });
  const record = (fields: Partial<LaneRecord>) =>
    laneRecord(customer.customerId, { id: oldId(), createdAtMs: oldMs, lane: "express", ...fields });
  const waits = record({ sendAtMs: Date.now() + HOUR_MS });
  const lost = record({ sendAtMs: Date.now() - 1_000, guaranteedByMs: Date.now() + HOUR_MS });
  process.kill(relay.pid, "SIGSTOP");
  try {
    await acceptMessages(pool, [waits, lost]);
    const range = { from: waits.id, to: `${lost.id}!` };
    expect(await lookForQueued(pool, "express", range, Date.now())).toMatchObject({ queued: [], open: null });
    const { records } = await moveDue({ pool, now: Date.now }, "express");
    expect(records.map(({ id }) => id)).toEqual([lost.id]);
    await pool.query("DELETE FROM outbox WHERE lane='express'");
    expect((await lookForMoved(pool, "express", null, Date.now() - HOUR_MS)).queued).toEqual([]);
    await Bun.sleep(50);
    expect(await lookForMoved(pool, "express", null, Date.now())).toMatchObject({
      queued: [{ id: lost.id, attempt: 0 }],
      next: null,
    });
    // Once it has ended, nothing remembers it any more.
    await pool.query("UPDATE messages SET status='sent', operator='A', sequence=4 WHERE id=?", [lost.id]);
    expect((await lookForMoved(pool, "express", null, Date.now())).queued).toEqual([]);
    expect(await pool.query("SELECT 1 FROM scheduled_messages WHERE message_id=?", [lost.id])).toEqual([]);
    await pool.query("UPDATE messages SET status='queued', operator=NULL, sequence=1 WHERE id=?", [lost.id]);
  } finally {
    process.kill(relay.pid, "SIGCONT");
  }
  expect((await ask("DELETE", waits.id)).status).toBe(200);
}, 120_000);

describe("messages of a suspended customer", () => {
  const held = async (customerId: number) => {
    const [row] = await pool.query<{ n: number }[]>(
      "SELECT COUNT(*) AS n FROM scheduled_messages WHERE held_for=?",
      [customerId],
    );
    return Number(row?.n);
  };
  const sendOf = async (by: TestCustomer, fields: object): Promise<string> => {
    const body = { phone: "+989121234567", text: "later", type: "normal", ...fields };
    const answer = await post(`${ingest.url}/v1/sms/send`, by.apiKey, body);
    expect(answer.status).toBe(202);
    return ((await answer.json()) as Answer).id;
  };

  test("wait when they are due, in both lanes, and are queued within a second of the resumption; validity counts on", async () => {
    const by = await makeCustomer(down.config, 1_000_000);
    const sendAt = inMs(5_000); // time to accept all of them before, on a busy machine too
    const normal = await sendOf(by, { send_at: sendAt, valid_for: 60 });
    const express = await sendOf(by, { send_at: sendAt, type: "express" });
    const canceled = await sendOf(by, { send_at: sendAt });
    const later = await sendOf(by, { send_at: inMs(HOUR_MS) });
    await setSuspended(pool, by.customerId, true);
    const others = await send({ send_at: sendAt });
    await untilStatus(others.id, "sent");
    await until(async () => (await held(by.customerId)) === 3, "they are held", 30_000, relay.log);
    for (const id of [normal, express])
      expect(await rowOf(id)).toMatchObject({ status: "scheduled", waits: 1 });
    // Nobody can cancel it through the API now, but it may have been asked for before.
    const isGone = () => false;
    const deps = { pool, now: Date.now };
    await cancelScheduled(deps, { customerId: by.customerId, id: canceled, isGone });
    await Bun.sleep(PROMISE_MS + 1_000); // express is over now
    await setSuspended(pool, by.customerId, false);
    const resumedMs = Date.now();
    await until(async () => (await rowOf(normal))?.status !== "scheduled", "it is queued", 5_000, relay.log);
    expect(Date.now() - resumedMs).toBeLessThan(1_000);
    await untilStatus(normal, "sent");
    await untilStatus(express, "expired");
    expect((await rowOf(canceled))?.status).toBe("canceled");
    expect(await rowOf(later)).toMatchObject({ status: "scheduled", waits: 1 });
    const resumed = "SELECT 1 FROM resumed_customers WHERE customer_id=?";
    await until(
      async () => (await pool.query(resumed, [by.customerId])).length === 0,
      "the resumption is done with",
      30_000,
      relay.log,
    );
    expect(await held(by.customerId)).toBe(0);
    const valid = await pool.query<{ valid_until: Date }[]>("SELECT valid_until FROM messages WHERE id=?", [
      normal,
    ]);
    expect(valid[0]?.valid_until.getTime()).toBe(Date.parse(sendAt) + 60_000);
  }, 240_000);

  test("do not stand in the way of what others have due, however many they are", async () => {
    const by = await makeCustomer(down.config, 10_000_000);
    const dueMs = Date.now() - 60_000;
    const ids = createIdFactory({ now: Date.now });
    const many = (count: number): LaneRecord[] =>
      Array.from({ length: count }, () =>
        laneRecord(by.customerId, { id: ids(), lane: "normal", sendAtMs: dueMs }),
      );
    process.kill(relay.pid, "SIGSTOP");
    try {
      await setSuspended(pool, by.customerId, true);
      for (let n = 0; n < 5; n++) await acceptMessages(pool, many(150));
      const other = laneRecord(customer.customerId, { id: ids(), lane: "normal", sendAtMs: dueMs + 1_000 });
      await acceptMessages(pool, [other]);
      const deps = { pool, now: Date.now };
      const looks: number[] = [];
      let records: LaneRecord[] = [];
      while (records.length === 0 && looks.length < 10) {
        const look = await moveDue(deps, "normal");
        looks.push(look.found);
        records = look.records;
      }
      expect(records.map(({ id }) => id)).toEqual([other.id]);
      expect(looks).toEqual([200, 200, 200, 151]);
      expect(await held(by.customerId)).toBe(750);
      // Looks pass over them from now on.
      expect(await moveDue(deps, "normal")).toEqual({ records: [], found: 0 });
      const explained = await pool.query<{ rows: number; Extra: string | null }[]>(
        "EXPLAIN SELECT message_id FROM scheduled_messages FORCE INDEX (due) WHERE lane='normal' " +
          "AND moved=FALSE AND held_for=0 AND run_at<=NOW(3) ORDER BY run_at, message_id LIMIT 200",
      );
      expect(explained[0]?.Extra ?? "").not.toContain("filesort");
      // Suspended again before all were moved: the rest stays.
      await setSuspended(pool, by.customerId, false);
      expect((await moveResumed(deps, "normal", 0)).records).toHaveLength(200);
      await setSuspended(pool, by.customerId, true);
      expect(await moveResumed(deps, "normal", 0)).toEqual({ customerId: by.customerId, records: [] });
      expect(await moveResumed(deps, "normal", 0)).toEqual({ customerId: null, records: [] });
      expect(await held(by.customerId)).toBe(550);
      await setSuspended(pool, by.customerId, false);
    } finally {
      process.kill(relay.pid, "SIGCONT");
    }
    await until(async () => (await held(by.customerId)) === 0, "all are moved", 30_000, relay.log);
    const open = "SELECT 1 FROM messages WHERE customer_id=? AND status<>'sent' LIMIT 1";
    await until(
      async () => (await pool.query(open, [by.customerId])).length === 0,
      "all are sent",
      30_000,
      relay.log,
    );
  }, 120_000);
});
