// Webhooks on MySQL, from a status change to its delivery and back to pending: what is written with a change,
// who works on which endpoint, and what becomes of deliveries. The calls themselves: webhook.test.ts.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { ALL_STATUSES, maskOf } from "../../src/core/callback.ts";
import { createIdFactory, ulidTimeMs } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { WEBHOOK_BODY_CHARS_MAX, WEBHOOK_ORIGINS_MAX } from "../../src/core/webhook-limits.ts";
import { sequenceOf, type Status } from "../../src/core/message.ts";
import { type ChangeEvent, packWebhookEvents, unpackWebhookEvents } from "../../src/core/webhook-event.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { listLetters } from "../../src/ledger/dead-letters.ts";
import { requeueLetter } from "../../src/ledger/requeue-letter.ts";
import { requeue } from "../../src/ledger/requeue.ts";
import { settleClaim } from "../../src/ledger/settle.ts";
import { settleReported } from "../../src/ledger/settle-reports.ts";
import { type CallOutcome, dueDeliveries, takeEvents } from "../../src/ledger/webhook-deliveries.ts";
import {
  type ClaimedEndpoint,
  claimEndpoints,
  countEndpoints,
  type Worked,
} from "../../src/ledger/webhook-endpoints.ts";
import { replayMany, replayOne } from "../../src/ledger/webhook-replay.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { changeOf, type Outcome } from "../../src/sender/outcome.ts";
import { settleWork } from "../../src/webhook/settle.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

const id = createIdFactory({ now: Date.now });
const OWN = { url: null, statuses: ALL_STATUSES };
let db: TestDatabase;
let pool: Pool;
let customerId: number;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 8, multipleStatements: true });
});
beforeEach(async () => {
  for (const table of ["webhook_events", "webhook_deliveries", "webhook_endpoints", "dead_letters"])
    await pool.query(`DELETE FROM ${table}`);
  customerId = await insertCustomer(pool, 1_000_000);
});
afterAll(async () => {
  await reconcileBooks(pool);
  await pool.end();
  await db.drop();
});

async function accepted(fields: Partial<LaneRecord> = {}): Promise<LaneRecord> {
  const record = laneRecord(customerId, { callback: OWN, ...fields });
  await acceptMessages(pool, [record]);
  return record;
}
async function submitted(record: LaneRecord, outcome: Outcome): Promise<void> {
  const [claimId, nowMs] = [id(), Date.now()];
  await claimMessages(pool, { claimId, lane: record.lane, records: [record], nowMs });
  const changes = [changeOf(record, outcome, { nowMs, jitter: 0 })];
  await settleClaim({ pool, id }, { claimId, lane: record.lane, changes, idsLeft: [], nowMs });
}
const taken = (): Outcome => ({
  kind: "accepted",
  operator: "A",
  operatorMessageIds: ["a-1"],
  atMs: Date.now(),
});
async function reported({ id: messageId }: LaneRecord, status: "delivered" | "undelivered"): Promise<void> {
  await pool.transaction((conn) =>
    settleReported(
      conn,
      [
        {
          messageId,
          part: 0,
          submits: 1,
          isOnly: false,
          operator: "A",
          operatorMessageId: "a-1",
          receivedAtMs: Date.now(),
          status,
          error: status === "delivered" ? null : "other (001)",
          doneAtMs: null,
        },
      ],
      { nowMs: Date.now(), endOf: () => null },
    ),
  );
}
type Row = {
  event_id: string;
  endpoint: string;
  message_id: string;
  sequence: number;
  status: Status;
  body: string;
  state: string;
  attempts: number;
  code: number | null;
  error: string | null;
};
const deliveries = () => pool.query<Row[]>("SELECT * FROM webhook_deliveries ORDER BY event_id, sequence");
const told = async () => {
  await takeEvents(pool, 100);
  return (await deliveries()).map(({ message_id, sequence, status }) => [message_id, sequence, status]);
};
const endpoints = () =>
  pool.query<{ endpoint: string; state: string; failures: number; due: 0 | 1; lease: string | null }[]>(
    "SELECT endpoint, state, failures, COALESCE(run_at <= NOW(3), 0) AS due, lease FROM webhook_endpoints " +
      "ORDER BY endpoint",
  );
