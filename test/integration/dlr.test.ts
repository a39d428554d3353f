// Delivery reports on MySQL, from the inbox to the settled message: who is found, what it costs, and what
// changes nothing. The reading of each shape has its tests beside it.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { REPORT_TTL_MS } from "../../src/core/limits.ts";
import type { RawReport } from "../../src/core/raw-report.ts";
import { ROWS_MAX, takeReports } from "../../src/dlr/take.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { listLetters } from "../../src/ledger/dead-letters.ts";
import { createInbox } from "../../src/ledger/inbox.ts";
import { storeReports } from "../../src/ledger/inbox-rows.ts";
import { findLateReports } from "../../src/ledger/late-reports.ts";
import { requeueLetter } from "../../src/ledger/requeue-letter.ts";
import { reapClaim, settleClaim, settleReports } from "../../src/ledger/settle.ts";
import { DEFAULT_TERMS, type ReportTerms } from "../../src/operators/reports/report.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { changeOf, type Outcome, withReported } from "../../src/sender/outcome.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

const id = createIdFactory({ now: Date.now });
const template = {
  id: "id",
  our_id: "our_id",
  status: "status",
  error: "err",
  done_at: "at",
  phone: "to",
  entries: "reports",
};
const own: ReportTerms = { ...DEFAULT_TERMS, shape: "generic", template };
const TERMS: Record<string, ReportTerms> = {
  A: { ...own, echoesId: true },
  B: { ...own, echoesId: true },
  C: own,
};

let db: TestDatabase;
let pool: Pool;
let customerId: number;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 8, multipleStatements: true });
  customerId = await insertCustomer(pool, 1_000_000);
});
beforeEach(() => pool.query("DELETE FROM inbox;DELETE FROM waiting_ends"));
afterAll(async () => {
  await reconcileBooks(pool);
  await pool.end();
  await db.drop();
});

type Sent = Partial<LaneRecord> & {
  operator?: string;
  ids?: string[];
  receiptParts?: ReportTerms["receiptParts"];
};
const takenAs = (operator: string, operatorMessageIds: string[]): Outcome => ({
  kind: "accepted",
  operator,
  operatorMessageIds,
  atMs: Date.now(),
});
/** A message that its operator accepted, under these ids of one submit each. */
async function sent(how: Sent = {}): Promise<LaneRecord> {
  const { operator = "C", ids = [`op-${id()}`], receiptParts = "each", ...fields } = how;
  const record = { ...laneRecord(customerId), ...fields };
  await sending(record, async (claimId) => {
    const termsOf = (name: string) => ({ ...(TERMS[name] as ReportTerms), receiptParts });
    await settle(claimId, record, withReported(takenAs(operator, ids), termsOf));
  });
  return record;
}
async function sending(record: LaneRecord, then: (claimId: string) => Promise<void>): Promise<void> {
  const claimId = id();
  await acceptMessages(pool, [record]);
  await claimMessages(pool, { claimId, lane: record.lane, records: [record], nowMs: Date.now() });
  await then(claimId);
}
const settle = (claimId: string, record: LaneRecord, outcome: Outcome) =>
  settleClaim(
    { pool, id },
    {
      claimId,
      lane: record.lane,
      changes: [changeOf(record, outcome, { nowMs: Date.now(), jitter: 0 })],
      idsLeft: [],
      nowMs: Date.now(),
    },
  );

