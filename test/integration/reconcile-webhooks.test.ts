// Reconcile's invariants of webhooks, on books that the real code made: clean as they are, and with one
// planted violation each.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { ALL_STATUSES, maskOf } from "../../src/core/callback.ts";
import { neverGone } from "../../src/core/caller.ts";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { cancelScheduled, moveDue } from "../../src/ledger/schedule.ts";
import { settleClaim } from "../../src/ledger/settle.ts";
import { type CallOutcome, dueDeliveries, takeEvents } from "../../src/ledger/webhook-deliveries.ts";
import { claimEndpoints, resumeEndpoints } from "../../src/ledger/webhook-endpoints.ts";
import type { Clickhouse } from "../../src/platform/clickhouse.ts";
import type { Pool } from "../../src/platform/mysql.ts";
import { reconcile } from "../../src/reconcile/reconcile.ts";
import type { Drift, Invariant } from "../../src/reconcile/result.ts";
import { changeOf, type Outcome } from "../../src/sender/outcome.ts";
import { settleWork } from "../../src/webhook/settle.ts";
import { createTestEngines, type TestEngines } from "../support/engines.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { until } from "../support/roles.ts";
import { deliverEvents, emptyTables } from "../support/small-book.ts";

const id = createIdFactory({ now: Date.now });
const HOUR_MS = 3_600_000;
const LONG_AGO_MS = 3 * 86_400_000;
const oldId = createIdFactory({ now: () => Date.now() - LONG_AGO_MS });
const EVERYTHING = { url: null, statuses: ALL_STATUSES };
let engines: TestEngines;
let pool: Pool;
let clickhouse: Clickhouse;
beforeAll(async () => {
  engines = await createTestEngines();
  ({ pool, clickhouse } = engines);
});
afterAll(() => engines.drop());

let customerId: number;
/** At its second attempt. */
let sent: LaneRecord;
let failed: LaneRecord;
let queued: LaneRecord;
// Also one of which only `sent` is told, and one of which nothing is.
beforeEach(async () => {
  await emptyTables({ pool, clickhouse });
  customerId = await insertCustomer(pool, 10_000);
  [sent, failed, queued] = [told(), told(), told()];
  const onlySent = laneRecord(customerId, { callback: { url: null, statuses: maskOf(["sent"]) } });
  const silent = laneRecord(customerId);
  await acceptMessages(pool, [sent, failed, queued, onlySent, silent]);
  await submitted(sent, { kind: "refused", permanent: false, reason: "A: busy" });
  await submitted({ ...sent, attempt: 1 }, taken());
  await submitted(failed, { kind: "refused", permanent: true, reason: "A: no such number" });
  for (const record of [onlySent, silent]) await submitted(record, taken());
  await takeEvents(pool, 100);
  await callAll();
});

const told = (fields: Partial<LaneRecord> = {}) =>
  laneRecord(customerId, { callback: EVERYTHING, ...fields });
const taken = (): Outcome => ({
  kind: "accepted",
  operator: "A",
  operatorMessageIds: ["a-1"],
  atMs: Date.now(),
});
async function submitted(record: LaneRecord, outcome: Outcome): Promise<void> {
  const [claimId, nowMs] = [id(), Date.now()];
  await claimMessages(pool, { claimId, lane: record.lane, records: [record], nowMs });
  const changes = [changeOf(record, outcome, { nowMs, jitter: 0 })];
  await settleClaim({ pool, id }, { claimId, lane: record.lane, changes, idsLeft: [], nowMs });
}

/** Calls what is due: the first call is refused for now, the second for good, the others succeed. */
async function callAll(): Promise<void> {
  const outcomes: Omit<CallOutcome, "eventId" | "giveUpAtMs">[] = [
    { state: "pending", code: 500, error: "answered 500", delayMs: 60_000 },
    { state: "failed", code: 410, error: "answered 410: no more calls", delayMs: 0 },
  ];
  const lease = id();
  const [endpoint] = await claimEndpoints(pool, lease, { quick: 1, slow: 1 });
  if (endpoint === undefined) throw new Error("its endpoint is due");
  const [due] = await dueDeliveries(pool, [endpoint]);
  const called = (due ?? []).map(({ eventId, giveUpAtMs }, at) => ({
    eventId,
    giveUpAtMs,
    ...(outcomes[at] ?? { state: "delivered" as const, code: 204, error: null, delayMs: 0 }),
  }));
  const worked = { customerId, endpoint: "", lease, isGone: false, isSlow: false, url: null, error: null };
  await settleWork(
    pool,
    [{ worked: { ...worked, succeeded: called.length - 2, failed: 0 }, outcomes: called }],
    () => 0,
  );
}