type OutcomeOf = (eventId: string) => Omit<CallOutcome, "eventId" | "giveUpAtMs">;
/** Works on all that is due, with this outcome of each call. */
async function work(outcomeOf: OutcomeOf, fields: Partial<Worked> = {}) {
  const lease = id();
  const claimed = await claimEndpoints(pool, lease, { quick: 10, slow: 10 });
  const wanted = claimed.map((one) => ({ ...one, limit: one.state === "active" ? 100 : 0 }));
  const due = await dueDeliveries(pool, wanted);
  const works = claimed.map((endpoint, at) => {
    const outcomes = (due[at] ?? []).map(({ eventId, giveUpAtMs }) => ({
      eventId,
      giveUpAtMs,
      ...outcomeOf(eventId),
    }));
    const succeeded = outcomes.filter(({ state }) => state === "delivered").length;
    const failed = outcomes.length - succeeded;
    const none = { isGone: false, isSlow: null, url: null, error: failed === 0 ? null : "answered 500" };
    const worked: Worked = { ...endpoint, lease, succeeded, failed, ...none, ...fields };
    return { worked, outcomes };
  });
  return settleWork(pool, works, () => 0);
}
const acknowledged = () => ({ state: "delivered", code: 200, error: null, delayMs: 0 }) as const;
const refused = () => ({ state: "pending", code: 500, error: "answered 500", delayMs: 60_000 }) as const;

test("each status change is told once, under its sequence, whoever makes it", async () => {
  const record = await accepted({ reference: "order-1" });
  await submitted(record, { kind: "refused", permanent: false, reason: "A: busy" });
  await submitted({ ...record, attempt: 1 }, taken());
  await reported(record, "undelivered");
  const lost = await accepted();
  await requeue(pool, [{ id: lost.id, attempt: 0 }], Date.now());
  expect(await told()).toEqual([
    [record.id, sequenceOf(0, "queued"), "queued"],
    [record.id, sequenceOf(1, "queued"), "queued"],
    [record.id, sequenceOf(1, "sent"), "sent"],
    [record.id, sequenceOf(1, "undelivered"), "undelivered"],
    [lost.id, sequenceOf(0, "queued"), "queued"],
    [lost.id, sequenceOf(1, "queued"), "queued"],
  ]);
  const bodies = (await deliveries()).map(({ body }) => (JSON.parse(body) as { data: object }).data);
  expect(bodies[1]).toMatchObject({ last_error: "A: busy", reference: "order-1", operator: null });
  expect(bodies[3]).toMatchObject({ last_error: "other (001)", operator: "A", status: "undelivered" });
});

test("only the statuses that were wanted are told, and nothing of a message that nobody wants to hear of", async () => {
  const some = await accepted({ callback: { url: null, statuses: maskOf(["sent", "delivered"]) } });
  const none = laneRecord(customerId);
  await acceptMessages(pool, [none]);
  for (const record of [some, none]) {
    await submitted(record, taken());
    await reported(record, "delivered");
  }
  expect((await told()).map(([message, , status]) => [message, status])).toEqual([
    [some.id, "sent"],
    [some.id, "delivered"],
  ]);
  const [row] = await pool.query("SELECT callback_statuses, callback_url FROM messages WHERE id=?", [
    none.id,
  ]);
  expect(row).toEqual({ callback_statuses: null, callback_url: null });
});

test("a transaction that is rolled back tells nothing", async () => {
  const record = await accepted();
  await submitted(record, taken());
  const before = await told();
  await pool
    .transaction(async (conn) => {
      const submit = { part: 0, submits: 1, isOnly: false, operator: "A", operatorMessageId: "a-1" };
      const end = { messageId: record.id, ...submit };
      const how = { receivedAtMs: Date.now(), status: "delivered", error: null, doneAtMs: null } as const;
      await settleReported(conn, [{ ...end, ...how }], { nowMs: Date.now(), endOf: () => null });
      throw new Error("killed");
    })
    .catch(() => undefined);
  expect(await told()).toEqual(before);
});

test("an event's id carries when it occurred, and is the same however often it is taken", async () => {
  const record = await accepted();
  const [row] = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM webhook_events");
  await takeEvents(pool, 1);
  const [first] = await deliveries();
  expect(ulidTimeMs(first?.event_id ?? "")).toBe(record.createdAtMs);
  await pool.query("INSERT INTO webhook_events (payload) VALUES (?)", [row?.payload]);
  await takeEvents(pool, 1);
  expect(await deliveries()).toEqual([first as Row]);
});

