// Which express messages reconcile takes for rightly charged, on MySQL: as the ledger settles them, by every
// way on which an operator takes one, and the same with the money moved the other way.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { takeReports } from "../../src/dlr/take.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { storeReports } from "../../src/ledger/inbox-rows.ts";
import { reapClaim, settleClaim, settleReports } from "../../src/ledger/settle.ts";
import { DEFAULT_TERMS, type ReportTerms } from "../../src/operators/reports/report.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { readBooks } from "../../src/reconcile/books.ts";
import { checkBooks } from "../../src/reconcile/check.ts";
import { changeOf, type Outcome } from "../../src/sender/outcome.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

const id = createIdFactory({ now: Date.now });
const template = { id: "id", our_id: "our_id", status: "status", done_at: "at" };
const TERMS: ReportTerms = { ...DEFAULT_TERMS, shape: "generic", template, echoesId: true };
const MINUTE_MS = 60_000;

let db: TestDatabase;
let pool: Pool;
let customerId: number;
/** It was over when the messages are settled. */
let promiseMs: number;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 4, multipleStatements: true });
});
beforeEach(async () => {
  customerId = await insertCustomer(pool, 10_000);
  promiseMs = Date.now() - MINUTE_MS;
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

const taken = (atMs: number): Outcome => ({
  kind: "accepted",
  operator: "A",
  operatorMessageIds: ["a1"],
  atMs,
});
const lost: Outcome = { kind: "unknown", operator: "A", reason: "A: timed out" };
const busy: Outcome = { kind: "refused", permanent: false, reason: "A: 503 busy" };

async function claimed(): Promise<[LaneRecord, claimId: string]> {
  const createdAtMs = promiseMs - MINUTE_MS;
  const record = laneRecord(customerId, { lane: "express", guaranteedByMs: promiseMs, createdAtMs });
  await acceptMessages(pool, [record]);
  return [record, await claim(record)];
}
async function claim(record: LaneRecord): Promise<string> {
  const claimId = id();
  await claimMessages(pool, { claimId, lane: "express", records: [record], nowMs: Date.now() });
  return claimId;
}
async function settle(record: LaneRecord, claimId: string, outcome: Outcome, nowMs = Date.now()) {
  // Claimed long ago, when it could still be tried again in time.
  const changes = [changeOf(record, outcome, { nowMs: promiseMs - MINUTE_MS, jitter: 0 })];
  await settleClaim({ pool, id }, { claimId, lane: "express", changes, idsLeft: [], nowMs });
}
async function report(record: LaneRecord, status: string, doneAtMs: number | null): Promise<void> {
  const at = doneAtMs === null ? {} : { at: new Date(doneAtMs).toISOString() };
  const body = Buffer.from(JSON.stringify({ id: "a1", our_id: record.id, status, ...at }));
  const contentType = "application/json";
  const raw = { operator: "A", receivedAtMs: Date.now(), via: "http", contentType, query: "", body } as const;
  await storeReports(pool, [raw]);
  await takeReports({ pool, termsOf: () => TERMS, now: Date.now });
}

/** `atMs`: when an operator took it. */
type Way = [how: string, go: (atMs: number) => Promise<LaneRecord>];
const byAnswer = async (atMs: number) => {
  const [record, claimId] = await claimed();
  await settle(record, claimId, taken(atMs));
  return record;
};
const unknown = async () => {
  const [record, claimId] = await claimed();
  await settle(record, claimId, lost);
  return record;
};
const WAYS: Way[] = [
  ["by its answer", byAnswer],
  [
    "by its answer, and was delivered",
    async (atMs) => {
      const record = await byAnswer(atMs);
      await report(record, "DELIVRD", promiseMs + 1_000);
      return record;
    },
  ],
  [
    "by its answer, and was not delivered",
    async (atMs) => {
      const record = await byAnswer(atMs);
      await report(record, "UNDELIV", promiseMs - 1_000);
      return record;
    },
  ],
  [
    "at its second attempt",
    async (atMs) => {
      const [record, claimId] = await claimed();
      await settle(record, claimId, busy);
      const again = { ...record, attempt: 1 };
      await settle(again, await claim(again), taken(atMs));
      return record;
    },
  ],
  [
    "by an answer that came when it was unknown",
    async (atMs) => {
      const record = await unknown();
      const change = changeOf(record, taken(atMs), { nowMs: Date.now(), jitter: 0 });
      await settleReports({ pool, id }, [change], Date.now());
      return record;
    },
  ],
  [
    "by an outcome that was stored when its claim had expired",
    async (atMs) => {
      const [record, claimId] = await claimed();
      await pool.query("UPDATE claims SET expires_at=NOW(3) - INTERVAL 1 SECOND");
      while ((await reapClaim({ pool, id }, Date.now())) !== null);
      await settle(record, claimId, taken(atMs));
      return record;
    },
  ],
  [
    "by the done date of its report, when it was unknown",
    async (atMs) => {
      const record = await unknown();
      await report(record, "DELIVRD", atMs);
      return record;
    },
  ],
];

/** The rules that reconcile finds broken. */
function broken(): Promise<string[]> {
  return pool.use(async (conn) => {
    await conn.query("START TRANSACTION WITH CONSISTENT SNAPSHOT");
    const drifts = await checkBooks(conn, await readBooks(conn, { low: customerId, high: customerId }));
    await conn.query("ROLLBACK");
    return drifts.map(({ invariant }) => invariant);
  });
}
async function chargeOf({ id: messageId }: LaneRecord): Promise<string | undefined> {
  const [close] = await pool.query<{ op: string }[]>(
    `SELECT op FROM wallet_ledger WHERE leg='close' AND entry_id='${messageId}'`,
  );
  return close?.op;
}
/** Captures what was refunded, and refunds what was captured. */
async function turnMoney(record: LaneRecord): Promise<void> {
  const [op, change] = (await chargeOf(record)) === "capture" ? ["refund", "+"] : ["capture", "-"];
  await pool.query(
    `UPDATE wallet_ledger SET op='${op}' WHERE leg='close' AND entry_id='${record.id}';` +
      `UPDATE wallet_accounts SET balance=balance${change}${record.cost} WHERE customer_id=${customerId}`,
  );
}

for (const [how, go] of WAYS)
  for (const [when, lateMs, charge, wrong] of [
    ["within its promise", 0, "capture", "refunded"],
    ["after its promise", 1, "refund", "captured"],
  ] as const)
    test(`express taken ${when} ${how} is clean, and a drift if it is ${wrong}`, async () => {
      const record = await go(promiseMs + lateMs);
      expect(await chargeOf(record)).toBe(charge);
      expect(await broken()).toEqual([]);
      await turnMoney(record);
      expect(await broken()).toEqual(["message_close_matches_status"]);
    });

test("express that nobody says when it was taken counts as taken when its report came", async () => {
  const record = await unknown();
  await report(record, "DELIVRD", null);
  expect(await chargeOf(record)).toBe("refund");
  expect(await broken()).toEqual([]);
  await turnMoney(record);
  expect(await broken()).toEqual(["message_close_matches_status"]);
});

test("express settled before the time was noted may be either after its promise; in time only captured", async () => {
  const record = await byAnswer(promiseMs);
  await pool.query(`UPDATE messages SET taken_at=NULL WHERE id='${record.id}'`);
  expect(await broken()).toEqual([]);
  await turnMoney(record);
  expect(await broken()).toEqual([]);
  await pool.query(`UPDATE messages SET guaranteed_by=NOW(3) + INTERVAL 1 MINUTE WHERE id='${record.id}'`);
  expect(await broken()).toEqual(["message_close_matches_status"]);
});

test("messages that end untaken have no such time, and one of several with it leaves the others without", async () => {
  const [[late, lateClaim], [busyOne, busyClaim]] = [await claimed(), await claimed()];
  const nowMs = Date.now();
  await pool.query(`UPDATE claims SET ids='${late.id},${busyOne.id}' WHERE claim_id='${lateClaim}'`);
  await pool.query(`DELETE FROM claims WHERE claim_id='${busyClaim}'`);
  const normal = laneRecord(customerId);
  await acceptMessages(pool, [normal]);
  await settle(normal, await claim(normal), taken(nowMs));
  const changes = [taken(nowMs), { kind: "expired", reason: "late" } as const].map((outcome, at) =>
    changeOf(at === 0 ? late : busyOne, outcome, { nowMs, jitter: 0 }),
  );
  await settleClaim({ pool, id }, { claimId: lateClaim, lane: "express", changes, idsLeft: [], nowMs });
  const rows = await pool.query<{ id: string; taken_at: Date | null }[]>(
    `SELECT id, taken_at FROM messages WHERE customer_id=${customerId}`,
  );
  const noted = rows.filter(({ taken_at }) => taken_at !== null);
  expect(noted.map((row) => [row.id, row.taken_at?.getTime()])).toEqual([[late.id, nowMs]]);
  expect(await broken()).toEqual([]);
});
