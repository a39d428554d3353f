// Mode `async` on MySQL: messages are accepted whatever the balance, and reserved by the transaction that
// claims them; and over HTTP, with changes of mode in both directions.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import { type LaneRecord, unpackLaneRow } from "../../src/core/lane-record.ts";
import { sequenceOf, type Status } from "../../src/core/message.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { claimHeld, holdRecords } from "../../src/ledger/held.ts";
import { createLeaseStore } from "../../src/ledger/lease.ts";
import { setMode } from "../../src/ledger/lease-admin.ts";
import { requeue } from "../../src/ledger/requeue.ts";
import { cancelScheduled } from "../../src/ledger/schedule.ts";
import { settleClaim } from "../../src/ledger/settle.ts";
import { setCaps } from "../../src/ledger/cap-admin.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { readBooks } from "../../src/reconcile/books.ts";
import { checkBooks } from "../../src/reconcile/check.ts";
import { inSnapshot } from "../../src/reconcile/reconcile.ts";
import { ALL_CUSTOMERS, type CustomerRange } from "../../src/reconcile/result.ts";
import { usageReport } from "../../src/reports/usage-report.ts";
import { changeOf, type Outcome } from "../../src/sender/outcome.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestClickhouse, insertStatusEvents, type StatusEvent } from "../support/clickhouse.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { makeCustomer, post, startIngest } from "../support/ingest-process.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { until } from "../support/roles.ts";

const id = createIdFactory({ now: Date.now });
const taken: Outcome = { kind: "accepted", operator: "A", operatorMessageIds: ["a1"], atMs: 0 };
const busy: Outcome = { kind: "refused", permanent: false, reason: "A: 503 busy" };
let db: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 8, multipleStatements: true });
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});
afterEach(async () => {
  await reconcileBooks(pool);
  expect(await drifts()).toEqual([]);
});

/** What reconcile finds in MySQL. */
async function drifts(scope: CustomerRange = ALL_CUSTOMERS): Promise<string[]> {
  const found = await inSnapshot(pool, { maxMs: 10_000, waitS: 5 }, async (conn) =>
    checkBooks(conn, await readBooks(conn, scope)),
  );
  return found.map(({ invariant, entries }) => `${invariant} ${entries.map((e) => e.detail).join("; ")}`);
}

async function accepted(
  customerId: number,
  costs: readonly number[],
  fields: Partial<LaneRecord> = {},
): Promise<LaneRecord[]> {
  const records = costs.map((cost) => laneRecord(customerId, { cost, unreserved: true, ...fields }));
  await acceptMessages(pool, records);
  return records;
}
const claim = async (records: readonly LaneRecord[], claimId = id(), again = false) => {
  const claimed = await claimMessages(pool, { claimId, lane: "normal", records, nowMs: Date.now() }, again);
  return { claimId, ...claimed };
};
const settle = (claimId: string, records: readonly LaneRecord[], outcome: Outcome) => {
  const changes = records.map((record) => changeOf(record, outcome, { nowMs: Date.now(), jitter: 1 }));
  return settleClaim({ pool, id }, { claimId, lane: "normal", changes, idsLeft: [], nowMs: Date.now() });
};
const statusesOf = async (records: readonly LaneRecord[]): Promise<string[]> => {
  const rows = await pool.query<{ status: string; last_error: string | null }[]>(
    "SELECT status, last_error FROM messages WHERE id IN (?) ORDER BY id",
    [records.map((record) => record.id)],
  );
  return rows.map(({ status, last_error }) => `${status} ${last_error ?? ""}`.trim());
};
const entriesOf = async (customerId: number): Promise<string[]> => {
  const rows = await pool.query<{ op: string; amount: number }[]>(
    "SELECT op, amount FROM wallet_ledger WHERE customer_id=? AND op<>'topup'",
    [customerId],
  );
  return rows.map(({ op, amount }) => `${op} ${amount}`).toSorted();
};
const walletOf = async (customerId: number) => {
  const sql = "SELECT balance, reserved FROM wallet_accounts WHERE customer_id=?";
  return (await pool.query<{ balance: number; reserved: number }[]>(sql, [customerId]))[0];
};