type Entry = { id?: string; our_id?: string; status?: string; err?: string; at?: string; to?: string };
const report = (operator: string, entries: Entry[], receivedAtMs = Date.now()): RawReport => ({
  operator,
  receivedAtMs,
  via: "http",
  contentType: "application/json",
  query: "",
  body: Buffer.from(JSON.stringify({ reports: entries.map((entry) => ({ status: "DELIVRD", ...entry })) })),
});
const deps = () => ({ pool, termsOf: (name: string) => TERMS[name], now: Date.now });
/** Stores these reports in one row and takes what is due. */
async function take(...reports: RawReport[]): Promise<string[]> {
  if (reports.length > 0) await storeReports(pool, reports);
  return (await takeReports(deps())).results.map(({ result }) => result);
}
const due = () => pool.query("UPDATE inbox SET run_at=NOW(3)");
async function stateOf({ id: messageId }: LaneRecord) {
  const [row] = await pool.query<
    { status: string; sequence: number; last_error: string | null; operator: string }[]
  >(`SELECT status, sequence, last_error, operator FROM messages WHERE id='${messageId}'`);
  const entries = await pool.query<{ op: string }[]>(
    `SELECT op FROM wallet_ledger WHERE leg='close' AND entry_id='${messageId}'`,
  );
  return { ...row, money: entries.map(({ op }) => op).join() };
}
const inbox = () => pool.query<{ later: number }[]>("SELECT run_at>NOW(3) AS later FROM inbox");
const lateOf = async ({ id: messageId }: LaneRecord) =>
  (await findLateReports(pool, messageId)).map(({ status, operator }) => `${status} ${operator}`);
const kept = () => pool.query<{ about: string }[]>("SELECT about FROM waiting_ends");

test("a report found by the operator's id delivers its message, and moves no money", async () => {
  const message = await sent({ ids: ["Op-0017"] });
  expect(await take(report("C", [{ id: "op-0017" }]))).toEqual(["settled"]);
  expect(await stateOf(message)).toMatchObject({
    status: "delivered",
    sequence: 5,
    money: "capture",
    operator: "C",
  });
  expect(await inbox()).toEqual([]);
});

test("a report found by our own id ends its message; another operator's does not", async () => {
  const message = await sent({ operator: "A" });
  expect(await take(report("B", [{ our_id: message.id, id: "b" }]))).toEqual(["nowhere"]);
  expect(await stateOf(message)).toMatchObject({ status: "sent" });
  expect(await take(report("A", [{ our_id: message.id, id: "a", status: "UNDELIV", err: "001" }]))).toEqual([
    "settled",
  ]);
  const state = await stateOf(message);
  expect(state).toMatchObject({ status: "undelivered", money: "capture", operator: "A" });
  expect(state.last_error).toContain("001");
});

test("the first final status stays: repeated, late and contradicting reports change nothing", async () => {
  const message = await sent({ ids: ["first"] });
  const delivered = report("C", [{ id: "first" }]);
  const contrary = report("C", [{ id: "first", status: "UNDELIV", err: "001" }]);
  expect(await take(delivered, delivered, contrary)).toEqual(["settled", "late", "late"]);
  expect(await take(contrary)).toEqual(["late"]);
  expect(await stateOf(message)).toMatchObject({ status: "delivered", last_error: null });
  expect((await lateOf(message)).toSorted()).toEqual(["delivered C", "undelivered C"]);
  expect(await inbox()).toEqual([]);
});

test("an intermediate notice and a status nobody knows end nothing", async () => {
  const message = await sent({ ids: ["notice"] });
  expect(
    await take(
      report("C", [
        { id: "notice", status: "ENROUTE" },
        { id: "notice", status: "WHATEVER" },
      ]),
    ),
  ).toEqual(["notice", "notice"]);
  expect(await stateOf(message)).toMatchObject({ status: "sent" });
});

test("a report that overtakes the answer to its submit waits for it", async () => {
  const record = laneRecord(customerId);
  await sending(record, async (claimId) => {
    expect(await take(report("A", [{ our_id: record.id, id: "x" }]))).toEqual(["early"]);
    expect(await take(report("C", [{ id: "not-known-yet" }]))).toEqual(["unmatched"]);
    expect(await take()).toEqual([]); // both are due later
    await settle(claimId, record, takenAs("A", ["x"]));
  });
  await due();
  expect((await take()).toSorted()).toEqual(["settled", "unmatched"]);
  expect(await stateOf(record)).toMatchObject({ status: "delivered", money: "capture" });
});

