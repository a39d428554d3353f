// Webhook endpoints on MySQL: how soon one that fails is called when something comes, who is told that one
// takes no calls any more, and when it is forgotten. Deliveries: webhook-events.test.ts; what was replayed or
// removed: webhook-replays.test.ts.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { ALL_STATUSES } from "../../src/core/callback.ts";
import { createIdFactory, ulidTimeMs } from "../../src/core/id.ts";
import { packWebhookEvents, type WebhookEvent } from "../../src/core/webhook-event.ts";
import type { InboundEvent } from "../../src/core/webhook-inbound.ts";
import { WEBHOOK_ORIGINS_MAX } from "../../src/core/webhook-limits.ts";
import type { PauseEvent } from "../../src/core/webhook-pause.ts";
import { removeWebhook, setWebhook } from "../../src/customers/webhooks.ts";
import { type CallOutcome, dueDeliveries, takeEvents } from "../../src/ledger/webhook-deliveries.ts";
import {
  claimEndpoints,
  purgeEndpoints,
  resumeEndpoints,
  type Stopped,
  type Worked,
} from "../../src/ledger/webhook-endpoints.ts";
import { replayOne } from "../../src/ledger/webhook-replay.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { systemTimers } from "../../src/platform/timers.ts";
import { listDeliveries, webhookView } from "../../src/reports/webhooks.ts";
import type { CallAnswer } from "../../src/webhook/call.ts";
import { createDeliverer } from "../../src/webhook/deliver.ts";
import { settleWork } from "../../src/webhook/settle.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { until } from "../support/roles.ts";

