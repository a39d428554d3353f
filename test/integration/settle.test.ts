// Claims and settlement on MySQL, statement by statement: who may settle what, also when it was settled
// before or is too late.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import { type LaneRecord, unpackLaneRow } from "../../src/core/lane-record.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import type { Change } from "../../src/ledger/move.ts";
import { requeue } from "../../src/ledger/requeue.ts";
import { reapClaim, settleClaim } from "../../src/ledger/settle.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { changeOf as changeAt, type Outcome } from "../../src/sender/outcome.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

const id = createIdFactory({ now: Date.now });
const taken: Outcome = { kind: "accepted", operator: "A", operatorMessageIds: ["a1"], atMs: 0 };
const busy: Outcome = { kind: "refused", permanent: false, reason: "A: 503 busy" };
const lost: Outcome = { kind: "unknown", operator: "A", reason: "A: timed out" };

let db: TestDatabase;
let pool: Pool;
let customerId: number;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 8, multipleStatements: true });
  customerId = await insertCustomer(pool, 1_000_000);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

async function accepted(count: number): Promise<LaneRecord[]> {
  const records = Array.from({ length: count }, () => laneRecord(customerId));
  await acceptMessages(pool, records);
  return records;
}
const claim = async (records: LaneRecord[], claimId = id(), again = false) => {
  const claimed = await claimMessages(pool, { claimId, lane: "normal", records, nowMs: Date.now() }, again);
  return { claimId, ...claimed };
};
const settle = (claimId: string, changes: Change[], idsLeft: string[] = []) =>
  settleClaim({ pool, id }, { claimId, lane: "normal", changes, idsLeft, nowMs: Date.now() });
const changeOf = (record: LaneRecord, outcome: Outcome) =>
  changeAt(record, outcome, { nowMs: Date.now(), jitter: 1 });
const changesOf = (records: LaneRecord[], outcome: Outcome) =>
  records.map((record) => changeOf(record, outcome));
const expire = (claimId?: string) =>
  pool.write(
    `UPDATE claims SET expires_at=NOW(3) - INTERVAL 1 SECOND${claimId ? ` WHERE claim_id='${claimId}'` : ""}`,
  );
const reapAll = async () => {
  while ((await reapClaim({ pool, id }, Date.now())) !== null);
};
const statuses = async (records: LaneRecord[]) => {
  const rows = await pool.query<{ status: string; attempt: number; sequence: number }[]>(
    `SELECT status, attempt, sequence FROM messages ` +
      `WHERE id IN ('${records.map((r) => r.id).join("','")}') ORDER BY id`,
  );
  return rows.map((row) => `${row.status} ${row.attempt} ${row.sequence}`);
};
const closes = async (records: LaneRecord[]) => {
  const rows = await pool.query<{ op: string }[]>(
    `SELECT op FROM wallet_ledger WHERE leg='close' ` +
      `AND entry_id IN ('${records.map((r) => r.id).join("','")}') ORDER BY entry_id`,
  );
  return rows.map((row) => row.op);
};

test("of two claims for the same records one gets them, even when both run at once", async () => {
  const records = await accepted(50);
  const both = await Promise.all([claim(records), claim(records)]);
  expect(both.map((c) => c.records.length).toSorted((a, b) => a - b)).toEqual([0, 50]);
  const again = await claim(records);
  expect(again.records).toEqual([]);
  expect((await statuses(records))[0]).toBe("sending 0 2");
});

test("a record of another attempt than the row's is not claimed, but the rest of its batch is", async () => {
  const records = await accepted(3);
  const stale = { ...(records[1] as LaneRecord), attempt: 1 };
  const { records: claimed } = await claim([records[0] as LaneRecord, stale, records[2] as LaneRecord]);
  expect(claimed.map((r) => r.id)).toEqual([records[0]?.id, records[2]?.id] as string[]);
});

test("a claim repeated after a lost answer is the same claim", async () => {
  const records = await accepted(2);
  const { claimId } = await claim(records);
  expect(await claim(records, claimId, true)).toMatchObject({ records, wasStored: true });
});

test("a settlement in two parts ends the claim with the second, and a repeated one changes nothing", async () => {
  const records = await accepted(4);
  const { claimId } = await claim(records);
  const [early, late] = [records.slice(0, 3), records.slice(3)];
  await settle(
    claimId,
    changesOf(early, taken),
    late.map((r) => r.id),
  );
  const [row] = await pool.query<{ ids: string }[]>(`SELECT ids FROM claims WHERE claim_id='${claimId}'`);
  expect(row?.ids).toBe(late[0]?.id as string);
  await settle(claimId, changesOf(late, busy));
  expect(await pool.query(`SELECT 1 FROM claims WHERE claim_id='${claimId}'`)).toEqual([]);
  const repeated = await settle(claimId, changesOf(early, taken));
  expect(repeated).toEqual({ changes: [], late: true });
  expect(await closes(records)).toEqual(["capture", "capture", "capture"]);
  expect(await statuses(records)).toEqual(["sent 0 4", "sent 0 4", "sent 0 4", "queued 1 7"]);
});