test("of two reports that contradict each other the one stored first counts, although its message couldn't end yet", async () => {
  const record = laneRecord(customerId);
  await sending(record, async (claimId) => {
    const first = report("A", [{ our_id: record.id, status: "UNDELIV", err: "001" }]);
    expect(await take(first, report("A", [{ our_id: record.id }]))).toEqual(["early", "early"]);
    expect(await kept()).toEqual([{ about: record.id }]);
    await settle(claimId, record, takenAs("A", ["y"]));
  });
  // Those two wait for their next try; this one finds the message able to end, and is overruled.
  expect(await take(report("A", [{ our_id: record.id }]))).toEqual(["settled"]);
  const state = await stateOf(record);
  expect(state).toMatchObject({ status: "undelivered", money: "capture" });
  expect(state.last_error).toContain("001");
  await due();
  expect(await take()).toEqual(["late", "late"]);
  expect(await kept()).toEqual([]);
  // Both contradictions said the same; the first report ended the message, so it isn't late.
  expect(await lateOf(record)).toEqual(["delivered A"]);
});

test("the same holds while nobody knows the operator's id, however its case; not between two recipients", async () => {
  expect(await take(report("C", [{ id: "Own-1", status: "UNDELIV", to: "989121230001" }]))).toEqual([
    "unmatched",
  ]);
  const other = await sent({ ids: ["own-1"], phone: "+989121230002" });
  expect(await take(report("C", [{ id: "own-1", to: "09121230002" }]))).toEqual(["settled"]);
  expect(await stateOf(other)).toMatchObject({ status: "delivered" });

  expect(await take(report("C", [{ id: "Own-2", status: "UNDELIV", to: "989121230001" }]))).toEqual([
    "unmatched",
  ]);
  const message = await sent({ ids: ["own-2"], phone: "+989121230001" });
  expect(await take(report("C", [{ id: "own-2", to: "09121230001" }]))).toEqual(["settled"]);
  expect(await stateOf(message)).toMatchObject({ status: "undelivered" });
  await due();
  expect(await take()).toEqual(["late", "late"]);
});

test("the parts of a message keep the order of their own reports", async () => {
  const reports = [
    report("C", [{ id: "part-1", status: "UNDELIV", err: "7" }]),
    report("C", [{ id: "part-2" }]),
  ];
  expect(await take(...reports)).toEqual(["unmatched", "unmatched"]);
  const message = await sent({ ids: ["part-1", "part-2"] });
  expect(await take(report("C", [{ id: "part-2", status: "UNDELIV" }]))).toEqual(["part"]);
  expect(await stateOf(message)).toMatchObject({ status: "sent" });
  expect(await take(report("C", [{ id: "part-1" }]))).toEqual(["settled"]);
  expect(await stateOf(message)).toMatchObject({ status: "undelivered" });
  expect((await stateOf(message)).last_error).toContain("7");
});

test("what matches nothing for a day is dropped, and what was kept of it goes", async () => {
  expect(await take(report("C", [{ id: "nobody's" }], Date.now() - REPORT_TTL_MS + 60_000))).toEqual([
    "unmatched",
  ]);
  expect(await kept()).toEqual([{ about: "nobody's" }]);
  await pool.query("DELETE FROM inbox");
  expect(await take(report("C", [{ id: "nobody's" }], Date.now() - REPORT_TTL_MS))).toEqual(["dropped"]);
  expect(await inbox()).toEqual([]);
  expect(await kept()).toEqual([]);
});

test("proof for an unknown message captures or, express after its promise, refunds it", async () => {
  const lost: Outcome = { kind: "unknown", operator: "A", reason: "A: no answer in time" };
  const unknown = async (fields: Partial<LaneRecord> = {}) => {
    const record = { ...laneRecord(customerId), ...fields };
    await sending(record, async (claimId) => void (await settle(claimId, record, lost)));
    return record;
  };
  const guaranteedByMs = Date.now() - 60_000;
  const createdAtMs = guaranteedByMs - 10_000;
  const express = { lane: "express", guaranteedByMs, createdAtMs } as const;
  const [normal, inTime, late] = [await unknown(), await unknown(express), await unknown(express)];
  const at = (ms: number) => new Date(ms).toISOString();
  await take(
    report("A", [
      { our_id: normal.id },
      { our_id: inTime.id, at: at(guaranteedByMs - 1_000) },
      { our_id: late.id, at: at(guaranteedByMs + 1_000) },
    ]),
  );
  expect(await stateOf(normal)).toMatchObject({ status: "delivered", money: "capture", operator: "A" });
  expect(await stateOf(inTime)).toMatchObject({ status: "delivered", money: "capture" });
  expect(await stateOf(late)).toMatchObject({ status: "delivered", money: "refund" });
  // Their time limit passes: nothing is settled twice.
  await pool.query("UPDATE claims SET expires_at=NOW(3) - INTERVAL 1 SECOND");
  while ((await reapClaim({ pool, id }, Date.now())) !== null);
  expect(await stateOf(normal)).toMatchObject({ status: "delivered", money: "capture" });
});

