// Senders, relay, dlr and the reports that ingest takes on a machine whose clock is wrong, with real
// processes and engines: they go by MySQL's clock, and say that their own is wrong.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { REPORT_TTL_MS } from "../../src/core/limits.ts";
import { unpackReports } from "../../src/core/raw-report.ts";
import { storeReports } from "../../src/ledger/inbox-rows.ts";
import { startIngest } from "../support/ingest-process.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

const HOUR_MS = 3_600_000;

let down: Downstream;
let customerId: number;
let relay: Role;
let role: Role;
beforeAll(async () => {
  down = await createDownstream();
  customerId = await insertCustomer(down.pool, 1_000_000);
  await Promise.all([down.startOperator("A", "fast"), down.startOperator("B", "fast")]);
  relay = await down.start("relay");
}, 120_000);
afterEach(() => role.end());
afterAll(() => down.end());

/** Starts a sender whose clock is so far ahead, and waits until it sends. */
async function startAhead(aheadMs: number): Promise<void> {
  role = await down.startAhead("sender-express", aheadMs);
  // A promise that neither clock misses.
  const first = await send(60_000);
  await until(async () => (await statusOf(first)) === "sent", "it sends", 30_000, role.log);
}
async function send(promiseMs: number): Promise<LaneRecord> {
  const guaranteedByMs = Date.now() + promiseMs;
  const record = laneRecord(customerId, { lane: "express", guaranteedByMs });
  await acceptMessages(down.pool, [record]);
  return record;
}
const statusOf = async ({ id }: LaneRecord) => {
  const [row] = await down.pool.query<{ status: string }[]>(`SELECT status FROM messages WHERE id='${id}'`);
  return row?.status;
};
const closesOf = async ({ id }: LaneRecord) => {
  const rows = await down.pool.query<{ op: string }[]>(
    `SELECT op FROM wallet_ledger WHERE entry_id='${id}' AND leg='close'`,
  );
  return rows.map(({ op }) => op);
};
const isEnded = (record: LaneRecord) => async () => (await closesOf(record)).length > 0;

async function expectOff(aheadMs: number): Promise<void> {
  const ready = await fetch(`${role.healthUrl}/ready`);
  expect(ready.status).toBe(503);
  expect(await ready.json()).toMatchObject({ checks: { clock: "down", mysql: "ok" } });
  const skewS = await role.count("sluice_clock_skew_seconds");
  expect(Math.abs(skewS + aheadMs / 1_000)).toBeLessThan(0.5);
}

test("a sender whose clock is 4 s ahead sends what is promised within 5 s, and captures it", async () => {
  await startAhead(4_000);
  const record = await send(5_000);
  await until(isEnded(record), "it is settled", 30_000, role.log);
  expect(await statusOf(record)).toBe("sent");
  expect(await closesOf(record)).toEqual(["capture"]);
  await expectOff(4_000);
}, 120_000);

test("a sender whose clock is 5 s behind doesn't submit what is too late: it expires and is refunded", async () => {
  await startAhead(-5_000);
  const record = await send(1_000); // less than a submit may take
  await until(isEnded(record), "it is settled", 30_000, role.log);
  expect(await statusOf(record)).toBe("expired");
  expect(await closesOf(record)).toEqual(["refund"]);
  expect(["A", "B"].flatMap((name) => down.received(name))).not.toContain(record.id);
  await expectOff(-5_000);
}, 120_000);

/** What became of C's reports. */
async function resultsOf(): Promise<string[]> {
  const text = await (await fetch(`${role.healthUrl}/metrics`)).text();
  const lines = text
    .split("\n")
    .filter((line) => /^sluice_dlr_reports_total\{.*operator="C".* [1-9]/.test(line));
  return lines.map((line) => /result="(\w+)"/.exec(line)?.[1] ?? line);
}

test("a dlr process whose clock is two days ahead drops no report that waits for its message", async () => {
  role = await down.startAhead("dlr", 2 * REPORT_TTL_MS);
  const body = Buffer.from(JSON.stringify({ reports: [{ message_id: "op-1", status: "DELIVRD" }] }));
  const came = { operator: "C", receivedAtMs: Date.now(), via: "http", query: "" } as const;
  await storeReports(down.pool, [{ ...came, contentType: "application/json", body }]);
  const read = async () => (await resultsOf()).length > 0;
  await until(read, "it is read", 30_000, role.log);
  expect(await resultsOf()).toEqual(["unmatched"]);
  await expectOff(2 * REPORT_TTL_MS);
}, 120_000);

test("a report that an ingest process takes whose clock is 5 s behind, or a day ahead, came when MySQL says", async () => {
  for (const aheadMs of [-5_000, 86_400_000]) {
    const ingest = await startIngest(down.config, {}, { aheadMs });
    await down.pool.query("DELETE FROM inbox");
    const body = JSON.stringify({ reports: [{ message_id: "op-2", status: "DELIVRD" }] });
    const sentMs = Date.now();
    const send = () => fetch(`${ingest.url}/dlr/C`, { method: "POST", body }).catch(() => null);
    await until(async () => (await send())?.status === 200, "it is stored", 30_000, ingest.log);
    const [row] = await down.pool.query<{ payload: Buffer }[]>("SELECT payload FROM inbox");
    const [report] = unpackReports(row?.payload as Buffer);
    expect(report?.receivedAtMs).toBeWithin(sentMs - 500, Date.now() + 500);
    await ingest.end();
  }
}, 90_000);

test("a relay whose clock is an hour ahead requeues a lost message that is still valid", async () => {
  await relay.end();
  const createdAtMs = Date.now() - 60_000;
  const id = createIdFactory({ now: () => createdAtMs })();
  const record = laneRecord(customerId, { id, createdAtMs, validUntilMs: Date.now() + HOUR_MS / 2 });
  await acceptMessages(down.pool, [record]);
  await down.pool.write("DELETE FROM outbox WHERE lane='normal'");
  const sender = await down.start("sender-normal");
  role = await down.startAhead("relay", HOUR_MS, { sweepAfterMs: 5_000 });
  await until(isEnded(record), "it is settled", 60_000, role.log);
  expect(await statusOf(record)).toBe("sent");
  await expectOff(HOUR_MS);
  await sender.end();
}, 120_000);