test("what the wallet pays for is reserved by its claim; the rest is rejected without an entry", async () => {
  const customerId = await insertCustomer(pool, 1_250);
  const other = await insertCustomer(pool, 10_000);
  const records = await accepted(customerId, [500, 500, 500, 200]);
  const reserved = [laneRecord(other), laneRecord(other)];
  await acceptMessages(pool, reserved);
  expect(await entriesOf(customerId)).toEqual([]);
  expect(await walletOf(customerId)).toEqual({ balance: 1_250, reserved: 0 });
  const { claimId, records: claimed, unpaid } = await claim([...records, ...reserved]);
  const byId = claimed.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  expect(byId.map(({ cost, unreserved }) => [cost, unreserved])).toEqual([
    [500, undefined],
    [500, undefined],
    [200, undefined],
    [500, undefined],
    [500, undefined],
  ]);
  expect(unpaid.map(({ record, to, reason }) => [record.id, to, reason])).toEqual([
    [(records[2] as LaneRecord).id, "rejected", "insufficient_balance"],
  ]);
  expect(await entriesOf(customerId)).toEqual(["grant 1200", "reserve 200", "reserve 500", "reserve 500"]);
  expect(await walletOf(customerId)).toEqual({ balance: 50, reserved: 1_200 });
  await settle(claimId, byId, taken);
  expect(await statusesOf(records)).toEqual(["sent", "sent", "rejected insufficient_balance", "sent"]);
  expect(await walletOf(customerId)).toEqual({ balance: 50, reserved: 0 });
  expect(await drifts({ low: customerId, high: customerId })).toEqual([]);
});

test("a record that comes twice, a claim in doubt and a retry reserve nothing again", async () => {
  const customerId = await insertCustomer(pool, 2_000);
  const records = await accepted(customerId, [500, 500]);
  const both = await Promise.all([claim(records), claim(records)]);
  expect(both.map((one) => one.records.length).toSorted((a, b) => a - b)).toEqual([0, 2]);
  const { claimId, records: claimed } = both.find((one) => one.records.length === 2) as (typeof both)[0];
  expect(await claim(records, claimId, true)).toMatchObject({ records: claimed, wasStored: true });
  await settle(claimId, claimed, busy);
  const again = claimed.map((record) => ({ ...record, attempt: 1 }));
  // Even if the record of the next attempt still said that nothing is reserved.
  const next = await claim(again.map((record) => ({ ...record, unreserved: true })));
  expect(next.records).toEqual(again);
  await settle(next.claimId, next.records, taken);
  const captures = ["capture 500", "capture 500"];
  expect(await entriesOf(customerId)).toEqual([...captures, "grant 1000", "reserve 500", "reserve 500"]);
});

test("held rows are reserved by their claim, too", async () => {
  const customerId = await insertCustomer(pool, 500);
  const records = await accepted(customerId, [500, 500]);
  await holdRecords(pool, "normal", records, () => "A");
  const claimId = id();
  const request = { claimId, lane: "normal", link: "A", customers: [customerId], nowMs: Date.now() } as const;
  const seen = new Map<string, LaneRecord>();
  const first = await claimHeld(pool, { ...request, recordsMax: 10, partsMax: 100, rowsMax: 8 }, seen);
  expect([first.records.length, first.unpaid.length, first.read]).toEqual([1, 1, 2]);
  const again = await claimHeld(pool, { ...request, recordsMax: 10, partsMax: 100, rowsMax: 8 }, seen, true);
  expect(again.records).toEqual(first.records);
  expect(await entriesOf(customerId)).toEqual(["grant 500", "reserve 500"]);
  await settle(claimId, first.records, taken);
});

