// Messages that every operator refuses for now, with real processes and engines: tried again with growing
// delays, sent once an operator takes them, expired and refunded when their time is over.

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

const OPERATORS = ["A", "B", "C"] as const;

let down: Downstream;
let customerId: number;
let sender: Role;
beforeAll(async () => {
  down = await createDownstream();
  customerId = await insertCustomer(down.pool, 1_000_000);
  await Promise.all(OPERATORS.map((name) => down.startOperator(name, "refusing")));
  await Promise.all([down.start("relay"), down.start("sender-express")]);
  sender = await down.start("sender-normal");
}, 120_000);
afterAll(() => down.end());

const behave = (profile: "refusing" | "fast") =>
  Promise.all(OPERATORS.map((name) => down.behave(name, profile)));
const send = async (fields: Partial<LaneRecord>) => {
  const record = laneRecord(customerId, fields);
  await acceptMessages(down.pool, [record]);
  return record;
};
const rowOf = async ({ id }: LaneRecord) => {
  const [row] = await down.pool.query<
    { status: string; attempt: number; sequence: number; last_error: string; updated_at: Date }[]
  >(`SELECT status, attempt, sequence, last_error, updated_at FROM messages WHERE id='${id}'`);
  if (row === undefined) throw new Error(`${id} is not stored`);
  return row;
};
const untilStatus = (record: LaneRecord, status: string) =>
  until(async () => (await rowOf(record)).status === status, `it is ${status}`, 40_000, sender.log);
const closesOf = async ({ id }: LaneRecord) => {
  const rows = await down.pool.query<{ op: string }[]>(
    `SELECT op FROM wallet_ledger WHERE entry_id='${id}' AND leg='close'`,
  );
  return rows.map(({ op }) => op);
};
const takenBy = ({ id }: LaneRecord) => OPERATORS.filter((name) => down.received(name).includes(id));

test("a message that every operator refuses for now is tried until it expires, and is refunded", async () => {
  const validUntilMs = Date.now() + 25_000;
  const record = await send({ validUntilMs });
  await untilStatus(record, "expired");
  const row = await rowOf(record);
  expect(row.attempt).toBeGreaterThanOrEqual(3);
  expect(row.sequence).toBe(6 * row.attempt + 5);
  expect(row.last_error).toMatch(/^[ABC]: (429 throttled|503 busy)$/);
  expect(row.updated_at.getTime()).toBeLessThanOrEqual(validUntilMs);
  expect(await closesOf(record)).toEqual(["refund"]);
  expect(takenBy(record)).toEqual([]);
  expect(await sender.count("sluice_sender_expired_total")).toBe(1);
}, 120_000);

test("an express message is tried until its promise, and refunded before it", async () => {
  const guaranteedByMs = Date.now() + 8_000;
  const record = await send({ lane: "express", cost: 700, guaranteedByMs });
  await untilStatus(record, "expired");
  const row = await rowOf(record);
  expect(row.attempt).toBeGreaterThanOrEqual(2);
  expect(row.updated_at.getTime()).toBeLessThanOrEqual(guaranteedByMs);
  expect(await closesOf(record)).toEqual(["refund"]);
}, 120_000);

test("a message that was refused for a while is sent at its next attempt, and captured once", async () => {
  const record = await send({});
  await until(async () => (await rowOf(record)).attempt >= 2, "it was tried twice");
  await behave("fast");
  await untilStatus(record, "sent");
  expect(takenBy(record)).toHaveLength(1);
  expect(await closesOf(record)).toEqual(["capture"]);
}, 120_000);

test("express whose answer is lost goes to another operator if its customer wants that: it may be taken twice, and is paid once", async () => {
  await behave("fast");
  await down.behave("A", "hangs"); // the first that is asked
  const express = () => ({ lane: "express", cost: 700, guaranteedByMs: Date.now() + 10_000 }) as const;
  const wanted = await send({ ...express(), mayResend: true });
  const other = await send(express());
  await untilStatus(wanted, "sent");
  await untilStatus(other, "unknown");
  expect(takenBy(wanted)).toHaveLength(2);
  expect(takenBy(wanted)).toContain("A");
  expect(takenBy(other)).toEqual(["A"]);
  const [row] = await down.pool.query<{ operator: string }[]>(
    `SELECT operator FROM messages WHERE id='${wanted.id}'`,
  );
  expect(row?.operator).not.toBe("A");
  expect(await closesOf(wanted)).toEqual(["capture"]);
  expect(await closesOf(other)).toEqual([]);
  expect(await down.pool.query(`SELECT operator FROM lost_submits WHERE message_id='${wanted.id}'`)).toEqual([
    { operator: "A" },
  ]);
  await behave("fast");
}, 120_000);

test("a message whose time is over before a sender reads it is not submitted, though operators would take it", async () => {
  const [over, valid] = [await send({ validUntilMs: Date.now() - 1 }), await send({})];
  await untilStatus(valid, "sent");
  await untilStatus(over, "expired");
  expect(await rowOf(over)).toMatchObject({ attempt: 0, last_error: "not sent while it was valid" });
  expect(takenBy(over)).toEqual([]);
  expect(await closesOf(over)).toEqual(["refund"]);
}, 120_000);