test("two processes share the events: each becomes one delivery", async () => {
  for (let n = 0; n < 30; n++) await accepted();
  const both = await Promise.all([takeEvents(pool, 20), takeEvents(pool, 20), takeEvents(pool, 20)]);
  expect(both.reduce((sum, { events }) => sum + events, 0)).toBe(30);
  expect(await deliveries()).toHaveLength(30);
  expect(await pool.query("SELECT id FROM webhook_events")).toEqual([]);
});

test("events that can't be read become dead letters as they came, and hold up nothing; mended, they are told", async () => {
  const record = await accepted();
  const [row] = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM webhook_events");
  const [event] = unpackWebhookEvents(row?.payload as Buffer) as [ChangeEvent];
  await pool.query("DELETE FROM webhook_events");
  const poison = [Buffer.of(0, 255), packWebhookEvents([{ ...event, url: "no URL" }])];
  for (const payload of [...poison, row?.payload])
    await pool.query("INSERT INTO webhook_events (payload) VALUES (?)", [payload]);
  const { rows, events, unread } = await takeEvents(pool, 10);
  expect([rows, events, unread.length]).toEqual([3, 1, 2]);
  expect(await takeEvents(pool, 10)).toMatchObject({ rows: 0 });
  expect(await deliveries()).toMatchObject([{ message_id: record.id }]);
  const kept = await pool.query<{ id: number; source: string; place: string; payload: Buffer }[]>(
    "SELECT id, source, place, payload FROM dead_letters ORDER BY id",
  );
  expect(kept.map(({ source, payload }) => [source, payload])).toEqual(
    poison.map((each) => ["webhook", each]),
  );
  expect(unread[0]).toStartWith(`${kept[0]?.place}: `);

  // Not what nobody can read; what can be goes back, and the same change stays one delivery.
  expect(await requeueLetter(pool, kept[0]?.id ?? 0)).toMatchObject({ kind: "unreadable" });
  await pool.query("UPDATE dead_letters SET payload=? WHERE id=?", [row?.payload, kept[1]?.id]);
  expect(await requeueLetter(pool, kept[1]?.id ?? 0)).toMatchObject({
    kind: "requeued",
    into: "webhook_events",
  });
  expect(await takeEvents(pool, 10)).toMatchObject({ rows: 1, events: 1, unread: [] });
  expect(await deliveries()).toHaveLength(1);
  expect(await listLetters(pool, { source: "webhook", limit: 10 })).toHaveLength(1);
});

test("a row whose body doesn't fit holds up nothing", async () => {
  const record = await accepted();
  const [row] = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM webhook_events");
  const [event] = unpackWebhookEvents(row?.payload as Buffer) as [ChangeEvent];
  const long = packWebhookEvents([{ ...event, reference: "\u0001".repeat(WEBHOOK_BODY_CHARS_MAX / 6) }]);
  await pool.query("UPDATE webhook_events SET payload=?; INSERT INTO webhook_events (payload) VALUES (?)", [
    long,
    row?.payload,
  ]);
  expect(await takeEvents(pool, 10)).toMatchObject({ rows: 2, events: 1, unread: [expect.any(String)] });
  expect(await deliveries()).toMatchObject([{ message_id: record.id }]);
});

test("one process at a time works on an endpoint, which is due again if something came meanwhile", async () => {
  await accepted();
  await takeEvents(pool, 10);
  const lease = id();
  const [mine] = await claimEndpoints(pool, lease, { quick: 10, slow: 10 });
  expect(mine).toMatchObject({ customerId, endpoint: "", state: "active" });
  expect(await claimEndpoints(pool, id(), { quick: 10, slow: 10 })).toEqual([]);
  const [due] = await dueDeliveries(pool, [mine as ClaimedEndpoint]);
  await accepted(); // its event comes while the call is under way
  await takeEvents(pool, 10);
  expect(await claimEndpoints(pool, id(), { quick: 10, slow: 10 })).toEqual([]);
  const worked = { succeeded: 1, failed: 0, isGone: false, isSlow: false, url: null, error: null };
  const outcomes = (due ?? []).map(({ eventId, giveUpAtMs }) => ({ eventId, giveUpAtMs, ...acknowledged() }));
  const done = { worked: { customerId, endpoint: "", lease, ...worked }, outcomes };
  await settleWork(pool, [done], () => 0);
  expect(await endpoints()).toMatchObject([{ due: 1, lease: null }]);
  await work(acknowledged);
  expect((await deliveries()).map(({ state }) => state)).toEqual(["delivered", "delivered"]);
  expect(await endpoints()).toMatchObject([{ due: 0 }]);
});

