// Webhook deliveries on MySQL that end, or are pending again: what a removed webhook leaves pending, and what
// is replayed, while it is called and how late. Endpoints: webhook-endpoints.test.ts.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { ALL_STATUSES } from "../../src/core/callback.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { WEBHOOK_CHUNK_ROWS_MAX, WEBHOOK_REPLAYABLE_MS } from "../../src/core/webhook-limits.ts";
import {
  dueDeliveries,
  endPending,
  NO_WEBHOOK_URL,
  takeEvents,
} from "../../src/ledger/webhook-deliveries.ts";
import { claimEndpoints } from "../../src/ledger/webhook-endpoints.ts";
import { replayMany, replayOne } from "../../src/ledger/webhook-replay.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { listDeliveries } from "../../src/reports/webhooks.ts";
import { settleWork } from "../../src/webhook/settle.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

const id = createIdFactory({ now: Date.now });
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

/** A message of which its customer is told at its own URL. Its event is a delivery. */
async function accepted(of = customerId): Promise<string> {
  const record = laneRecord(of, { callback: { url: null, statuses: ALL_STATUSES } });
  await acceptMessages(pool, [record]);
  await takeEvents(pool, 100);
  return record.id;
}

const ACKNOWLEDGED = { state: "delivered", code: 204, error: null, delayMs: 0 } as const;

test("all that is pending for a customer ends, however much and whenever it is due, and nothing of another's", async () => {
  const [messageId, many] = [await accepted(), 2 * WEBHOOK_CHUNK_ROWS_MAX];
  await accepted(await insertCustomer(pool, 1_000_000));
  const later = () =>
    `(${customerId},'${id()}','','${messageId}',1,'queued',NOW(3),'{}',NOW(3) + INTERVAL 3 HOUR,` +
    "NOW(3) + INTERVAL 1 DAY)";
  await pool.query(
    "INSERT INTO webhook_deliveries (customer_id,event_id,endpoint,message_id,sequence,status,occurred_at," +
      `body,run_at,give_up_at) VALUES ${Array.from({ length: many }, later).join(",")}`,
  );
  expect(await endPending(pool, customerId)).toBe(many + 1);
  expect(await endPending(pool, customerId)).toBe(0);
  const counted = await pool.query<{ state: string; error: string | null; due: number; n: number }[]>(
    "SELECT state, error, run_at IS NOT NULL AS due, COUNT(*) AS n FROM webhook_deliveries " +
      "GROUP BY state, error, due ORDER BY state",
  );
  expect(counted.map(({ state, error, due, n }) => [state, error, due, Number(n)])).toEqual([
    ["pending", null, 1, 1],
    ["failed", NO_WEBHOOK_URL, 0, many + 1],
  ]);
});

test("what is replayed while it is called stays pending, even if that call's outcome comes later", async () => {
  for (let n = 0; n < 3; n++) await accepted();
  const lease = id();
  const [mine] = await claimEndpoints(pool, lease, { quick: 1, slow: 1 });
  if (mine === undefined) throw new Error("its endpoint is due");
  const [due = []] = await dueDeliveries(pool, [mine]);
  expect(await replayOne(pool, customerId, due[1]?.eventId ?? "")).toBe(true);
  const outcomes = due.map(({ eventId, giveUpAtMs }) => ({ eventId, giveUpAtMs, ...ACKNOWLEDGED }));
  const worked = { succeeded: 3, failed: 0, isGone: false, isSlow: false, url: null, error: null };
  await settleWork(pool, [{ worked: { ...mine, lease, ...worked }, outcomes }], () => 0);
  expect(await pool.query("SELECT state, attempts FROM webhook_deliveries ORDER BY event_id")).toMatchObject([
    { state: "delivered", attempts: 1 },
    { state: "pending", attempts: 0 },
    { state: "delivered", attempts: 1 },
  ]);
});

test("events of the last 8 days are listed and replayed, and none that would be dropped before it has ended", async () => {
  const messageId = await accepted();
  const [old, kept] = [1, -1].map((minutes) => {
    const occurredAtMs = Date.now() - WEBHOOK_REPLAYABLE_MS - minutes * 60_000;
    return createIdFactory({ now: () => occurredAtMs })();
  }) as [string, string];
  const rows = [old, kept].map(
    (event) => `(${customerId},'${event}','','${messageId}',1,'queued',NOW(3),'{}','failed','x',NOW(3))`,
  );
  await pool.query(
    "INSERT INTO webhook_deliveries (customer_id,event_id,endpoint,message_id,sequence,status,occurred_at," +
      `body,state,error,give_up_at) VALUES ${rows.join(",")}`,
  );
  const listed = async (query: Record<string, string>) =>
    (await listDeliveries({ pool }, customerId, new Map(Object.entries(query)))).deliveries.map(
      (one) => one.id,
    );
  const since = new Date(0).toISOString();
  expect(await listed({ state: "failed" })).toEqual([kept]);
  expect(await listed({ state: "failed", from: since })).toEqual([kept]);
  expect(await replayOne(pool, customerId, old)).toBe(false);
  const all = { fromMs: null, toMs: null, state: null };
  for (const selection of [{ ...all, state: "failed" } as const, { ...all, fromMs: 0 }]) {
    await pool.query("UPDATE webhook_deliveries SET state='failed', run_at=NULL WHERE event_id=?", [kept]);
    expect(await replayMany(pool, customerId, selection, null)).toEqual({ replayed: 1, next: null });
  }
  expect(await pool.query("SELECT state FROM webhook_deliveries WHERE event_id=?", [old])).toEqual([
    { state: "failed" },
  ]);
  expect(await replayOne(pool, customerId, kept)).toBe(true);
});
