// What may happen to senders while messages are on their way, with real processes and engines: operators that
// accept and never answer, offsets set back, a rebalance in the middle of batches, a pause longer than claim
// and session. In every case a message is settled once, and no operator gets it twice.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { CLAIM_TTL_MS } from "../../src/core/limits.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { sleep } from "../../src/platform/retry.ts";
import { freePort } from "../support/ports.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

const HANGS = "+989129990003";
const BALANCE = 10_000_000;
// Records are keyed by customer: this many are spread over all partitions.
const CUSTOMERS = 24;
const SESSION_MS = 20_000;

let down: Downstream;
let customers: number[];
let sender: Role;
let operators: Role[];
beforeAll(async () => {
  down = await createDownstream();
  customers = [];
  for (let n = 0; n < CUSTOMERS; n++) customers.push(await insertCustomer(down.pool, BALANCE));
  operators = await Promise.all(["A", "B", "C"].map((name) => down.startOperator(name as "A")));
  await down.start("relay");
  sender = await down.start("sender-normal");
}, 120_000);
afterAll(() => down.end());

const accepted: string[] = [];
/** Accepts `count` messages of all customers, every `hangEvery`-th to a phone that never gets an answer. */
async function accept(count: number, hangEvery = 0): Promise<LaneRecord[]> {
  const records = Array.from({ length: count }, (_, at) =>
    laneRecord(customers[at % CUSTOMERS] as number, {
      cost: 1,
      ...(hangEvery > 0 && at % hangEvery === hangEvery - 1 && { phone: HANGS }),
    }),
  );
  await acceptMessages(down.pool, records);
  accepted.push(...records.map((record) => record.id));
  return records;
}

const countOf = async (status: string): Promise<number> => {
  const [row] = await down.pool.query<{ n: number }[]>(
    `SELECT COUNT(*) AS n FROM messages WHERE status IN (${status})`,
  );
  return Number(row?.n);
};
const untilSettled = (mostMs = 40_000) =>
  until(async () => (await countOf("'queued','sending'")) === 0, "all are settled", mostMs, sender.log);
const taken = () => ["A", "B", "C"].flatMap((name) => down.received(name));

/**
 * Asserts of everything accepted so far: one final status each, charged by what operators hold, none sent
 * twice.
 */
async function expectExact(): Promise<Map<string, string>> {
  // In one statement: an answer that comes late may settle an unknown message at any moment.
  type Row = { id: string; status: string; ops: string | null; reserved: string };
  const rows = await down.pool.query<Row[]>(
    "SELECT m.id, m.status, GROUP_CONCAT(w.op) AS ops, " +
      "(SELECT SUM(reserved) FROM wallet_accounts) AS reserved FROM messages m LEFT JOIN wallet_ledger w " +
      "ON w.customer_id=m.customer_id AND w.entry_id=m.id AND w.leg='close' GROUP BY m.id, m.status",
  );
  const found = new Map(rows.map((row) => [row.id, row.status]));
  expect([...found.keys()].toSorted()).toEqual(accepted.toSorted());
  const ids = taken();
  expect(ids.length).toBe(new Set(ids).size);
  const closes = { sent: "capture", failed: "refund", unknown: null } as Record<string, string | null>;
  for (const { id, status, ops } of rows) expect(`${id} ${ops}`).toBe(`${id} ${closes[status] as string}`);
  const at = new Set(ids);
  for (const { id, status } of rows) {
    if (status === "sent") expect(at.has(id)).toBe(true);
    if (status === "failed") expect(at.has(id)).toBe(false);
  }
  expect(Number(rows[0]?.reserved)).toBe(rows.filter((row) => row.status === "unknown").length);
  return found;
}

test("operators that accept everything and then hang: their messages are unknown, stay reserved and are never sent again; the lane continues when one is back", async () => {
  await accept(50);
  await untilSettled();
  const before = taken().length;
  for (const { pid } of operators) process.kill(pid, "SIGSTOP");
  await accept(300);
  await until(async () => (await countOf("'unknown'")) > 0, "answers are given up", 30_000, sender.log);
  for (const { pid } of operators) process.kill(pid, "SIGCONT"); // they take what waits in their sockets
  await untilSettled(60_000);
  await until(() => taken().length > before, "operators have taken what they were given");
  const statuses = [...(await expectExact()).values()];
  expect(statuses.filter((status) => status === "unknown").length).toBeGreaterThan(0);
  expect(statuses.filter((status) => status === "sent").length).toBeGreaterThan(50);
}, 180_000);

test("offsets set back to the beginning: every record is read again, and nothing is sent again", async () => {
  await accept(500);
  await untilSettled();
  const before = taken().length;
  expect(await sender.end()).toBe(0);
  await down.rewind("normal");
  sender = await down.start("sender-normal");
  await until(
    async () => (await sender.count("sluice_sender_skipped_total")) >= accepted.length,
    "all records are read again",
    30_000,
    sender.log,
  );
  expect(await sender.count("sluice_sender_sent_total")).toBe(0);
  expect(taken().length).toBe(before);
  await expectExact();
}, 120_000);

test("senders that join and die in the middle of batches: each message is settled once, and only those of the dead sender are unknown", async () => {
  const feeding = { on: true };
  // A hanging call holds its batch between claim and settlement for 2 s, so a rebalance meets several such
  // batches.
  const feed = (async () => {
    while (feeding.on) {
      await accept(120, 60);
      await sleep(150);
    }
  })();
  await sleep(500);
  const second = await down.start("sender-normal", { healthPort: await freePort() });
  await until(
    async () => (await second.count("sluice_sender_sent_total")) > 0,
    "the second one sends",
    60_000,
    second.log,
  );
  await until(() => sender.log().includes("partitions assigned or revoked"), "it is logged");
  await until(async () => (await countOf("'sending'")) > 0, "batches are under way");
  await second.end("SIGKILL");
  await sleep(1_000);
  feeding.on = false;
  await feed;
  // Its partitions move when its session expires, its messages when its claims do.
  await untilSettled(SESSION_MS + CLAIM_TTL_MS + 20_000);
  await expectExact();
}, 240_000);

test("a sender that sleeps longer than its session and its claims: another takes over, its late outcomes agree with what operators hold, it joins again, and nothing is sent twice", async () => {
  const second = await down.start("sender-normal", { healthPort: await freePort() });
  await until(
    async () => {
      await accept(100);
      return (await second.count("sluice_sender_sent_total")) > 0;
    },
    "both send",
    60_000,
    second.log,
  );
  for (let held = 0; held === 0; ) {
    await accept(1_500);
    await until(async () => (await sender.count("sluice_sender_unsettled")) > 0, "it holds some");
    process.kill(sender.pid, "SIGSTOP");
    await sleep(1_000);
    await until(async () => (await second.count("sluice_sender_unsettled")) === 0, "the other one is done");
    held = await countOf("'sending'");
    if (held === 0) process.kill(sender.pid, "SIGCONT");
  }
  await untilSettled(SESSION_MS + CLAIM_TTL_MS + 20_000);
  expect(await second.count("sluice_sender_reaped_total")).toBeGreaterThan(0);
  process.kill(sender.pid, "SIGCONT");
  await until(
    async () => (await sender.count("sluice_sender_unsettled")) === 0,
    "it has handed in what it held",
    30_000,
    sender.log,
  );
  const read = await sender.count("sluice_sender_read_total");
  await until(
    async () => {
      await accept(100);
      return (await sender.count("sluice_sender_read_total")) > read;
    },
    "it reads again",
    30_000,
    sender.log,
  );
  await untilSettled();
  await expectExact();
}, 400_000);
