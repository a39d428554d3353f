// Messages that only a slow operator takes, with real processes and engines: they keep none that another one
// takes waiting, neither in a sender's batches nor in its memory nor in held rows, and all are sent in the
// end, also when the sender stops meanwhile. A takes five messages a second, until it is told to hurry.

import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { COMMIT_ROWS_MAX, SENDER_QUEUE_MAX } from "../../src/core/limits.ts";
import { holdRecords } from "../../src/ledger/held.ts";
import { reconcileBooks } from "../support/books.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

const BALANCE = 10_000_000;
/** A number that only A takes, and one that only B takes. */
const TO_A = "+989121234567";
const TO_B = "+989351234567";
/** What waits behind all that A has been given would wait for longer: until the deadline of its claim. */
const SOON_MS = 10_000;
/** Of A's messages, far fewer than are given to it have been sent by then. */
const FEW = 500;

const folder = mkdtempSync(join(tmpdir(), "sluice-test-slow-link-"));
const routesFile = join(folder, "routes.yaml");
let down: Downstream;
let sender: Role;
beforeEach(async () => {
  down = await createDownstream();
  const operator = (name: "A" | "B", prefix: string, window: number) =>
    `  ${name}: { kind: http, price: 1, window: ${window}, prefixes: ["${prefix}"], ` +
    `url: "http://127.0.0.1:\${SLUICE_OPERATOR_PORT + ${"AB".indexOf(name)}}/submit" }\n`;
  writeFileSync(routesFile, `operators:\n${operator("A", "+98912", 4)}${operator("B", "+98935", 96)}`);
  await Promise.all([down.startOperator("A", "fast"), down.startOperator("B", "fast")]);
  await answerAfter("800ms");
}, 120_000);
afterEach(() => down.end());
afterAll(() => rmSync(folder, { recursive: true }));

/** From now on A takes this long for each answer. */
async function answerAfter(time: string): Promise<void> {
  const url = `http://${down.config.apiHost}:${down.config.operatorPort}/behaviour`;
  expect((await fetch(url, { method: "POST", body: `slow=${time}` })).status).toBe(200);
}
const insertCustomers = async (count: number): Promise<number[]> => {
  const customers: number[] = [];
  for (let n = 0; n < count; n++) customers.push(await insertCustomer(down.pool, BALANCE));
  return customers;
};
/** Accepts this many messages to a number, of these customers in turn. */
async function accept(count: number, phone: string, customers: readonly number[]): Promise<LaneRecord[]> {
  const records = Array.from({ length: count }, (_, n) =>
    laneRecord(customers[n % customers.length] as number, { cost: 1, phone }),
  );
  for (let at = 0; at < count; at += COMMIT_ROWS_MAX)
    await acceptMessages(down.pool, records.slice(at, at + COMMIT_ROWS_MAX));
  return records;
}
const count = async (from: string): Promise<number> =>
  Number((await down.pool.query<{ n: number }[]>(`SELECT COUNT(*) AS n FROM ${from}`))[0]?.n);
const sentTo = (phone: string) => count(`messages WHERE phone='${phone}' AND status='sent'`);
const untilSent = (records: readonly LaneRecord[], phone: string, mostMs: number) =>
  until(async () => (await sentTo(phone)) === records.length, `sent to ${phone}`, mostMs, sender.log);
const startSending = async () => {
  await down.start("relay");
  sender = await down.start("sender-normal", { routesFile });
};
const idsOf = (records: readonly LaneRecord[]) => records.map(({ id }) => id).toSorted();

/** The slow operator hurries: then all that it was to get is sent, each message once and captured. */
async function expectAllSent(toA: readonly LaneRecord[], toB: readonly LaneRecord[]): Promise<void> {
  await answerAfter("0ms");
  await untilSent(toA, TO_A, 120_000);
  expect(down.received("A").toSorted()).toEqual(idsOf(toA));
  expect(down.received("B").toSorted()).toEqual(idsOf(toB));
  expect(await count("wallet_ledger WHERE op='capture'")).toBe(toA.length + toB.length);
  expect(await count("outbox_held")).toBe(0);
  await reconcileBooks(down.pool);
}

test("the batches of a slow operator's messages leave some to another one's, whosever they are", async () => {
  const customers = await insertCustomers(4);
  await startSending();
  const toA = await accept(2_000, TO_A, customers);
  const isGiven = async () => (await sender.count("sluice_sender_unsettled")) > 1_400;
  await until(isGiven, "A's batches are under way", 30_000, sender.log);
  await Bun.sleep(3_000); // those that its first answers let follow are under way, too
  const toB = await accept(100, TO_B, [...customers, ...(await insertCustomers(1))]);
  await untilSent(toB, TO_B, SOON_MS);
  expect(await sentTo(TO_A)).toBeLessThan(FEW);
  await expectAllSent(toA, toB);
}, 240_000);

test("a sender reads on when its memory has as much of a slow operator's as it may have: the rest is held", async () => {
  const customers = await insertCustomers(30);
  await startSending();
  const toA = await accept(SENDER_QUEUE_MAX + 2_500, TO_A, customers);
  const isRead = async () => (await sender.count("sluice_sender_read_total")) > SENDER_QUEUE_MAX;
  await until(isRead, "most of A's are read", 30_000, sender.log);
  const toB = await accept(100, TO_B, customers);
  await untilSent(toB, TO_B, SOON_MS);
  expect(await sentTo(TO_A)).toBeLessThan(FEW);
  expect(await sender.count("sluice_sender_held_total")).toBeGreaterThan(0);
  await expectAllSent(toA, toB);
}, 300_000);

test("held messages of a slow operator are passed by another one's, even those of their own customer", async () => {
  const customers = await insertCustomers(1);
  const toA = await accept(2_000, TO_A, customers);
  const toB = await accept(100, TO_B, customers);
  await down.pool.write("DELETE FROM outbox WHERE lane='normal'");
  const linkOf = ({ phone }: LaneRecord) => (phone === TO_A ? "A" : "B");
  for (let at = 0; at < toA.length; at += 50)
    await holdRecords(down.pool, "normal", toA.slice(at, at + 50), linkOf);
  await holdRecords(down.pool, "normal", toB, linkOf);
  await startSending();
  await untilSent(toB, TO_B, SOON_MS);
  expect(await sentTo(TO_A)).toBeLessThan(FEW);
  await expectAllSent(toA, toB);
}, 240_000);

test("a sender that stops gives back what a slow operator has had no room for: none of it becomes unknown", async () => {
  const customers = await insertCustomers(4);
  await startSending();
  const toA = await accept(2_000, TO_A, customers);
  const isClaimed = async () => (await count("messages WHERE status='sending'")) > 1_000;
  await until(isClaimed, "A's messages are claimed", 30_000, sender.log);
  expect(await sender.end()).toBe(0); // within DRAIN_MS
  expect(await count("messages WHERE status IN ('sending','unknown')")).toBe(0);
  expect(await count("claims")).toBe(0);
  expect(await sentTo(TO_A)).toBeLessThan(FEW);
  sender = await down.start("sender-normal", { routesFile });
  await expectAllSent(toA, []);
}, 240_000);
