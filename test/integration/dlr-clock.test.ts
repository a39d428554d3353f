// Delivery reports whose done date lies ahead, on MySQL and ClickHouse: what is reported has happened, so an
// express message is charged if its report came in time.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import { takeReports } from "../../src/dlr/take.ts";
import { claimMessages } from "../../src/ledger/claim.ts";
import { storeReports } from "../../src/ledger/inbox-rows.ts";
import { settleClaim } from "../../src/ledger/settle.ts";
import { DEFAULT_TERMS, type ReportTerms } from "../../src/operators/reports/report.ts";
import { reconcile } from "../../src/reconcile/reconcile.ts";
import { changeOf } from "../../src/sender/outcome.ts";
import { createTestEngines, type TestEngines } from "../support/engines.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { deliverEvents } from "../support/small-book.ts";

const HOUR_MS = 3_600_000;
const id = createIdFactory({ now: Date.now });
const template = { our_id: "our_id", status: "status", done_at: "at" };
const terms: ReportTerms = { ...DEFAULT_TERMS, shape: "generic", template, echoesId: true };

let engines: TestEngines;
let customerId: number;
beforeAll(async () => {
  engines = await createTestEngines();
  customerId = await insertCustomer(engines.pool, 1_000_000);
});
afterAll(() => engines.drop());

/** The id of an express message whose operator's answer was lost. */
async function unknown(guaranteedByMs: number): Promise<string> {
  const { pool } = engines;
  const record = laneRecord(customerId, { lane: "express", guaranteedByMs });
  const claim = { claimId: id(), lane: record.lane, nowMs: Date.now() };
  await acceptMessages(pool, [record]);
  await claimMessages(pool, { ...claim, records: [record] });
  const lost = { kind: "unknown", operator: "A", reason: "A: no answer in time" } as const;
  const changes = [changeOf(record, lost, { nowMs: claim.nowMs, jitter: 0 })];
  await settleClaim({ pool, id }, { ...claim, changes, idsLeft: [] });
  return record.id;
}

const report = (messageId: string, doneAtMs: number) => ({
  operator: "A",
  receivedAtMs: Date.now(),
  via: "http" as const,
  contentType: "application/json",
  query: "",
  body: Buffer.from(
    JSON.stringify({ our_id: messageId, status: "DELIVRD", at: new Date(doneAtMs).toISOString() }),
  ),
});

async function closeOf(messageId: string): Promise<string | undefined> {
  const rows = await engines.pool.query<{ op: string }[]>(
    "SELECT op FROM wallet_ledger WHERE leg='close' AND entry_id=?",
    [messageId],
  );
  return rows[0]?.op;
}

test("an express message whose done date lies an hour ahead is captured if its report came by guaranteed_by, else refunded; the books add up", async () => {
  const { pool } = engines;
  const inTime = await unknown(Date.now() + 60_000);
  const late = await unknown(Date.now() - 1_000);
  await storeReports(pool, [report(inTime, Date.now() + HOUR_MS), report(late, Date.now() + HOUR_MS)]);
  const { results } = await takeReports({ pool, termsOf: () => terms, now: Date.now });
  expect(results.map(({ result }) => result)).toEqual(["settled", "settled"]);
  expect([await closeOf(inTime), await closeOf(late)]).toEqual(["capture", "refund"]);
  await deliverEvents(engines);
  expect(await reconcile(engines, {})).toMatchObject({ kind: "clean" });
});
