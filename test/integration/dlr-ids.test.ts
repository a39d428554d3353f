// Delivery reports on MySQL whose ids alone don't say what they are about: ids that parts share, ids that
// were stored before the operator's terms said how it writes them, and recipients that are no numbers.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { takeReports } from "../../src/dlr/take.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { storeReports } from "../../src/ledger/inbox-rows.ts";
import { settleClaim, settleReports } from "../../src/ledger/settle.ts";
import { DEFAULT_TERMS, type ReportTerms } from "../../src/operators/reports/report.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { changeOf, type Outcome, withReported } from "../../src/sender/outcome.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

const id = createIdFactory({ now: Date.now });
const template = { phone: "to", entries: "reports", id: "id", status: "status" };
const TERMS: ReportTerms = { ...DEFAULT_TERMS, shape: "generic", template };

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

const takenAs = (operatorMessageIds: string[]): Outcome => ({
  kind: "accepted",
  operator: "C",
  operatorMessageIds,
  atMs: Date.now(),
});
const lostAs = (operatorMessageIds: string[]): Outcome => ({
  kind: "unknown",
  operator: "C",
  reason: "C: part 2: no answer in time",
  operatorMessageIds,
});

type How = Partial<LaneRecord> & { terms?: ReportTerms; lost?: boolean };
/** A message that its operator accepted, or a part of it, under these ids of one submit each. */
async function sent(
  ids: string[],
  { terms = TERMS, lost = false, ...fields }: How = {},
): Promise<LaneRecord> {
  const record = { ...laneRecord(customerId, { parts: ids.length }), ...fields };
  const [claimId, nowMs] = [id(), Date.now()];
  const taken = lost ? lostAs(ids) : takenAs(ids);
  await acceptMessages(pool, [record]);
  await claimMessages(pool, { claimId, lane: record.lane, records: [record], nowMs });
  const changes = [
    changeOf(
      record,
      withReported(taken, () => terms),
      { nowMs, jitter: 0 },
    ),
  ];
  await settleClaim({ pool, id }, { claimId, lane: record.lane, changes, idsLeft: [], nowMs });
  return record;
}

type Entry = { id: string; our_id?: string; status?: string; to?: string };
/** Stores these reports in one row and takes what is due. */
async function take(entries: Entry[], terms = TERMS, ageMs = 0): Promise<string[]> {
  const reports = entries.map((entry) => ({ status: "DELIVRD", ...entry }));
  const body = Buffer.from(JSON.stringify({ reports }));
  const receivedAtMs = Date.now() - ageMs;
  const raw = { operator: "C", receivedAtMs, query: "", contentType: "application/json", body };
  if (entries.length > 0) await storeReports(pool, [{ ...raw, via: "http" }]);
  const { results } = await takeReports({ pool, termsOf: () => terms, now: Date.now });
  return results.map(({ result }) => result);
}
async function statusOf(message: LaneRecord): Promise<string | undefined> {
  const [row] = await pool.query<{ status: string }[]>(
    `SELECT status FROM messages WHERE id='${message.id}'`,
  );
  return row?.status;
}
async function moneyOf(message: LaneRecord): Promise<string> {
  const entries = await pool.query<{ op: string }[]>(
    `SELECT op FROM wallet_ledger WHERE leg='close' AND entry_id='${message.id}'`,
  );
  return entries.map(({ op }) => op).join();
}

test("of parts with one id each report ends the next, taken together or apart; repeats end no other's", async () => {
  const together = await sent(["same", "same"]);
  expect(await take([{ id: "same" }, { id: "same" }])).toEqual(["settled", "late"]);
  expect(await statusOf(together)).toBe("delivered");

  const apart = await sent(["apart", "apart", "own"]);
  expect(await take([{ id: "apart" }])).toEqual(["part"]);
  expect(await take([{ id: "own" }, { id: "own" }])).toEqual(["part", "part"]);
  expect(await statusOf(apart)).toBe("sent");
  expect(await take([{ id: "apart" }])).toEqual(["settled"]);
  expect(await statusOf(apart)).toBe("delivered");

  const [one, other] = ["+989121230001", "+989121230002"];
  const mine = await sent(["twin", "twin"], { phone: one });
  const others = await sent(["twin", "twin"], { phone: other });
  const reports = [one, one, one, other].map((to) => ({ id: "twin", to }));
  await take(reports);
  expect([await statusOf(mine), await statusOf(others)]).toEqual(["delivered", "sent"]);
  expect(await take([{ id: "twin", to: other }])).toEqual(["settled"]);
  expect(await statusOf(others)).toBe("delivered");
});

test("reports of parts with one id that overtook the answer each end one of them", async () => {
  const early = [{ id: "soon" }, { id: "soon", status: "UNDELIV" }];
  expect(await take(early)).toEqual(["unmatched", "unmatched"]);
  const message = await sent(["soon", "soon"]);
  await pool.query("UPDATE inbox SET run_at=NOW(3)");
  expect((await take([])).toSorted()).toEqual(["late", "settled"]);
  expect(await statusOf(message)).toBe("undelivered");
  expect(await pool.query("SELECT about FROM waiting_ends")).toEqual([]);
});