test("what leases could pay for waits until they return it", async () => {
  const customerId = await insertCustomer(pool, 700);
  const records = await accepted(customerId, [500]);
  const leases = createLeaseStore({ pool, id, now: Date.now }, { nodeId: id(), ttlMs: 60_000 });
  await leases.register();
  const want = { customerId, epoch: 1, costs: [600], target: 0, unit: 0, held: false };
  await leases.grant([want], { skipLocked: false });
  await pool.write("DELETE FROM outbox");
  const { unpaid } = await claim(records);
  expect(unpaid.map(({ to, reason }) => [to, reason])).toEqual([["queued", "credit_elsewhere"]]);
  expect(await leases.recalled()).toEqual([{ customerId, epoch: 1 }]);
  const [row] = await pool.query<{ payload: Buffer; later: 0 | 1 }[]>(
    "SELECT payload, run_at > NOW(3) AS later FROM outbox WHERE lane='normal'",
  );
  const again = unpackLaneRow(row?.payload as Buffer);
  expect([again, row?.later]).toMatchObject([[{ attempt: 1, unreserved: true }], 1]);
  await leases.end([{ customerId, epoch: 1 }]);
  const { claimId, records: claimed } = await claim(again);
  expect(claimed).toHaveLength(1);
  await settle(claimId, claimed, taken);
  expect(await walletOf(customerId)).toEqual({ balance: 200, reserved: 0 });
  await leases.retire();
});

test("what ends before its claim costs nothing, and what Kafka lost is still unreserved", async () => {
  const customerId = await insertCustomer(pool, 500);
  const [later] = await accepted(customerId, [500], { sendAtMs: Date.now() + 60_000 });
  const own = { customerId, id: (later as LaneRecord).id, isGone: () => false };
  await cancelScheduled({ pool, now: Date.now }, own);
  const [lost] = await accepted(customerId, [500]);
  const [over] = await accepted(customerId, [500], { validUntilMs: Date.now() - 1 });
  await pool.write("DELETE FROM outbox");
  const found = [lost, over].map((record) => ({ id: (record as LaneRecord).id, attempt: 0 }));
  expect(await requeue(pool, found, Date.now())).toMatchObject({ ids: [lost?.id], ended: [over?.id] });
  expect(await entriesOf(customerId)).toEqual([]);
  const [row] = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM outbox WHERE lane='normal'");
  const { claimId, records } = await claim(unpackLaneRow(row?.payload as Buffer));
  await settle(claimId, records, taken);
  const statuses = await statusesOf([later, lost, over] as LaneRecord[]);
  expect(statuses).toEqual(["canceled", "sent", "expired lost before it was sent"]);
  expect(await walletOf(customerId)).toEqual({ balance: 0, reserved: 0 });
});

test("a spend cap holds for what is reserved by claims, several at once", async () => {
  const customerId = await insertCustomer(pool, 100_000);
  await setCaps(pool, customerId, { daily: 2_500 });
  const records = await accepted(
    customerId,
    Array.from({ length: 8 }, () => 500),
  );
  const claims = await Promise.all(records.map((record) => claim([record])));
  expect(claims.map((one) => one.records.length).reduce((sum, n) => sum + n)).toBe(5);
  const rejected = (await statusesOf(records)).filter((status) => status !== "sending");
  expect(rejected).toEqual(Array.from({ length: 3 }, () => "rejected spend_cap_reached"));
  for (const one of claims) if (one.records.length > 0) await settle(one.claimId, one.records, taken);
});