const id = createIdFactory({ now: Date.now });
const rules = { allowPrivate: false };
const OWN_URL = "https://own.example.com/sms";
const A = "https://a.example.com";
const B = "https://b.example.com";
const C = "https://c.example.com";
let db: TestDatabase;
let pool: Pool;
let customerId: number;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 4, multipleStatements: true });
});
beforeEach(async () => {
  for (const table of ["webhook_events", "webhook_deliveries", "webhook_endpoints"])
    await pool.query(`DELETE FROM ${table}`);
  customerId = await insertCustomer(pool, 1_000_000);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

/** A message of which its customer is told at this URL; null: at its own. Its event is a delivery. */
async function accepted(url: string | null): Promise<void> {
  await acceptMessages(pool, [laneRecord(customerId, { callback: { url, statuses: ALL_STATUSES } })]);
  await takeEvents(pool, 100);
}

const ACKNOWLEDGED = { state: "delivered", code: 204, error: null, delayMs: 0 } as const;
const REFUSED = { state: "pending", code: 500, error: "answered 500", delayMs: 60_000 } as const;
type Outcome = Omit<CallOutcome, "eventId" | "giveUpAtMs">;

/** Works on all that is due: calls to endpoints that `fail` are refused, all others acknowledged. */
async function work(fail: readonly string[] = [], fields: Partial<Worked> = {}) {
  const lease = id();
  const claimed = await claimEndpoints(pool, lease, { quick: 20, slow: 20 });
  const wanted = claimed.map((one) => ({ ...one, limit: one.state === "active" ? 100 : 0 }));
  const due = await dueDeliveries(pool, wanted);
  const works = claimed.map((of, at) => {
    const isFailing = fail.includes(of.endpoint);
    const answer: Outcome = isFailing ? REFUSED : ACKNOWLEDGED;
    const outcomes = (due[at] ?? []).map(({ eventId, giveUpAtMs }) => ({ eventId, giveUpAtMs, ...answer }));
    const [succeeded, failed] = isFailing ? [0, outcomes.length] : [outcomes.length, 0];
    const url = isFailing || outcomes.length === 0 ? null : (due[at]?.at(-1)?.url ?? null);
    const found = { succeeded, failed, isGone: false, isSlow: false, url, error: answer.error };
    return { worked: { ...of, lease, ...found, ...(isFailing ? fields : {}) }, outcomes };
  });
  return settleWork(pool, works, () => 0);
}

/** Makes these endpoints fail once more, a day after they began to. */
async function pause(...endpoints: string[]) {
  for (const endpoint of endpoints) await accepted(endpoint === "" ? null : `${endpoint}/sms?x=1`);
  const names = endpoints.map((endpoint) => `'${endpoint}'`).join(",");
  await pool.query(
    "UPDATE webhook_endpoints SET failures=30, failing_since=NOW(3) - INTERVAL 25 HOUR, run_at=NOW(3) " +
      `WHERE customer_id=${customerId} AND endpoint IN (${names})`,
  );
  return work(endpoints);
}

type Told = { event_id: string; endpoint: string; url: string | null; state: string; body: string };
type Pause = { type: string; timestamp: string; data: Record<string, unknown> };
/** The pauses that were told so far, by where. */
async function told(): Promise<(Told & { pause: Pause })[]> {
  await takeEvents(pool, 100);
  const rows = await pool.query<Told[]>(
    "SELECT event_id, endpoint, url, state, body FROM webhook_deliveries WHERE status='endpoint.paused' " +
      "ORDER BY endpoint, event_id",
  );
  return rows.map((row) => ({ ...row, pause: JSON.parse(row.body) as Pause }));
}

test("what comes to an endpoint that fails is called at its pace, after 15 min at most, whatever waits there", async () => {
  await accepted(null);
  await work([""]);
  /** In how many seconds the endpoint is due, once something has come. */
  const dueIn = async (failures: number, wasDueInS: number): Promise<number> => {
    await pool.query(
      `UPDATE webhook_endpoints SET failures=${failures}, run_at=NOW(3) + INTERVAL ${wasDueInS} SECOND`,
    );
    await accepted(null);
    const [row] = await pool.query<{ us: number | string }[]>(
      "SELECT TIMESTAMPDIFF(MICROSECOND, NOW(3), run_at) AS us FROM webhook_endpoints",
    );
    return Number(row?.us) / 1e6;
  };
  const threeHours = 3 * 3_600;
  expect(await dueIn(4, threeHours)).toBeLessThanOrEqual(0);
  for (const [failures, s] of [
    [5, 1],
    [6, 1],
    [7, 2],
    [10, 16],
    [16, 900],
    [100_000, 900],
  ] as const) {
    const found = await dueIn(failures, threeHours);
    expect([failures, found <= s, found > s - 5]).toEqual([failures, true, true]);
  }
  expect(await dueIn(100_000, 5)).toBeLessThanOrEqual(5);
  // Nothing that was called before is due by that, and of what came each probe calls the first.
  await pool.query("UPDATE webhook_endpoints SET run_at=NOW(3)");
  const claimed = await claimEndpoints(pool, id(), { quick: 10, slow: 10 });
  const [due] = await dueDeliveries(
    pool,
    claimed.map((one) => ({ ...one, limit: 1 })),
  );
  expect(due).toMatchObject([{ attempts: 0 }]);
});

test("an endpoint that is paused is told once, at the customer's own URL, in the transaction that pauses it", async () => {
  await setWebhook(pool, customerId, { url: OWN_URL }, rules);
  await accepted(`${A}/sms?x=1`);
  await work();
  expect(await pause(A)).toMatchObject([{ customerId, endpoint: A, state: "paused" }]);
  const rows = await pool.query("SELECT id FROM webhook_events");
  expect(rows).toHaveLength(1);
  const [one, ...more] = await told();
  expect(more).toEqual([]);
  const at = one?.pause.timestamp ?? "";
  expect(one).toMatchObject({ endpoint: "", url: null, state: "pending" });
  expect(one?.pause).toEqual({
    type: "endpoint.paused",
    timestamp: at,
    data: {
      customer_id: String(customerId),
      origin: A,
      url: `${A}/sms?x=1`,
      state: "paused",
      failures: 31,
      reason: "answered 500",
      occurred_at: at,
    },
  });
  expect(ulidTimeMs(one?.event_id ?? "")).toBe(Date.parse(at));
  const { endpoints } = await webhookView({ pool }, customerId);
  expect(endpoints.find(({ origin }) => origin === A)).toMatchObject({ state: "paused", stopped_at: at });

  // It stays paused, whatever comes: nothing more is told of it.
  await accepted(`${A}/sms?x=1`);
  for (let n = 0; n < 3; n++) await work([A]);
  expect(await told()).toMatchObject([{ event_id: one?.event_id, state: "delivered" }]);
  // Taken up again, it fails for long again: that is another pause.
  await resumeEndpoints(pool, customerId, A);
  await pause(A);
  expect(await told()).toHaveLength(2);
});

test("a pause is called again until it is acknowledged, under its id, and listed and replayed like a change", async () => {
  await setWebhook(pool, customerId, { url: OWN_URL }, rules);
  await pause(A);
  const [one] = await told();
  const eventId = one?.event_id ?? "";
  await work([""]);
  expect(await told()).toMatchObject([{ event_id: eventId, state: "pending" }]);
  await pool.query("UPDATE webhook_deliveries SET run_at=NOW(3) WHERE run_at IS NOT NULL");
  await pool.query("UPDATE webhook_endpoints SET run_at=NOW(3) WHERE run_at IS NOT NULL");
  await work();
  const { deliveries } = await listDeliveries({ pool }, customerId, new Map());
  expect(deliveries.find(({ id: found }) => found === eventId)).toMatchObject({
    type: "endpoint.paused",
    message_id: null,
    status: null,
    sequence: null,
    url: null,
    state: "delivered",
    attempts: 2,
  });
  expect(deliveries.filter(({ type }) => type === "message.status")).toHaveLength(1);
  expect(await replayOne(pool, customerId, eventId)).toBe(true);
  expect(await told()).toMatchObject([{ event_id: eventId, body: one?.body, state: "pending" }]);
});

test("if the customer's own URL is what stopped, callback_urls are told that were acknowledged last", async () => {
  await setWebhook(pool, customerId, { url: OWN_URL }, rules);
  for (const origin of [A, B, C]) await accepted(`${origin}/first`);
  await work([C]); // C has acknowledged nothing
  await accepted(`${B}/last`);
  await work();
  await accepted(null);
  const gone = { isGone: true, error: "answered 410: no more calls" };
  expect(await work([""], gone)).toMatchObject([{ endpoint: "", state: "gone" }]);
  const found = await told();
  expect(found.map(({ endpoint, url, pause: { data } }) => [endpoint, url, data.url, data.origin])).toEqual([
    [A, `${A}/first`, OWN_URL, null],
    [B, `${B}/last`, OWN_URL, null],
  ]);
  expect(found[0]?.pause.data).toMatchObject({ state: "gone", reason: "answered 410: no more calls" });
  expect(found[0]?.event_id).not.toBe(found[1]?.event_id ?? "");

  // While its own URL takes no calls, the pause of an origin goes there too, and never to that origin.
  await work();
  await pause(A);
  const last = (await told()).filter(({ pause: { data } }) => data.origin === A);
  expect(last.map(({ endpoint }) => endpoint)).toEqual([B]);
});

test("endpoints that stop in one transaction are not told of each other", async () => {
  await setWebhook(pool, customerId, { url: OWN_URL }, rules);
  for (const origin of [A, B]) await accepted(`${origin}/sms`);
  await work();
  expect(await pause("", A)).toHaveLength(2);
  const found = (await told()).map(({ endpoint, pause: { data } }) => `${endpoint} ${String(data.origin)}`);
  expect(found.toSorted()).toEqual([`${B} ${A}`, `${B} null`]);
});

test("nobody is told who doesn't want it, has no other endpoint, or has no webhook", async () => {
  await setWebhook(pool, customerId, { url: OWN_URL, tellPauses: false }, rules);
  expect(await pause(A)).toHaveLength(1);
  expect(await told()).toEqual([]);
  await setWebhook(pool, customerId, { tellPauses: true }, rules);
  expect(await pause("")).toHaveLength(1); // A is paused too
  expect(await told()).toEqual([]);
  await removeWebhook(pool, customerId);
  expect(await pause(B)).toHaveLength(1);
  expect(await told()).toEqual([]);
});

/** The role's work on all that is due: every call is answered so. Its endpoints that stopped by it. */
async function deliver(answer: CallAnswer): Promise<Stopped[]> {
  const stopped: Stopped[] = [];
  const deliverer = createDeliverer({
    pool,
    caller: { call: () => Promise.resolve(answer) },
    timers: systemTimers,
    now: Date.now,
    id,
    onCall: () => undefined,
    onStopped: (one) => void stopped.push(one),
    onError: (error) => expect(error).toBeUndefined(),
  });
  expect(await deliverer.claim()).toBe(true);
  const isSettled = async () =>
    (await pool.query("SELECT 1 FROM webhook_endpoints WHERE lease IS NOT NULL")).length === 0;
  await until(isSettled, "it is settled");
  await deliverer.stop();
  return stopped;
}
/** The customer is told these, at its own URL. */
async function tell(...events: WebhookEvent[]): Promise<void> {
  await pool.query("INSERT INTO webhook_events (payload) VALUES (?)", [packWebhookEvents(events)]);
  await takeEvents(pool, 100);
}
const cameIn = (): InboundEvent => ({
  inboundId: id(),
  customerId,
  url: null,
  operator: "A",
  operatorMessageId: null,
  from: "+989121234567",
  to: "3000",
  keyword: null,
  text: "hi",
  isCut: false,
  command: null,
  parts: 1,
  missingParts: 0,
  occurredAtMs: Date.now(),
});
const DOWN: CallAnswer = { kind: "failed", reason: "the connection was refused", timedOut: false };
const health = () =>
  pool.query(`SELECT state, failures FROM webhook_endpoints WHERE customer_id=${customerId} AND endpoint=''`);

test("a URL that gets inbound messages alone fails by them, is paused after a day, and is gone after a 410", async () => {
  await setWebhook(pool, customerId, { url: OWN_URL }, rules);
  await accepted(`${A}/sms`);
  await work();
  await tell(...Array.from({ length: 5 }, cameIn));
  expect(await deliver(DOWN)).toEqual([]);
  expect(await health()).toEqual([{ state: "active", failures: 5 }]);
  await pool.query(
    "UPDATE webhook_endpoints SET failures=30, failing_since=NOW(3) - INTERVAL 25 HOUR, run_at=NOW(3) " +
      `WHERE customer_id=${customerId} AND endpoint=''`,
  );
  await tell(cameIn());
  const [paused] = await deliver(DOWN);
  expect(paused).toMatchObject({ customerId, endpoint: "", state: "paused", error: DOWN.reason });
  expect(await told()).toMatchObject([{ endpoint: A, pause: { data: { origin: null, state: "paused" } } }]);

  await resumeEndpoints(pool, customerId, "");
  await tell(cameIn());
  const [gone] = await deliver({ kind: "answered", code: 410 });
  expect(gone).toMatchObject({ customerId, endpoint: "", state: "gone" });
});

test("what tells of endpoints or of credit alone never makes its endpoint fail", async () => {
  await setWebhook(pool, customerId, { url: OWN_URL }, rules);
  const pauseOf = (endpoint: string): PauseEvent => ({
    customerId,
    url: null,
    endpoint,
    endpointUrl: null,
    state: "paused",
    failures: 20,
    reason: "answered 500",
    occurredAtMs: Date.now(),
  });
  const low = {
    customerId,
    url: null,
    balance: 5,
    threshold: 10,
    currency: "IRR",
    occurredAtMs: Date.now(),
  } as const;
  await tell(...[A, B, C].map(pauseOf), low);
  expect(await deliver({ kind: "answered", code: 410 })).toEqual([]);
  expect(await health()).toEqual([{ state: "active", failures: 0 }]);
});

test("an origin that stopped is forgotten once nothing has come for it in 7 days, and leaves its place to another", async () => {
  const endpoints = async () => {
    const rows = await pool.query<{ endpoint: string }[]>(
      `SELECT endpoint FROM webhook_endpoints WHERE customer_id=${customerId} ORDER BY endpoint`,
    );
    return rows.map(({ endpoint }) => endpoint);
  };
  const aged = (days: number, where: string) =>
    pool.query(`UPDATE webhook_endpoints SET changed_at=NOW(3) - INTERVAL ${days} DAY WHERE ${where}`);
  await setWebhook(pool, customerId, { url: OWN_URL, tellPauses: false }, rules);
  await pause("", A, B, C);
  await work();
  const others = Array.from(
    { length: WEBHOOK_ORIGINS_MAX },
    (_, n) => `(${customerId},'https://o${n}.example')`,
  );
  await pool.query(`INSERT INTO webhook_endpoints (customer_id,endpoint) VALUES ${others}`);
  await pool.query("UPDATE webhook_endpoints SET state='paused' WHERE endpoint LIKE 'https://o%'");
  await accepted("https://new.example.com/sms");
  expect(await endpoints()).toContain("*");

  await aged(8, "endpoint<>'*'");
  await aged(6, `endpoint='${B}'`);
  // What comes for an origin that stopped says that it is in use.
  await accepted(`${C}/sms`);
  await work();
  expect(await purgeEndpoints(pool, 1_000)).toBe(WEBHOOK_ORIGINS_MAX + 1);
  expect(await endpoints()).toEqual(["", "*", B, C]);
  await accepted("https://new.example.com/sms");
  expect(await endpoints()).toEqual(["", "*", B, C, "https://new.example.com"]);
});
