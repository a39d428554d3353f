// Messages whose answer was lost, on MySQL: which report is about one of them although nobody knows the
// operator's id, and what that costs.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { takeReports } from "../../src/dlr/take.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { storeReports } from "../../src/ledger/inbox-rows.ts";
import type { ReportedSubmit } from "../../src/ledger/move.ts";
import { reapClaim, settleClaim, settleReports } from "../../src/ledger/settle.ts";
import { purgeLostSubmits } from "../../src/ledger/unsure.ts";
import { DEFAULT_TERMS, type ReportTerms } from "../../src/operators/reports/report.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { changeOf, type Outcome, outcomeOf } from "../../src/sender/outcome.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

const id = createIdFactory({ now: Date.now });
const TERMS: ReportTerms = {
  ...DEFAULT_TERMS,
  shape: "generic",
  template: { id: "id", status: "status", phone: "to", entries: "reports" },
};
/** Older than any answer that may still come. */
const OLD_MS = 61_000;

let db: TestDatabase;
let pool: Pool;
let customerId: number;
let phones = 0;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 4, multipleStatements: true });
  customerId = await insertCustomer(pool, 1_000_000);
});
beforeEach(() => pool.query("DELETE FROM inbox;DELETE FROM waiting_ends"));
afterAll(async () => {
  await reconcileBooks(pool);
  await pool.end();
  await db.drop();
});

const newPhone = () => `+98912${String(++phones).padStart(7, "0")}`;
/** A message that is being sent; `operator`: its answer was lost there. */
async function submitted(
  fields: Partial<LaneRecord>,
  operator: string | null = "B",
  taken: { operatorMessageIds?: string[]; reported?: ReportedSubmit[] } = {},
): Promise<LaneRecord> {
  const record = laneRecord(customerId, fields);
  await acceptMessages(pool, [record]);
  const lost = { kind: "unknown", operator, reason: `${operator}: no answer in time`, ...taken } as const;
  await sending(record, operator === null ? null : lost);
  return record;
}
async function sending(record: LaneRecord, outcome: Outcome | null): Promise<void> {
  const claimId = id();
  const nowMs = Date.now();
  await claimMessages(pool, { claimId, lane: record.lane, records: [record], nowMs });
  if (outcome === null) return;
  const changes = [changeOf(record, outcome, { nowMs, jitter: 0 })];
  await settleClaim({ pool, id }, { claimId, lane: record.lane, changes, idsLeft: [], nowMs });
}
const refusal = (permanent: boolean, mayReport = true): Outcome => {
  const answer = { kind: "refused", permanent, reason: "0x45 RSUBMITFAIL" } as const;
  return outcomeOf("B", mayReport ? { ...answer, mayReport } : answer, Date.now());
};
/** A message that B refused. */
async function refused(phone: string, outcome: Outcome): Promise<LaneRecord> {
  const record = laneRecord(customerId, { phone });
  await acceptMessages(pool, [record]);
  await sending(record, outcome);
  return record;
}

type Entry = { id: string; to?: string; status?: string };
/** Takes this report of an operator, that came so long ago. */
async function take(operator: string, entry: Entry, ageMs = OLD_MS): Promise<string[]> {
  const body = Buffer.from(JSON.stringify({ reports: [{ status: "DELIVRD", ...entry }] }));
  const receivedAtMs = Date.now() - ageMs;
  const contentType = "application/json";
  await storeReports(pool, [{ operator, receivedAtMs, via: "http", contentType, query: "", body }]);
  const taken = await takeReports({ pool, termsOf: () => TERMS, now: Date.now });
  return taken.results.map(({ result }) => result);
}
async function stateOf({ id: messageId }: LaneRecord): Promise<string> {
  const [row] = await pool.query<{ status: string; operator_message_id: string | null }[]>(
    `SELECT status, operator_message_id FROM messages WHERE id='${messageId}'`,
  );
  const entries = await pool.query<{ op: string }[]>(
    `SELECT op FROM wallet_ledger WHERE leg='close' AND entry_id='${messageId}'`,
  );
  return [row?.status, row?.operator_message_id ?? "-", ...entries.map(({ op }) => op)].join(" ");
}