test("a lease that was lost changes no endpoint, but what was delivered stays delivered", async () => {
  await accepted();
  await takeEvents(pool, 10);
  const slept = id();
  const [mine] = await claimEndpoints(pool, slept, { quick: 10, slow: 10 });
  const [due] = await dueDeliveries(pool, [mine as ClaimedEndpoint]);
  await pool.query("UPDATE webhook_endpoints SET run_at=NOW(3) - INTERVAL 1 SECOND"); // its time is over
  const other = id();
  expect(await claimEndpoints(pool, other, { quick: 10, slow: 10 })).toHaveLength(1);
  const worked = { succeeded: 1, failed: 0, isGone: false, isSlow: null, url: null, error: null };
  const outcomes = (due ?? []).map(({ eventId, giveUpAtMs }) => ({ eventId, giveUpAtMs, ...acknowledged() }));
  const late = { worked: { customerId, endpoint: "", lease: slept, ...worked }, outcomes };
  await settleWork(pool, [late], () => 0);
  expect(await endpoints()).toMatchObject([{ lease: other }]);
  expect(await deliveries()).toMatchObject([{ state: "delivered", attempts: 1 }]);
});

test("a failed delivery waits, and a success of another one doesn't hasten it", async () => {
  const [first, second] = [await accepted(), await accepted()];
  await takeEvents(pool, 10);
  const failing = (await deliveries()).find(({ message_id }) => message_id === first.id)?.event_id;
  await work((eventId) => (eventId === failing ? refused() : acknowledged()));
  const states = new Map((await deliveries()).map(({ message_id, state }) => [message_id, state]));
  expect([states.get(first.id), states.get(second.id)]).toEqual(["pending", "delivered"]);
  expect(await endpoints()).toMatchObject([{ due: 0, failures: 1 }]);
  expect(await claimEndpoints(pool, id(), { quick: 10, slow: 10 })).toEqual([]);
});

test("an endpoint at which nothing succeeded for 24 h is paused, and all that is pending becomes failed", async () => {
  for (let n = 0; n < 12; n++) await accepted();
  await takeEvents(pool, 100);
  await work(refused);
  expect(await endpoints()).toMatchObject([{ state: "active", failures: 12 }]);
  await pool.query("UPDATE webhook_deliveries SET run_at=NOW(3); UPDATE webhook_endpoints SET run_at=NOW(3)");
  await pool.query("UPDATE webhook_endpoints SET failing_since=NOW(3) - INTERVAL 23 HOUR");
  expect(await work(refused)).toEqual([]);
  await pool.query("UPDATE webhook_deliveries SET run_at=NOW(3); UPDATE webhook_endpoints SET run_at=NOW(3)");
  await pool.query("UPDATE webhook_endpoints SET failing_since=NOW(3) - INTERVAL 24 HOUR");
  expect(await work(refused)).toMatchObject([{ customerId, endpoint: "", state: "paused" }]);
  await accepted(); // what occurs from now on
  await takeEvents(pool, 100);
  for (let n = 0; n < 3; n++) await work(refused);
  expect(new Set((await deliveries()).map(({ state }) => state))).toEqual(new Set(["failed"]));
  expect(await countEndpoints(pool)).toEqual({ active: 0, failing: 0, paused: 1, gone: 0 });
  expect(await endpoints()).toMatchObject([{ due: 0 }]);
});