test("a message of several submits is delivered when all are, in any order, and fails with one", async () => {
  const whole = await sent({ ids: ["w-1", "w-2", "w-3"] });
  expect(await take(report("C", [{ id: "w-3" }, { id: "w-1" }, { id: "w-1" }]))).toEqual([
    "part",
    "part",
    "part",
  ]);
  expect(await stateOf(whole)).toMatchObject({ status: "sent" });
  expect(await take(report("C", [{ id: "w-2" }]))).toEqual(["settled"]);
  expect(await stateOf(whole)).toMatchObject({ status: "delivered" });
  const failed = await sent({ ids: ["f-1", "f-2"] });
  expect(await take(report("C", [{ id: "f-2", status: "UNDELIV", err: "6" }]))).toEqual(["settled"]);
  expect(await take(report("C", [{ id: "f-1" }]))).toEqual(["late"]);
  expect(await stateOf(failed)).toMatchObject({ status: "undelivered" });
});

test("the submits of an unknown message that were taken are found; when a late answer names the others, the whole message is", async () => {
  const lost = (ids: string[]): Outcome => ({
    kind: "unknown",
    operator: "C",
    reason: "C: part 3: no answer in time",
    operatorMessageIds: ids,
  });
  const keyed = (outcome: Outcome) => withReported(outcome, (name) => TERMS[name]);
  const [whole, failed] = [laneRecord(customerId), laneRecord(customerId, { parts: 3 })];
  await sending(whole, async (claimId) => {
    await settle(claimId, whole, keyed(lost(["l-1", "l-2", ""])));
  });
  expect(await take(report("C", [{ id: "l-2" }, { id: "l-1" }]))).toEqual(["part", "part"]);
  expect(await stateOf(whole)).toMatchObject({ status: "unknown", money: "" });
  const late = changeOf(whole, keyed(takenAs("C", ["l-1", "l-2", "l-3"])), { nowMs: Date.now(), jitter: 0 });
  expect((await settleReports({ pool, id }, [late], Date.now())).settled).toHaveLength(1);
  expect(await stateOf(whole)).toMatchObject({ status: "sent", money: "capture" });
  expect(await take(report("C", [{ id: "l-3" }]))).toEqual(["settled"]);
  expect(await stateOf(whole)).toMatchObject({ status: "delivered", money: "capture" });

  await sending(failed, async (claimId) => {
    await settle(claimId, failed, keyed(lost(["f-l-1", "", ""])));
  });
  expect(await take(report("C", [{ id: "f-l-1", status: "UNDELIV" }]))).toEqual(["settled"]);
  expect(await stateOf(failed)).toMatchObject({ status: "undelivered", money: "capture" });
  // Reports on its other submits must not be taken for another message's.
  const lostAt = "SELECT operator FROM lost_submits WHERE message_id=?";
  expect(await pool.query(lostAt, [failed.id])).toEqual([{ operator: "C" }]);
});