test("the only unknown message of an operator and a recipient is settled by a report with an id nobody knows", async () => {
  const phone = newPhone();
  const message = await submitted({ phone });
  expect(await take("B", { id: "Lost-1", to: phone.slice(1) })).toEqual(["settled"]);
  expect(await stateOf(message)).toBe("delivered Lost-1 capture");
  // Later reports find it by that id.
  expect(await take("B", { id: "lost-1", status: "UNDELIV" }, 0)).toEqual(["late"]);
  expect(await stateOf(message)).toBe("delivered Lost-1 capture");
});

test("a report waits while too many messages are without an answer to find one by its recipient, and says so", async () => {
  const phone = newPhone();
  const message = await submitted({ phone });
  await pool.query(
    "INSERT INTO claims (claim_id,kind,lane,expires_at,ids) VALUES " +
      `('${id()}','unknown','normal',NOW(3) + INTERVAL 1 HOUR,CONCAT(REPEAT('${id()},',20000),'${id()}'))`,
  );
  expect(await take("B", { id: "crowd", to: phone })).toEqual(["crowded"]);
  expect(await stateOf(message)).toBe("unknown -");
  await pool.query("DELETE FROM claims WHERE LENGTH(ids)>500000");
  expect(await take("B", { id: "crowd", to: phone, status: "UNDELIV" })).toEqual(["settled"]);
  // As the first report said.
  expect(await stateOf(message)).toBe("delivered crowd capture");
}, 30_000);

test("a report that is young waits: its message's own answer may still come", async () => {
  const phone = newPhone();
  const message = await submitted({ phone });
  expect(await take("B", { id: "young", to: phone }, 0)).toEqual(["unmatched"]);
  expect(await stateOf(message)).toBe("unknown -");
  expect(await take("B", { id: "young", to: phone, status: "UNDELIV" })).toEqual(["settled"]);
  // As the first report said.
  expect(await stateOf(message)).toBe("delivered young capture");
});

test("of several messages that it may be about none is chosen", async () => {
  const phone = newPhone();
  const two = [await submitted({ phone }), await submitted({ phone })];
  expect(await take("B", { id: "of-two", to: phone })).toEqual(["unmatched"]);
  for (const message of two) expect(await stateOf(message)).toBe("unknown -");

  const other = newPhone();
  const unknown = await submitted({ phone: other });
  await submitted({ phone: other }, null); // under way, to whichever operator
  expect(await take("B", { id: "of-both", to: other })).toEqual(["unmatched"]);
  expect(await stateOf(unknown)).toBe("unknown -");
});

test("another operator's message, one of several parts, and a report without recipient are nobody's", async () => {
  const phone = newPhone();
  const theirs = await submitted({ phone }, "C");
  expect(await take("B", { id: "theirs", to: phone })).toEqual(["unmatched"]);
  expect(await stateOf(theirs)).toBe("unknown -");
  expect(await take("C", { id: "no-phone" })).toContain("unmatched");
  expect(await stateOf(theirs)).toBe("unknown -");
  const long = await submitted({ phone: newPhone(), parts: 3, cost: 1_500 });
  expect(await take("B", { id: "a-part", to: long.phone })).toContain("unmatched");
  expect(await stateOf(long)).toBe("unknown -");
});