const check = async (options: { customerId?: number } = {}) => {
  await deliverEvents({ pool, clickhouse });
  return reconcile({ pool, clickhouse }, options);
};
async function driftsOf(options: { customerId?: number } = {}): Promise<Drift[]> {
  const result = await check(options);
  expect(result).toMatchObject({ kind: "drift" });
  return result.kind === "drift" ? result.drifts : [];
}
const namesOf = (drifts: readonly Drift[]): Invariant[] => drifts.map(({ invariant }) => invariant).sort();

describe("clean are", () => {
  test("the books as they are, of all customers and of one", async () => {
    const states = await pool.query<{ state: string; n: number }[]>(
      "SELECT state, COUNT(*) AS n FROM webhook_deliveries GROUP BY state ORDER BY state",
    );
    expect(states.map(({ state, n }) => [state, Number(n)])).toEqual([
      ["pending", 1],
      ["delivered", 5],
      ["failed", 1],
    ]);
    expect(await check()).toMatchObject({ kind: "clean" });
    expect(await check({ customerId })).toMatchObject({ kind: "clean" });
  });

  test("changes whose event nobody has taken yet", async () => {
    const waiting = told();
    await acceptMessages(pool, [waiting]);
    await submitted(waiting, taken());
    expect(await check()).toMatchObject({ kind: "clean" });
  });

  test("messages that wait for their time, that were sent at it, and that were canceled before", async () => {
    const deps = { pool, now: Date.now };
    const [waits, due, unwanted] = [1, 0, 1].map((hours) => told({ sendAtMs: Date.now() + hours * HOUR_MS }));
    const all = [waits, due, unwanted] as [LaneRecord, LaneRecord, LaneRecord];
    await acceptMessages(pool, all);
    expect(await check()).toMatchObject({ kind: "clean" });
    await until(async () => (await moveDue(deps, "normal")).records.length === 1, "one is due");
    await cancelScheduled(deps, { customerId, id: all[2].id, isGone: neverGone });
    await submitted(all[1], taken());
    await takeEvents(pool, 100);
    const stored = await pool.query<{ message_id: string; status: string }[]>(
      "SELECT message_id, status FROM webhook_deliveries WHERE message_id IN (?) " +
        "ORDER BY message_id, sequence",
      [all.map((record) => record.id)],
    );
    expect(
      stored.map(({ message_id, status }) => `${all.findIndex((r) => r.id === message_id)} ${status}`),
    ).toEqual(["0 scheduled", "1 scheduled", "1 queued", "1 sent", "2 scheduled", "2 canceled"]);
    expect(await check()).toMatchObject({ kind: "clean" });
    await pool.query("DELETE FROM webhook_deliveries WHERE message_id=? AND status='scheduled'", [all[1].id]);
    expect(namesOf(await driftsOf())).toEqual(["change_is_told"]);
  });

  test("messages of a customer that has changed its settings, or has none any more", async () => {
    await pool.query(
      "INSERT INTO webhooks (customer_id,url,statuses,secret) VALUES " +
        `(${customerId},NULL,${maskOf(["delivered"])},'whsec_')`,
    );
    expect(await check()).toMatchObject({ kind: "clean" });
    await pool.query("DELETE FROM webhooks");
    expect(await check()).toMatchObject({ kind: "clean" });
  });

  test("messages so old that their events may be gone", async () => {
    const old = told({ id: oldId(), createdAtMs: Date.now() - LONG_AGO_MS });
    await acceptMessages(pool, [old]);
    await takeEvents(pool, 100);
    await pool.query(`DELETE FROM webhook_deliveries WHERE message_id='${old.id}'`);
    expect(await check()).toMatchObject({ kind: "clean" });
  });

  test("a message that is being sent, one without an answer, and events that are called again", async () => {
    const nowMs = Date.now();
    const unanswered = told();
    await acceptMessages(pool, [unanswered]);
    await submitted(unanswered, { kind: "unknown", operator: "A", reason: "A: no answer" });
    await claimMessages(pool, { claimId: id(), lane: "normal", records: [queued], nowMs });
    await takeEvents(pool, 100);
    await pool.query(
      "UPDATE webhook_deliveries SET state='pending',attempts=0,run_at=NOW(3)," +
        "give_up_at=NOW(3) + INTERVAL 1 DAY WHERE state<>'pending'",
    );
    expect(await check()).toMatchObject({ kind: "clean" });
  });

  test("a pause that was told, also once its endpoint is called again", async () => {
    await pool.query(pauseSql({}));
    await pool.query(pauseSql({ status: "'wallet.low'" }));
    await pool.query("UPDATE webhook_endpoints SET state='paused', stopped_at=NOW(3)");
    expect(await check()).toMatchObject({ kind: "clean" });
    await resumeEndpoints(pool, customerId);
    expect(await check({ customerId })).toMatchObject({ kind: "clean" });
  });

  test("an inbound message that was told", async () => {
    await pool.query(`${inboundSql(true)}; ${receivedSql()}`);
    expect(await check()).toMatchObject({ kind: "clean" });
  });

  test("an endpoint that is days behind but worked on", async () => {
    await pool.query(
      "UPDATE webhook_deliveries SET run_at=NOW(3) - INTERVAL 3 DAY,give_up_at=NOW(3) - INTERVAL 2 DAY " +
        "WHERE state='pending'",
    );
    expect(await check()).toMatchObject({ kind: "clean" });
  });
});