test("where only the first or the last part is reported, it ends the message", async () => {
  const first = await sent({ ids: ["p-1", "p-2"], receiptParts: "first" });
  expect(await take(report("C", [{ id: "p-1" }]))).toEqual(["settled"]);
  expect(await stateOf(first)).toMatchObject({ status: "delivered" });
  const last = await sent({ ids: ["q-1", "q-2"], receiptParts: "last" });
  expect(await take(report("C", [{ id: "q-1" }]))).toEqual(["unmatched"]);
  expect(await take(report("C", [{ id: "q-2" }]))).toEqual(["settled"]);
  expect(await stateOf(last)).toMatchObject({ status: "delivered" });
  const nameless = await sent({ ids: ["r-1", ""] });
  expect(await take(report("C", [{ id: "r-1" }]))).toEqual(["part"]); // the other can't be reported on
  expect(await stateOf(nameless)).toMatchObject({ status: "sent" });
});

test("two messages with one operator's id are told apart by the recipient, or not at all", async () => {
  await sent({ ids: ["twin"], phone: "+989121230001" });
  await sent({ ids: ["twin"], phone: "+989121230002" });
  expect(await take(report("C", [{ id: "twin" }]))).toEqual(["ambiguous"]);
});

test("what can't be read is kept as a dead letter, with the reason, and holds up nothing; requeued, it is read again", async () => {
  const message = await sent({ ids: ["sound"] });
  const broken = { ...report("C", []), body: Buffer.from("{") };
  expect(await take(broken, report("gone", [{ id: "x" }]), report("C", [{ id: "sound" }]))).toEqual([
    "unreadable",
    "unreadable",
    "settled",
  ]);
  await pool.write("INSERT INTO inbox (payload) VALUES (x'00ff')");
  expect(await take()).toEqual(["unreadable"]);
  expect(await stateOf(message)).toMatchObject({ status: "delivered" });
  expect(await inbox()).toEqual([]);
  const kept = await listLetters(pool, { source: "report", limit: 10 });
  const places = kept.map(({ place }) => place);
  expect(places).toEqual(["C by http", "gone by http", expect.stringMatching(/^inbox\/\d+$/)]);
  expect(kept[1]?.reason).toBe("the routes file has no such operator");
  const id = kept[1]?.id as number;
  expect(await requeueLetter(pool, id)).toMatchObject({ kind: "requeued", into: "inbox" });
  expect(await take()).toEqual(["unreadable"]);
  const again = await listLetters(pool, { source: "report", limit: 10 });
  expect(again.map(({ place }) => place)).toEqual([0, 2, 1].map((at) => places[at] as string));
});

test("a body of 10,000 reports is settled in one transaction", async () => {
  const messages = await Promise.all(Array.from({ length: 3 }, (_, i) => sent({ ids: [`big-${i}`] })));
  const entries = Array.from({ length: 10_000 }, (_, i) => ({ id: `big-${i}` }));
  const results = await take(report("C", entries));
  expect(results.filter((result) => result === "settled")).toHaveLength(3);
  expect(results.filter((result) => result === "unmatched")).toHaveLength(9_997);
  for (const message of messages) expect(await stateOf(message)).toMatchObject({ status: "delivered" });
});

test("of two processes one waits for the other: each report is settled once", async () => {
  const messages = await Promise.all(
    Array.from({ length: ROWS_MAX + 5 }, (_, i) => sent({ ids: [`s-${i}`] })),
  );
  for (let i = 0; i < messages.length; i++) await storeReports(pool, [report("C", [{ id: `s-${i}` }])]);
  const both = await Promise.all([takeReports(deps()), takeReports(deps())]);
  expect(both.flatMap(({ results }) => results.map(({ result }) => result))).toEqual(
    messages.map(() => "settled"),
  );
});

test("reports that come while a row is being written share the next one, and each waits for its own", async () => {
  const store = createInbox(pool, () => performance.now());
  const reports = Array.from({ length: 250 }, (_, i) => report("C", [{ id: `i-${i}` }]));
  await Promise.all(reports.map((one) => store.store(one)));
  const [row] = await pool.query<{ n: number }[]>("SELECT COUNT(*) AS n FROM inbox");
  expect(row?.n).toBe(4); // one alone, then 100, 100, 49
  const results: string[] = [];
  for (let rows = 1; rows > 0; ) {
    const taken = await takeReports(deps());
    rows = taken.rows;
    results.push(...taken.results.map(({ result }) => result));
  }
  expect(results).toHaveLength(250);
});
