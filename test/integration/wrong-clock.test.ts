// Senders, relay, dlr and ingest on a machine whose clock is wrong, with real processes and engines: they go
// by MySQL's clock, and say that their own is wrong.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { createIdFactory, ulidTimeMs } from "../../src/core/id.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { REPORT_TTL_MS } from "../../src/core/limits.ts";
import { unpackReports } from "../../src/core/raw-report.ts";
import { createKey } from "../../src/customers/api-keys.ts";
import { givePlan, setRates } from "../../src/customers/price-plans.ts";
import { storeReports } from "../../src/ledger/inbox-rows.ts";
import { asOfMs } from "../../src/reports/freshness.ts";
import { createTestClickhouse, insertStatusEvents } from "../support/clickhouse.ts";
import { startIngest } from "../support/ingest-process.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

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

test("an ingest process whose clock is a day off schedules, cancels and tops up at MySQL's time", async () => {
  const id = createIdFactory({ now: Date.now });
  const { apiKey } = await createKey({ pool: down.pool, id }, customerId, ["send", "read", "billing"]);
  for (const aheadMs of [-DAY_MS, DAY_MS]) {
    const dueMs = Date.now() + 2 * HOUR_MS;
    const records = [0, 1].map(() => laneRecord(customerId, { sendAtMs: Date.now() + HOUR_MS }));
    await acceptMessages(down.pool, records);
    const [moved, canceled] = records.map((record) => record.id);
    const ingest = await startIngest(down.config, {}, { aheadMs });
    const ask = async (method: string, path: string, body?: object) => {
      const headers = { "x-api-key": apiKey, "content-type": "application/json" };
      const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
      return (await fetch(`${ingest.url}/v1/${path}`, init)).status;
    };
    const isUp = () => ask("GET", "wallet").catch(() => 0);
    await until(async () => (await isUp()) === 200, "it knows the key", 30_000, ingest.log);
    const over = { send_at: new Date(Date.now() - HOUR_MS).toISOString() };
    expect(await ask("PATCH", `messages/${moved}`, over)).toBe(422);
    const due = { send_at: new Date(dueMs).toISOString() };
    expect(await ask("PATCH", `messages/${moved}`, due)).toBe(200);
    expect(await ask("DELETE", `messages/${canceled}`)).toBe(200);
    const request = { amount: 100, request_id: `wrong-clock-${aheadMs}` };
    expect(await ask("POST", "wallet/topup", request)).toBe(200);
    const [{ at } = { at: 0 }] = await down.pool.query<{ at: number }[]>(
      `SELECT ROUND(UNIX_TIMESTAMP(updated_at) * 1000) AS at FROM messages WHERE id='${canceled}'`,
    );
    const [topup] = await down.pool.query<{ entry_id: string; at: number }[]>(
      `SELECT entry_id, ROUND(UNIX_TIMESTAMP(created_at) * 1000) AS at FROM wallet_ledger
       WHERE op='topup' AND customer_id=${customerId} AND amount=100 ORDER BY created_at DESC LIMIT 1`,
    );
    for (const ms of [Number(at), Number(topup?.at), ulidTimeMs(topup?.entry_id as string)])
      expect(Math.abs(ms - Date.now())).toBeLessThan(60_000);
    await down.pool.write(`DELETE FROM wallet_ledger WHERE entry_id='${topup?.entry_id}'`);
    await ingest.end();
  }
}, 120_000);

test("an ingest process whose clock is two days off prices and reports at MySQL's time", async () => {
  const clickhouse = await createTestClickhouse(down.config);
  const ofPlan = await insertCustomer(down.pool, 1_000_000);
  const key = createKey({ pool: down.pool, id: createIdFactory({ now: Date.now }) }, ofPlan, [
    "send",
    "read",
  ]);
  const { apiKey } = await key;
  const rates = [
    { validFromMs: 0, normal: 100 },
    { validFromMs: Date.now() - HOUR_MS, normal: 300 },
    { validFromMs: Date.now() + HOUR_MS, normal: 900 },
  ].map(({ validFromMs, normal }) => ({ prefix: "+98", validFromMs, prices: { normal, express: normal } }));
  await setRates(down.pool, "of wrong clocks", rates, { replaces: true });
  await givePlan(down.pool, ofPlan, "of wrong clocks");
  const seen = { id: createIdFactory({ now: Date.now })(), customer_id: ofPlan, created_at_ms: Date.now() };
  await insertStatusEvents(clickhouse.clickhouse, [{ ...seen, sequence: 1, status: "queued" }]);
  try {
    for (const aheadMs of [-2 * DAY_MS, 2 * DAY_MS]) {
      const ingest = await startIngest(clickhouse.config, { doors: "jasmin" }, { aheadMs });
      const ask = async (path: string, init: RequestInit = {}) => {
        const headers = { "x-api-key": apiKey, "content-type": "application/json" };
        const answer = await fetch(`${ingest.url}${path}`, { headers, ...init }).catch(() => null);
        return { status: answer?.status, text: (await answer?.text()) ?? "" };
      };
      const isUp = async () => (await ask("/v1/wallet")).status === 200;
      await until(isUp, "it knows the key", 30_000, ingest.log);
      const body = JSON.stringify({ phone: "+989121234567", text: "hello", type: "normal" });
      const preview = await ask("/v1/sms/preview", { method: "POST", body });
      expect(JSON.parse(preview.text)).toMatchObject({ cost: 300 });
      const rate = await ask(`/rate?username=${ofPlan}&password=${apiKey}&to=989121234567`, { headers: {} });
      expect(JSON.parse(rate.text)).toMatchObject({ unit_rate: 3 });
      const report = await ask("/v1/reports/messages");
      expect(JSON.parse(report.text)).toMatchObject({ messages: [{ id: seen.id }] });
      await ingest.end();
    }
  } finally {
    await clickhouse.drop();
  }
}, 120_000);

test("reports say they go no further than when they were read, though a wrong clock dated an event tomorrow", async () => {
  const db = await createTestClickhouse();
  try {
    await insertStatusEvents(db.clickhouse, [
      {
        id: createIdFactory({ now: Date.now })(),
        sequence: 1,
        status: "queued",
        created_at_ms: Date.now() + DAY_MS,
      },
    ]);
    expect(await asOfMs(db.clickhouse, ["status"])).toBeWithin(Date.now() - 60_000, Date.now() + 1_000);
  } finally {
    await db.drop();
  }
}, 60_000);

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