test("a report on a message that has ended is not taken for another's to the same recipient", async () => {
  // Its second part has an id that nobody knows.
  const phone = newPhone();
  const named = { idKey: "first-1", operatorMessageId: "First-1" };
  const long = await submitted({ phone, parts: 2, cost: 1_000 }, "B", {
    operatorMessageIds: ["First-1", ""],
    reported: [named, { idKey: "", operatorMessageId: "" }],
  });
  expect(await take("B", { id: "first-1", status: "UNDELIV" }, 0)).toEqual(["settled"]);
  expect(await stateOf(long)).toBe("undelivered First-1 capture");
  const next = await submitted({ phone });
  expect(await take("B", { id: "second-1", to: phone })).toEqual(["unmatched"]);
  expect(await stateOf(next)).toBe("unknown -");

  // The wait for its answer is over: known to be B's, or nobody knows whose.
  for (const operator of ["B", null]) {
    const recipient = newPhone();
    const late = await submitted({ phone: recipient }, operator);
    for (let ended = ""; !ended.startsWith("failed"); ended = await stateOf(late)) {
      await pool.query("UPDATE claims SET expires_at=NOW(3) - INTERVAL 1 SECOND WHERE ids=?", [late.id]);
      expect(await reapClaim({ pool, id }, Date.now())).toHaveLength(1);
    }
    expect(await stateOf(late)).toBe("failed - refund");
    const other = await submitted({ phone: recipient });
    expect(await take("B", { id: `late-${operator}`, to: recipient })).toEqual(["unmatched"]);
    expect(await stateOf(other)).toBe("unknown -");
  }
});

test("a receipt on a submit that was refused is not taken for another message's to the same recipient", async () => {
  const phone = newPhone();
  expect(await stateOf(await refused(phone, refusal(true)))).toBe("failed - refund");
  const unknown = await submitted({ phone });
  const theirs = await submitted({ phone }, "C");
  expect(await take("B", { id: "refused-1", to: phone, status: "UNDELIV" })).toEqual(["unmatched"]);
  expect(await stateOf(unknown)).toBe("unknown -");
  // Whoever didn't refuse it reports on its own.
  expect(await take("C", { id: "c-1", to: phone })).toContain("settled");
  expect(await stateOf(theirs)).toBe("delivered c-1 capture");
  await pool.query("DELETE FROM inbox");
  // Once no receipt can come on it any more, the other message is the only one again.
  await pool.query("UPDATE lost_submits SET lost_at=NOW(3) - INTERVAL 3 DAY WHERE phone=?", [phone]);
  expect(await purgeLostSubmits(pool)).toBe(false);
  expect(await take("B", { id: "taken-1", to: phone })).toEqual(["settled"]);
  expect(await stateOf(unknown)).toBe("delivered taken-1 capture");
});

test("the same if the refused one is tried again, and if the refusal came late", async () => {
  const phone = newPhone();
  const again = await refused(phone, refusal(false));
  expect(await stateOf(again)).toBe("queued -");
  await sending({ ...again, attempt: 1 }, { kind: "unknown", operator: "B", reason: "B: timed out" });
  expect(await take("B", { id: "either", to: phone })).toEqual(["unmatched"]);
  expect(await stateOf(again)).toBe("unknown -");

  const other = newPhone();
  const [late, unknown] = [await submitted({ phone: other }), await submitted({ phone: other })];
  const nowMs = Date.now();
  const { settled } = await settleReports(
    { pool, id },
    [changeOf(late, refusal(true), { nowMs, jitter: 0 })],
    nowMs,
  );
  expect(settled).toHaveLength(1);
  expect(await take("B", { id: "late-refusal", to: other })).toContain("unmatched");
  expect(await stateOf(unknown)).toBe("unknown -");
});

test("a refusal that only puts off, and any number of others to other recipients, keep no receipt from its message", async () => {
  const phone = newPhone();
  expect(await stateOf(await refused(phone, refusal(false, false)))).toBe("queued -");
  const unknown = await submitted({ phone });
  const values = Array.from(
    { length: 20_001 },
    (_, n) => `('${id()}','B','+98935${String(n).padStart(7, "0")}')`,
  );
  await pool.query(`INSERT INTO lost_submits (message_id,operator,phone) VALUES ${values}`);
  expect(await take("B", { id: "put-off", to: phone.slice(3) })).toContain("settled");
  expect(await stateOf(unknown)).toBe("delivered put-off capture");
  await pool.query("UPDATE lost_submits SET lost_at=NOW(3) - INTERVAL 3 DAY");
  expect(await purgeLostSubmits(pool)).toBe(true);
});
