// A sender on a machine whose clock is wrong, with real processes and engines: it keeps the promises of
// express messages by MySQL's clock, and says that its own is wrong.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

let down: Downstream;
let customerId: number;
let sender: Role;
beforeAll(async () => {
  down = await createDownstream();
  customerId = await insertCustomer(down.pool, 1_000_000);
  await Promise.all([down.startOperator("A", "fast"), down.startOperator("B", "fast"), down.start("relay")]);
}, 60_000);
afterEach(() => sender.end());
afterAll(() => down.end());

/** Starts a sender whose clock is so far ahead, and waits until it sends. */
async function startAhead(aheadMs: number): Promise<void> {
  sender = await down.startAhead("sender-express", aheadMs);
  // A promise that neither clock misses.
  const first = await send(60_000);
  await until(async () => (await statusOf(first)) === "sent", "it sends", 30_000, sender.log);
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
  const ready = await fetch(`${sender.healthUrl}/ready`);
  expect(ready.status).toBe(503);
  expect(await ready.json()).toMatchObject({ checks: { clock: "down", mysql: "ok" } });
  const skewS = await sender.count("sluice_clock_skew_seconds");
  expect(Math.abs(skewS + aheadMs / 1_000)).toBeLessThan(0.5);
}

test("a sender whose clock is 4 s ahead sends what is promised within 5 s, and captures it", async () => {
  await startAhead(4_000);
  const record = await send(5_000);
  await until(isEnded(record), "it is settled", 20_000, sender.log);
  expect(await statusOf(record)).toBe("sent");
  expect(await closesOf(record)).toEqual(["capture"]);
  await expectOff(4_000);
}, 90_000);

test("a sender whose clock is 5 s behind doesn't submit what is too late: it expires and is refunded", async () => {
  await startAhead(-5_000);
  const record = await send(1_000); // less than a submit may take
  await until(isEnded(record), "it is settled", 20_000, sender.log);
  expect(await statusOf(record)).toBe("expired");
  expect(await closesOf(record)).toEqual(["refund"]);
  expect(["A", "B"].flatMap((name) => down.received(name))).not.toContain(record.id);
  await expectOff(-5_000);
}, 90_000);