test("reconcile names what must not be: an entry, no row, a status for which a reserve is due", async () => {
  const customerId = await insertCustomer(pool, 5_000);
  const [one, two, three] = (await accepted(customerId, [500, 600, 700])) as [
    LaneRecord,
    LaneRecord,
    LaneRecord,
  ];
  const scope = { low: customerId, high: customerId };
  const named = async (sql: string, undo: string) => {
    await pool.query(sql);
    const found = [await drifts(), await drifts(scope)].map((of) =>
      of.filter((text) => text.startsWith("unres")),
    );
    await pool.query(undo);
    return found;
  };
  const entry = `(${customerId},'${one.id}','open','reserve',500,NOW(3))`;
  const free = "unreserved_is_free message is";
  expect(
    await named(
      `INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) VALUES ${entry}`,
      `DELETE FROM wallet_ledger WHERE entry_id='${one.id}'`,
    ),
  ).toEqual([[`${free} queued, unreserved, listed`], [`${free} queued, unreserved, listed`]]);
  expect(
    await named(
      `UPDATE messages SET status='unknown' WHERE id='${two.id}'`,
      `UPDATE messages SET status='queued' WHERE id='${two.id}'`,
    ),
  ).toEqual([[`${free} unknown, unreserved, listed`], [`${free} unknown, unreserved, listed`]]);
  // Nothing leads from its customer to a message without either: only the run over all finds it.
  await pool.query(`DELETE FROM unreserved_messages WHERE message_id='${three.id}'`);
  expect(await drifts()).not.toEqual([]);
  await pool.query(`INSERT INTO unreserved_messages VALUES (${customerId},'${three.id}')`);
});

test("over HTTP: 202 without a balance, also from an empty wallet, and a 402 again once the mode is lease", async () => {
  const { apiKey, customerId } = await makeCustomer(db.config, 0);
  await setMode(pool, customerId, "async");
  const ingest = await startIngest(db.config);
  try {
    const send = async (path: string, body: object, key?: string) => {
      const headers: Record<string, string> = key === undefined ? {} : { "Idempotency-Key": key };
      const answer = await post(`${ingest.url}${path}`, apiKey, body, headers);
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
    };
    const message = { phone: "09121234567", text: "hello", type: "normal" };
    const first = await send("/v1/sms/send", message, "once");
    expect(first).toMatchObject({ status: 202, body: { cost: 500, status: "queued" } });
    expect(first.body).not.toHaveProperty("balance_after");
    expect((await send("/v1/sms/send", message, "once")).body).toEqual(first.body);
    const phones = ["09121234567", "09121234568"];
    const batch = await send("/v1/sms/batches", { phones, text: "hello", type: "express" });
    expect(batch).toMatchObject({ status: 202, body: { cost: 1_400, rejected: [] } });
    expect(batch.body).not.toHaveProperty("balance_after");
    const listed = await fetch(`${ingest.url}/v1/messages`, { headers: { "X-API-Key": apiKey } });
    expect(((await listed.json()) as { messages: unknown[] }).messages).toHaveLength(3);
    expect(await walletOf(customerId)).toEqual({ balance: 0, reserved: 0 });
    await setMode(pool, customerId, "lease");
    await until(async () => (await send("/v1/sms/send", message)).status === 402, "the mode is known", 5_000);
  } finally {
    await ingest.end();
  }
});

test("in the usage report a message costs nothing until it is reserved, and nothing if it ended before", async () => {
  const { clickhouse, drop } = await createTestClickhouse();
  const customer_id = 4_242;
  const nowMs = Date.UTC(2026, 4, 20, 12, 30);
  const event = (at: number, status: Status, unreserved: 0 | 1): StatusEvent => ({
    id: createIdFactory({ now: () => nowMs - 60_000 - at })(),
    sequence: sequenceOf(0, status),
    status,
    customer_id,
    unreserved,
    created_at_ms: nowMs - 60_000 - at,
  });
  const sent = event(1, "queued", 1);
  await insertStatusEvents(clickhouse, [
    sent,
    { ...sent, status: "sent", sequence: sequenceOf(0, "sent"), unreserved: 0 },
    event(2, "queued", 1),
    event(3, "rejected", 1),
    event(4, "failed", 0),
  ]);
  const { usage } = await usageReport({ clickhouse, now: () => nowMs }, customer_id, new Map());
  await drop();
  const sums = usage.map(({ status, cost, refunded }) => `${status} ${cost} ${refunded}`);
  expect(sums.toSorted()).toEqual(["failed 0 500", "queued 0 0", "rejected 0 0", "sent 500 0"]);
});