test("a replay of what is paused holds, even while a process is about to end what is pending there", async () => {
  await accepted();
  await takeEvents(pool, 10);
  await pool.query("UPDATE webhook_endpoints SET state='paused'");
  const lease = id();
  const [paused] = await claimEndpoints(pool, lease, { quick: 10, slow: 10 });
  expect(paused).toMatchObject({ state: "paused" });
  const [event] = await deliveries();
  expect(await replayOne(pool, customerId, event?.event_id ?? "")).toBe(true);
  const worked = { succeeded: 0, failed: 0, isGone: false, isSlow: null, url: null, error: null };
  await settleWork(pool, [{ worked: { customerId, endpoint: "", lease, ...worked }, outcomes: [] }], () => 0);
  expect(await deliveries()).toMatchObject([{ state: "pending" }]);
  expect(await endpoints()).toMatchObject([{ state: "active", due: 1 }]);
});

test("after 410 from a customer's own URL the endpoint is gone; a replay takes it up again", async () => {
  await accepted();
  await accepted();
  await takeEvents(pool, 10);
  const gone = () => ({ state: "failed", code: 410, error: "answered 410", delayMs: 0 }) as const;
  expect(await work(gone, { isGone: true })).toMatchObject([{ state: "gone" }]);
  expect(await replayMany(pool, customerId, { fromMs: null, toMs: null, state: "failed" }, null)).toEqual({
    replayed: 2,
    next: null,
  });
  expect(await endpoints()).toMatchObject([{ state: "active", failures: 0, due: 1 }]);
  await work(acknowledged);
  expect((await deliveries()).map(({ state, attempts }) => [state, attempts])).toEqual([
    ["delivered", 1],
    ["delivered", 1],
  ]);
});

test("a replay of a span takes what occurred in it; of one event, that one; never another customer's", async () => {
  for (let n = 0; n < 3; n++) await accepted({ id: id(), createdAtMs: Date.now() - 60_000 * (3 - n) });
  await takeEvents(pool, 10);
  await work(acknowledged);
  const [first, second, third] = (await deliveries()) as [Row, Row, Row];
  const span = { fromMs: ulidTimeMs(second.event_id), toMs: ulidTimeMs(third.event_id), state: null };
  expect(await replayMany(pool, customerId + 1, span, null)).toMatchObject({ replayed: 0 });
  expect(await replayMany(pool, customerId, span, null)).toMatchObject({ replayed: 1 });
  expect(await replayOne(pool, customerId, first.event_id)).toBe(true);
  expect(await replayOne(pool, customerId + 1, third.event_id)).toBe(false);
  expect((await deliveries()).map(({ state }) => state)).toEqual(["pending", "pending", "delivered"]);
});

test("a callback_url's origin is an endpoint of its own, and counts as slow until it is known", async () => {
  const url = "https://example.com:8443/a?b=c";
  await accepted({ callback: { url, statuses: ALL_STATUSES } });
  await accepted();
  await takeEvents(pool, 10);
  expect(await claimEndpoints(pool, id(), { quick: 10, slow: 0 })).toMatchObject([{ endpoint: "" }]);
  const [unknown] = await claimEndpoints(pool, id(), { quick: 0, slow: 10 });
  expect(unknown).toMatchObject({ endpoint: "https://example.com:8443", isSlow: true });
  expect(await claimEndpoints(pool, id(), { quick: 10, slow: 10, without: [customerId] })).toEqual([]);
});

test("a customer that names ever more origins gets a bounded number of endpoints; further ones share one", async () => {
  const nameOf = (n: number) => `https://h${n}.example.com`;
  const known = Array.from({ length: WEBHOOK_ORIGINS_MAX }, (_, n) => `(${customerId},'${nameOf(n)}')`);
  await pool.query(`INSERT INTO webhook_endpoints (customer_id,endpoint) VALUES ${known.join(",")}`);
  const other = await insertCustomer(pool, 1_000_000);
  const named = (host: string) => ({ callback: { url: `https://${host}/x`, statuses: ALL_STATUSES } });
  for (const host of ["h1.example.com", "new1.example.com", "new2.example.com"]) await accepted(named(host));
  await accepted();
  await accepted({ ...named("new1.example.com"), customerId: other });
  await takeEvents(pool, 10);
  expect((await deliveries()).map(({ endpoint }) => endpoint).sort()).toEqual([
    "",
    "*",
    "*",
    "https://h1.example.com",
    "https://new1.example.com",
  ]);
  await work(acknowledged);
  expect(new Set((await deliveries()).map(({ state }) => state))).toEqual(new Set(["delivered"]));
});