test("a missing event is named by its message, with what was told of it", async () => {
  await pool.query(`DELETE FROM webhook_deliveries WHERE message_id='${sent.id}' AND sequence=7`);
  const drift = {
    invariant: "change_is_told",
    customer_id: String(customerId),
    entries: [{ entry_id: sent.id, detail: "message is sent at sequence 10, told were 1,10" }],
  };
  expect(await driftsOf()).toMatchObject([drift]);
  expect(await driftsOf({ customerId })).toMatchObject([drift]);
});

const COLUMNS =
  "url,body,occurred_at,state,attempts,run_at,give_up_at,code,error,endpoint,customer_id,status,sequence," +
  "message_id";
/** Another event, like one of `of`, with some columns changed. */
function copySql(of: LaneRecord, sequence: number, changed: Record<string, string>): string {
  const values = COLUMNS.split(",").map((column) => changed[column] ?? column);
  return (
    `INSERT INTO webhook_deliveries (event_id,${COLUMNS}) ` +
    `SELECT ${changed.event_id ?? `'${id()}'`},${values} ` +
    `FROM webhook_deliveries WHERE message_id='${of.id}' AND sequence=${sequence}`
  );
}
/** An event, like one of `failed`, that an endpoint was paused an hour ago, with some columns changed. */
const pauseSql = (changed: Record<string, string>): string =>
  copySql(failed, 5, {
    message_id: "''",
    sequence: "0",
    status: "'endpoint.paused'",
    occurred_at: "NOW(3) - INTERVAL 1 HOUR",
    ...changed,
  });
const inboundId = id();
const inboundSql = (isTold: boolean): string =>
  "INSERT INTO inbound_messages (id,customer_id,operator,sender,recipient,text,told,received_at) VALUES " +
  `('${inboundId}',${customerId},'A','+989121234567','3000','hi',${Number(isTold)},NOW(3))`;
/** The event of that inbound message. */
const receivedSql = (): string => pauseSql({ event_id: `'${inboundId}'`, status: "'message.received'" });
const eventOf = (record: LaneRecord, sequence: number): string =>
  `WHERE message_id='${record.id}' AND sequence=${sequence}`;