test("an expired claim makes sending messages unknown, and late outcomes settle them: accepted, not accepted, still unknown", async () => {
  const records = await accepted(3);
  const [first, second, third] = records as [LaneRecord, LaneRecord, LaneRecord];
  const { claimId } = await claim(records);
  await expire(claimId);
  expect((await reapClaim({ pool, id }, Date.now()))?.map((c) => c.to)).toEqual([
    "unknown",
    "unknown",
    "unknown",
  ]);
  const { changes, late } = await settle(claimId, [
    changeOf(first, taken),
    changeOf(second, busy),
    changeOf(third, lost),
  ]);
  expect(late).toBe(true);
  expect(changes.map((c) => c.to)).toEqual(["sent", "failed"]);
  expect(await closes(records)).toEqual(["capture", "refund"]);
  expect(await statuses(records)).toEqual(["sent 0 4", "failed 0 5", "unknown 0 3"]);
  await expire();
  await reapAll();
  expect(await closes([third])).toEqual(["refund"]);
});

test("messages refused for now wait for as long as their attempt says, those of one time in one row; what has no time left expires", async () => {
  const [first, second, over] = (await accepted(3)) as [LaneRecord, LaneRecord, LaneRecord];
  const { claimId } = await claim([first, second, over]);
  await pool.query("DELETE FROM outbox");
  const isOver = { ...over, validUntilMs: Date.now() + 500 };
  await settle(claimId, [changeOf(first, busy), changeOf(second, busy), changeOf(isOver, busy)]);
  const rows = await pool.query<{ payload: Buffer; inMs: number }[]>(
    "SELECT payload, TIMESTAMPDIFF(MICROSECOND, NOW(3), run_at) / 1000 AS inMs " +
      "FROM outbox WHERE lane='normal'",
  );
  expect(rows).toHaveLength(1);
  expect(unpackLaneRow(rows[0]?.payload as Buffer).map((r) => [r.id, r.attempt])).toEqual([
    [first.id, 1],
    [second.id, 1],
  ]);
  expect(Number(rows[0]?.inMs)).toBeGreaterThan(0);
  expect(Number(rows[0]?.inMs)).toBeLessThanOrEqual(1_000);
  expect(await statuses([first, second, over])).toEqual(["queued 1 7", "queued 1 7", "expired 0 5"]);
  expect(await closes([first, second, over])).toEqual(["refund"]);
});

test("a message keeps how long it is valid over its attempts, whoever requeues it", async () => {
  const validUntilMs = Date.now() + 3_600_000;
  const record = laneRecord(customerId, { validUntilMs });
  await acceptMessages(pool, [record]);
  await pool.query("DELETE FROM outbox");
  expect(await requeue(pool, [record], Date.now())).toEqual({ ids: [record.id], ended: [] });
  const [row] = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM outbox WHERE lane='normal'");
  expect(unpackLaneRow(row?.payload as Buffer)).toMatchObject([{ id: record.id, attempt: 1, validUntilMs }]);
  const again = { ...record, attempt: 1 };
  expect(await requeue(pool, [again], validUntilMs)).toEqual({ ids: [], ended: [record.id] });
  expect(await statuses([record])).toEqual(["expired 1 11"]);
  expect(await closes([record])).toEqual(["refund"]);
});

test("proof that comes after an unknown message was refunded moves no money", async () => {
  const records = await accepted(1);
  const { claimId } = await claim(records);
  await expire(claimId);
  await reapClaim({ pool, id }, Date.now());
  await expire();
  await reapAll();
  expect((await settle(claimId, changesOf(records, taken))).changes).toEqual([]);
  expect(await closes(records)).toEqual(["refund"]);
});

test("simultaneous settlements of the same customers all succeed, and the wallet adds up", async () => {
  const customers = await Promise.all([1, 2, 3, 4].map(() => insertCustomer(pool, 100_000)));
  const batches = await Promise.all(
    Array.from({ length: 8 }, async (_, batch) => {
      const records = Array.from({ length: 20 }, (_unused, n) =>
        laneRecord(customers[(batch + n) % customers.length] as number, { cost: 7 }),
      );
      await acceptMessages(pool, records);
      return claim(records);
    }),
  );
  await Promise.all(
    batches.map(({ claimId, records }, n) =>
      settle(claimId, changesOf(records, n % 2 ? taken : { ...busy, permanent: true })),
    ),
  );
  const wallets = await pool.query<{ balance: number; reserved: number }[]>(
    `SELECT balance, reserved FROM wallet_accounts WHERE customer_id IN (${customers})`,
  );
  expect(wallets.map((w) => w.reserved)).toEqual([0, 0, 0, 0]);
  expect(wallets.reduce((sum, w) => sum + w.balance, 0)).toBe(400_000 - 80 * 7);
});
