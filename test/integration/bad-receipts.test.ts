// SMPP receipts that name no message, another operator's, or are cut short, on MySQL: they end nothing, and
// hold up no receipt that was stored with them.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import type { RawReport } from "../../src/core/raw-report.ts";
import { takeReports } from "../../src/dlr/take.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { storeReports } from "../../src/ledger/inbox-rows.ts";
import { settleClaim } from "../../src/ledger/settle.ts";
import { DEFAULT_TERMS, type ReportTerms } from "../../src/operators/reports/report.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { encodePdu, message } from "../../src/platform/smpp/encode.ts";
import { COMMAND } from "../../src/platform/smpp/pdu.ts";
import { changeOf, withReported } from "../../src/sender/outcome.ts";
import { reconcileBooks } from "../support/books.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";

const id = createIdFactory({ now: Date.now });
const TERMS: ReportTerms = { ...DEFAULT_TERMS, shape: "smpp" };

let db: TestDatabase;
let pool: Pool;
let customerId: number;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 4, multipleStatements: true });
  customerId = await insertCustomer(pool, 1_000_000);
});
afterAll(async () => {
  await reconcileBooks(pool);
  await pool.end();
  await db.drop();
});

/** A message that this operator took under this id. */
async function sent(operator: string, operatorMessageId: string): Promise<LaneRecord> {
  const record = laneRecord(customerId);
  const [claimId, nowMs] = [id(), Date.now()];
  await acceptMessages(pool, [record]);
  await claimMessages(pool, { claimId, lane: record.lane, records: [record], nowMs });
  const taken = { kind: "accepted", operator, operatorMessageIds: [operatorMessageId], atMs: nowMs } as const;
  const changes = [
    changeOf(
      record,
      withReported(taken, () => TERMS),
      { nowMs, jitter: 0 },
    ),
  ];
  await settleClaim({ pool, id }, { claimId, lane: record.lane, changes, idsLeft: [], nowMs });
  return record;
}
function pduOf(text: string): Uint8Array {
  const draft = message({
    command: COMMAND.deliverSm,
    serviceType: "",
    sourceTon: 1,
    sourceNpi: 1,
    sourceAddr: "989121234567",
    destTon: 5,
    destNpi: 0,
    destAddr: "Shop",
    esmClass: 4,
    validityPeriod: "",
    registeredDelivery: 0,
    dataCoding: 0,
    shortMessage: Buffer.from(text),
    tlvs: [],
  });
  return Uint8Array.from(encodePdu(draft, 1));
}
const receipt = (operator: string, pdu: Uint8Array): RawReport => ({
  operator,
  receivedAtMs: Date.now(),
  via: "smpp",
  pdu,
});
/** What became of these, stored together. */
async function take(...receipts: RawReport[]): Promise<string[]> {
  await storeReports(pool, receipts);
  const { results } = await takeReports({ pool, termsOf: () => TERMS, now: Date.now });
  return results.map(({ result }) => result).toSorted();
}
async function stateOf({ id: messageId }: LaneRecord): Promise<string> {
  const rows = await pool.query<{ status: string; op: string | null }[]>(
    "SELECT m.status, e.op FROM messages m LEFT JOIN wallet_ledger e " +
      `ON e.customer_id=m.customer_id AND e.entry_id=m.id AND e.leg='close' WHERE m.id='${messageId}'`,
  );
  return rows.map(({ status, op }) => `${status} ${op ?? "-"}`).join();
}

test("a receipt without an id, with another operator's, or cut short ends nothing, and those beside it count", async () => {
  const [own, theirs] = [await sent("S", "s-1"), await sent("T", "t-1")];
  expect(
    await take(
      receipt("S", pduOf("sub:001 dlvrd:001 stat:DELIVRD err:000")),
      receipt("S", pduOf("id:t-1 stat:DELIVRD err:000")),
      receipt("S", pduOf("id:s-1 stat:DELIVRD err:000").slice(0, 30)),
      receipt("S", pduOf("id:s-1 stat:DELIVRD err:000")),
    ),
  ).toEqual(["settled", "unmatched", "unmatched", "unreadable"]);
  expect([await stateOf(own), await stateOf(theirs)]).toEqual(["delivered capture", "sent capture"]);
  expect(await take(receipt("T", pduOf("id:t-1 stat:UNDELIV err:001")))).toEqual(["settled"]);
  expect(await stateOf(theirs)).toBe("undelivered capture");
});