test("what was sent before its operator's id_form was set is found by it, and what nothing says is equal is not", async () => {
  const hexInResponse: ReportTerms = { ...TERMS, idForm: "hex_in_response" };
  const hexInReport: ReportTerms = { ...TERMS, idForm: "hex_in_report" };
  const before = await sent(["39f99de7"]);
  expect(await take([{ id: "0972660199" }])).toEqual(["unmatched"]);
  await pool.query("DELETE FROM inbox;DELETE FROM waiting_ends");
  expect(await take([{ id: "0972660199" }], hexInResponse)).toEqual(["settled"]);
  expect(await statusOf(before)).toBe("delivered");

  const reverse = await sent(["972660200"], { terms: hexInResponse });
  expect(await take([{ id: "39F99DE8" }], hexInReport)).toEqual(["settled"]);
  expect(await statusOf(reverse)).toBe("delivered");

  // Stored as the number that another operator's decimal id is: its key is found, but nothing says it is one.
  const hex = await sent(["10ab"], { terms: hexInResponse });
  expect(await take([{ id: "4267" }])).toEqual(["unmatched"]);
  expect(await take([{ id: "10AB" }])).toEqual(["settled"]);
  expect(await statusOf(hex)).toBe("delivered");

  // Nor is the end of one report kept for the id that it would be in another base.
  expect(await take([{ id: "10", status: "UNDELIV" }])).toEqual(["unmatched"]);
  const sixteen = await sent(["16"]);
  expect(await take([{ id: "16" }])).toEqual(["settled"]);
  expect(await statusOf(sixteen)).toBe("delivered");
});

test("the report stored first counts, also if what it gives as the recipient is a name or a short code", async () => {
  for (const [at, to] of ["Sluice", "3000", "000000042"].entries()) {
    expect(await take([{ id: `named-${at}`, status: "UNDELIV", to }])).toEqual(["unmatched"]);
    const message = await sent([`named-${at}`]);
    expect(await take([{ id: `named-${at}`, to }])).toEqual(["settled"]);
    expect([to, await statusOf(message)]).toEqual([to, "undelivered"]);
  }
});

/** A late answer names the submit that has no id yet. */
async function takenLate(message: LaneRecord, ids: string[], terms: ReportTerms): Promise<void> {
  const taken = takenAs(ids.map((one) => (one === "" ? `late-${id()}` : one)));
  const at = { nowMs: Date.now(), jitter: 0 };
  const change = changeOf(
    message,
    withReported(taken, () => terms),
    at,
  );
  expect((await settleReports({ pool, id }, [change], Date.now())).settled).toHaveLength(1);
}

test("where one part is reported, its report proves nothing of the others whose answer was lost; a late answer does", async () => {
  for (const receiptParts of ["first", "last"] as const) {
    const terms: ReportTerms = { ...TERMS, receiptParts };
    const idsOf = (name: string) =>
      receiptParts === "first" ? [`${name}-${receiptParts}`, ""] : ["", `${name}-${receiptParts}`];
    const reported = (name: string, status = "DELIVRD") => [{ id: `${name}-${receiptParts}`, status }];

    const message = await sent(idsOf("half"), { terms, lost: true });
    expect(await take(reported("half"), terms)).toEqual(["early"]);
    expect([await statusOf(message), await moneyOf(message)]).toEqual(["unknown", ""]);
    await takenLate(message, idsOf("half"), terms);
    await pool.query("UPDATE inbox SET run_at=NOW(3)");
    expect(await take([], terms)).toEqual(["settled"]);
    expect([await statusOf(message), await moneyOf(message)]).toEqual(["delivered", "capture"]);

    const before = await sent(idsOf("before"), { terms, lost: true });
    await takenLate(before, idsOf("before"), terms);
    expect(await take(reported("before"), terms)).toEqual(["settled"]);

    const failed = await sent(idsOf("failed"), { terms, lost: true });
    expect(await take(reported("failed", "UNDELIV"), terms)).toEqual(["settled"]);
    expect(await statusOf(failed)).toBe("undelivered");
  }
});

test("an id that isn't ASCII holds up nothing: it isn't kept with the message, and is found again all the same", async () => {
  const [foreign, phone] = ["شناسه-É7", "+989121230009"];
  const echo: ReportTerms = { ...TERMS, template: { ...template, our_id: "our_id" }, echoesId: true };
  const [echoed, named] = [await sent([], { lost: true }), await sent([], { lost: true, phone })];
  expect(await take([{ id: foreign, our_id: echoed.id }], echo)).toEqual(["settled"]);
  expect([await statusOf(echoed), await moneyOf(echoed)]).toEqual(["delivered", "capture"]);

  // By its recipient, once no answer can name the id any more; from then on by the id.
  expect(await take([{ id: foreign, to: phone }], TERMS, 61_000)).toEqual(["settled"]);
  expect([await statusOf(named), await moneyOf(named)]).toEqual(["delivered", "capture"]);
  expect(await take([{ id: foreign.toLowerCase(), status: "UNDELIV" }])).toEqual(["late"]);
  expect(await take([{ id: "شناسه-Z7" }])).toEqual(["unmatched"]);
  const ids = await pool.query("SELECT operator_message_id AS id FROM messages WHERE id IN (?,?)", [
    echoed.id,
    named.id,
  ]);
  expect(ids).toEqual([{ id: null }, { id: null }]);
});
