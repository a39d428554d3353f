// Delivery reports whose done date lies ahead, or before their message, or has no seconds, on MySQL and
// ClickHouse: an express message is charged if its report shows that it was taken in time, or came in time.

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
async function unknown(guaranteedByMs: number, createdAtMs = Date.now()): Promise<string> {
  const { pool } = engines;
  const record = laneRecord(customerId, { lane: "express", guaranteedByMs, createdAtMs });
  const claim = { claimId: id(), lane: record.lane, nowMs: Date.now() };
  await acceptMessages(pool, [record]);
  await claimMessages(pool, { ...claim, records: [record] });
  const lost = { kind: "unknown", operator: "A", reason: "A: no answer in time" } as const;
  const changes = [changeOf(record, lost, { nowMs: claim.nowMs, jitter: 0 })];
  await settleClaim({ pool, id }, { ...claim, changes, idsLeft: [] });
  return record.id;
}

const report = (messageId: string, at: string, receivedAtMs = Date.now()) => ({
  operator: "A",
  receivedAtMs,
  via: "http" as const,
  contentType: "application/json",
  query: "",
  body: Buffer.from(JSON.stringify({ our_id: messageId, status: "DELIVRD", at })),
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
  const ahead = new Date(Date.now() + HOUR_MS).toISOString();
  await storeReports(pool, [report(inTime, ahead), report(late, ahead)]);
  const { results } = await takeReports({ pool, termsOf: () => terms, now: Date.now });
  expect(results.map(({ result }) => result)).toEqual(["settled", "settled"]);
  expect([await closeOf(inTime), await closeOf(late)]).toEqual(["capture", "refund"]);
  await deliverEvents(engines);
  expect(await reconcile(engines, {})).toMatchObject({ kind: "clean" });
});

test("a date from before its message proves nothing, and one without seconds the end of its minute", async () => {
  const { pool } = engines;
  const minuteMs = Math.floor(Date.now() / 60_000) * 60_000 - 120_000;
  /** YYMMDDhhmm, and ss unless it is left out. */
  const digits = (ms: number, count: 10 | 12) =>
    new Date(ms).toISOString().replaceAll(/\D/g, "").slice(2).slice(0, count);
  const [behind, minute] = [digits(minuteMs - 2 * HOUR_MS, 12), digits(minuteMs, 10)];
  const second = digits(minuteMs + 20_000, 12);
  // Promise and arrival in milliseconds from that minute on.
  const cases: [guaranteedBy: number, at: string, received: number, op: string][] = [
    [20_000, behind, 90_000, "refund"],
    [20_000, behind, 19_000, "capture"],
    [20_000, minute, 90_000, "refund"],
    [20_000, minute, 19_000, "capture"],
    [60_000, minute, 90_000, "capture"],
    [20_500, second, 90_000, "refund"],
    [21_000, second, 90_000, "capture"],
  ];
  for (const [guaranteedBy, at, received, op] of cases) {
    const message = await unknown(minuteMs + guaranteedBy, minuteMs - 5_000);
    await storeReports(pool, [report(message, at, minuteMs + received)]);
    await takeReports({ pool, termsOf: () => terms, now: Date.now });
    expect([guaranteedBy, at, received, await closeOf(message)]).toEqual([guaranteedBy, at, received, op]);
  }
  await deliverEvents(engines);
  expect(await reconcile(engines, {})).toMatchObject({ kind: "clean" });
});