type Plant = [what: string, sql: () => string, invariants: Invariant[]];
const plants: Plant[] = [
  [
    "an acceptance that was not told",
    () => `DELETE FROM webhook_deliveries ${eventOf(queued, 1)}`,
    ["change_is_told"],
  ],
  [
    "a final status that was not told",
    () => `DELETE FROM webhook_deliveries ${eventOf(failed, 5)}`,
    ["change_is_told"],
  ],
  [
    "a message of which nothing was told",
    () => `DELETE FROM webhook_deliveries WHERE message_id='${sent.id}'`,
    ["change_is_told"],
  ],
  ["a change that was told under two ids", () => copySql(sent, 7, {}), ["change_is_told"]],
  [
    "events that nobody has taken for two days",
    () => "INSERT INTO webhook_events (created_at,payload) VALUES (NOW(3) - INTERVAL 2 DAY,'')",
    ["change_is_told"],
  ],
  [
    "an event of a message that isn't there",
    () => copySql(failed, 5, { message_id: `'${id()}'` }),
    ["told_change_happened"],
  ],
  [
    "an event of a status that its message can't have had",
    () => copySql(failed, 1, { status: "'sent'", sequence: "4" }),
    ["told_change_happened"],
  ],
  [
    "an event that is ahead of its message",
    () => copySql(queued, 1, { sequence: "7" }),
    ["told_change_happened"],
  ],
  [
    "an event whose sequence belongs to another status",
    () => `UPDATE webhook_deliveries SET status='delivered' ${eventOf(failed, 5)}`,
    ["change_is_told", "told_change_happened"],
  ],
  [
    "an event that nobody asked for",
    () => `UPDATE messages SET callback_statuses=${maskOf(["sent"])} WHERE id='${queued.id}'`,
    ["told_change_happened"],
  ],
  [
    "an event that was told to another customer",
    () => {
      const ended = { state: "'failed'", error: "'answered 410'", run_at: "NULL" };
      return copySql(failed, 1, { customer_id: "customer_id + 1", ...ended });
    },
    ["told_change_happened"],
  ],
  ["a pause of a customer whose endpoints never stopped", () => pauseSql({}), ["told_change_happened"]],
  [
    "a pause that no endpoint had reached yet",
    () => `UPDATE webhook_endpoints SET stopped_at=NOW(3) - INTERVAL 2 HOUR; ${pauseSql({})}`,
    ["told_change_happened"],
  ],
  [
    "a pause at a sequence, as if it were a change",
    () => `UPDATE webhook_endpoints SET stopped_at=NOW(3); ${pauseSql({ sequence: "1" })}`,
    ["told_change_happened"],
  ],
  [
    "a low balance at a sequence, as if it were a change",
    () => pauseSql({ status: "'wallet.low'", sequence: "1" }),
    ["told_change_happened"],
  ],
  [
    "an event about no message, of a type that is none",
    () => pauseSql({ status: "'wallet.high'" }),
    ["told_change_happened"],
  ],
  ["an inbound message that was told to nobody", () => inboundSql(true), ["inbound_is_told"]],
  [
    "an inbound message that was told although its customer has no URL",
    () => `${inboundSql(false)}; ${receivedSql()}`,
    ["inbound_is_told"],
  ],
  [
    "an event of an inbound message that never came",
    () => pauseSql({ status: "'message.received'" }),
    ["told_change_happened"],
  ],
  [
    "a pause that is delivered without a call",
    () => `UPDATE webhook_endpoints SET stopped_at=NOW(3); ${pauseSql({ attempts: "0" })}`,
    ["webhook_ends"],
  ],
  [
    "a pending event that is never due",
    () => "UPDATE webhook_deliveries SET run_at=NULL WHERE state='pending'",
    ["webhook_ends"],
  ],
  [
    "a delivered event that is due",
    () => "UPDATE webhook_deliveries SET run_at=NOW(3) WHERE state='delivered' LIMIT 1",
    ["webhook_ends"],
  ],
  [
    "an event that is delivered although it was refused",
    () => "UPDATE webhook_deliveries SET code=500 WHERE state='delivered' LIMIT 1",
    ["webhook_ends"],
  ],
  [
    "an event that is delivered without a call",
    () => "UPDATE webhook_deliveries SET attempts=0 WHERE state='delivered' LIMIT 1",
    ["webhook_ends"],
  ],
  [
    "an event that failed for no reason",
    () => "UPDATE webhook_deliveries SET error=NULL WHERE state='failed'",
    ["webhook_ends"],
  ],
  [
    "an endpoint that is never due, although something is pending there",
    () => "UPDATE webhook_endpoints SET run_at=NULL",
    ["webhook_ends"],
  ],
  ["an endpoint that is gone", () => "DELETE FROM webhook_endpoints", ["webhook_ends"]],
  [
    "an endpoint on which nobody has worked for two days",
    () => "UPDATE webhook_endpoints SET run_at=NOW(3) - INTERVAL 2 DAY",
    ["webhook_ends"],
  ],
  [
    "a call that is put off beyond its event's time",
    () => "UPDATE webhook_deliveries SET run_at=NOW(3) + INTERVAL 2 DAY WHERE state='pending'",
    ["webhook_ends"],
  ],
];
for (const [what, sql, invariants] of plants)
  test(`finds ${what}`, async () => {
    await pool.query(sql());
    expect(namesOf(await driftsOf())).toEqual(invariants);
  });
