// Sending, with real processes and engines: what each kind of answer makes of a message and its money, and
// what is left when a sender dies.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type LaneRecord, packLaneRow } from "../../src/core/lane-record.ts";
import { SUBMIT_TIMEOUT_MS } from "../../src/core/limits.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

const REFUSED_BY_ALL = "+989129990001";
const REFUSED_BY_A = "+989129990002";
const HANGS = "+989129990003";
const BALANCE = 1_000_000;

let down: Downstream;
let customerId: number;
let sender: Role;
beforeAll(async () => {
  down = await createDownstream();
  customerId = await insertCustomer(down.pool, BALANCE);
  await Promise.all(["A", "B", "C"].map((name) => down.startOperator(name as "A")));
  await Promise.all([down.start("relay"), down.start("sender-express")]);
  sender = await down.start("sender-normal");
}, 120_000);
afterAll(() => down.end());

type Row = {
  status: string;
  operator: string | null;
  attempt: number;
  sequence: number;
  last_error: string | null;
  settle_room: string;
};
const rowOf = async (id: string): Promise<Row> => {
  const [row] = await down.pool.query<Row[]>(
    "SELECT status, operator, attempt, sequence, last_error, settle_room FROM messages WHERE id=?",
    [id],
  );
  return row as Row;
};
const closeOf = async (id: string) => {
  const rows = await down.pool.query<{ op: string }[]>(
    "SELECT op FROM wallet_ledger WHERE entry_id=? AND leg='close'",
    [id],
  );
  return rows.map((row) => row.op);
};
const untilStatus = (id: string, status: string, mostMs = 30_000) =>
  until(async () => (await rowOf(id)).status === status, `message is ${status}`, mostMs, sender.log);
const send = async (fields: Partial<LaneRecord> = {}) => {
  const record = laneRecord(customerId, fields);
  await acceptMessages(down.pool, [record]);
  return record;
};
const takenBy = (id: string) => ["A", "B", "C"].filter((name) => down.received(name).includes(id));

test("a message that an operator accepts is sent and captured, and its claim ends", async () => {
  const { id } = await send();
  await untilStatus(id, "sent");
  const row = await rowOf(id);
  expect(row).toMatchObject({ sequence: 4, attempt: 0, last_error: null, settle_room: "" });
  expect(takenBy(id)).toEqual([row.operator as string]);
  expect(await closeOf(id)).toEqual(["capture"]);
  expect(await down.pool.query("SELECT claim_id FROM claims")).toEqual([]);
});

test("a message that every operator refuses for good is failed and refunded", async () => {
  const { id } = await send({ phone: REFUSED_BY_ALL });
  await untilStatus(id, "failed");
  expect(await rowOf(id)).toMatchObject({
    operator: null,
    last_error: expect.stringContaining("number_refused"),
  });
  expect(await closeOf(id)).toEqual(["refund"]);
  expect(takenBy(id)).toEqual([]);
});

test("a message that A refuses goes to another operator", async () => {
  const { id } = await send({ phone: REFUSED_BY_A });
  await untilStatus(id, "sent");
  expect(["B", "C"]).toContain((await rowOf(id)).operator as string);
});

test("an answer that never comes makes the message unknown: not sent again, still reserved, under a claim of its own", async () => {
  const { id } = await send({ phone: HANGS });
  const quick = await Promise.all([send(), send(), send()]);
  for (const one of quick) await untilStatus(one.id, "sent");
  await untilStatus(id, "unknown");
  expect(takenBy(id)).toHaveLength(1);
  expect(await closeOf(id)).toEqual([]);
  const claims = await down.pool.query<{ kind: string; ids: string }[]>("SELECT kind, ids FROM claims");
  expect(claims).toEqual([{ kind: "unknown", ids: id }]);
  await down.pool.write("UPDATE claims SET expires_at=NOW(3) - INTERVAL 1 SECOND");
  await untilStatus(id, "failed");
  expect(await closeOf(id)).toEqual(["refund"]);
  expect((await rowOf(id)).sequence).toBe(5);
});

test("an answer that comes after its message became unknown settles it: sent and captured, by one operator", async () => {
  await Promise.all(["A", "B", "C"].map((name) => down.behave(name as "A", "slow")));
  const records = [await send(), await send()];
  for (const { id } of records) await untilStatus(id, "unknown");
  for (const { id } of records) {
    await untilStatus(id, "sent");
    expect(await rowOf(id)).toMatchObject({ sequence: 4, last_error: null });
    expect(takenBy(id)).toEqual([(await rowOf(id)).operator as string]);
    expect(await closeOf(id)).toEqual(["capture"]);
  }
  expect(await sender.count("sluice_sender_reported_total")).toBe(2);
  await Promise.all(["A", "B", "C"].map((name) => down.behave(name as "A", "default")));
}, 120_000);

const express = { lane: "express", cost: 700 } as const;

test("an express message that can't be submitted in time any more is submitted to nobody: it expires and is refunded", async () => {
  const over = await send({ ...express, guaranteedByMs: Date.now() - 1 });
  const tooLate = await send({ ...express, guaranteedByMs: Date.now() + SUBMIT_TIMEOUT_MS - 500 });
  const inTime = await send({ ...express, guaranteedByMs: Date.now() + 10_000 });
  await untilStatus(inTime.id, "sent");
  expect(await closeOf(inTime.id)).toEqual(["capture"]);
  for (const { id } of [over, tooLate]) {
    await untilStatus(id, "expired");
    expect(await rowOf(id)).toMatchObject({ operator: null, last_error: "guaranteed_by could not be kept" });
    expect(await closeOf(id)).toEqual(["refund"]);
    expect(takenBy(id)).toEqual([]);
  }
});

test("an express message accepted after guaranteed_by is sent and refunded; one accepted in time is captured", async () => {
  await Promise.all(["A", "B", "C"].map((name) => down.behave(name as "A", "slow")));
  const late = await send({ ...express, guaranteedByMs: Date.now() + SUBMIT_TIMEOUT_MS + 1_000 });
  const inTime = await send({ ...express, guaranteedByMs: Date.now() + 60_000 });
  for (const { id } of [late, inTime]) await untilStatus(id, "sent");
  await Promise.all(["A", "B", "C"].map((name) => down.behave(name as "A", "default")));
  expect(takenBy(late.id)).toHaveLength(1);
  expect(await closeOf(late.id)).toEqual(["refund"]);
  expect(await closeOf(inTime.id)).toEqual(["capture"]);
}, 120_000);

test("a record that comes twice is sent once", async () => {
  const record = await send();
  await untilStatus(record.id, "sent");
  const skipped = await sender.count("sluice_sender_skipped_total");
  await down.pool.write("INSERT INTO outbox (lane,payload) VALUES ('normal',?)", [
    packLaneRow([record, record]),
  ]);
  await until(
    async () => (await sender.count("sluice_sender_skipped_total")) === skipped + 2,
    "both are skipped",
  );
  expect(takenBy(record.id)).toHaveLength(1);
  expect(await closeOf(record.id)).toEqual(["capture"]);
});

test("a killed sender leaves no message in sending: its claim expires, and messages without an outcome become unknown", async () => {
  const { id } = await send({ phone: HANGS });
  await untilStatus(id, "sending");
  await until(() => takenBy(id).length === 1, "an operator has it");
  await sender.end("SIGKILL");
  await down.pool.write("UPDATE claims SET expires_at=NOW(3) - INTERVAL 1 SECOND WHERE kind='sending'");
  sender = await down.start("sender-normal");
  await untilStatus(id, "unknown");
  expect(takenBy(id)).toHaveLength(1);
  expect(await down.pool.query("SELECT claim_id FROM claims WHERE kind='sending'")).toEqual([]);
});

test("SIGTERM finishes what is in flight and exits 0, and nothing is read again", async () => {
  const records = Array.from({ length: 500 }, () => laneRecord(customerId, { cost: 1 }));
  await acceptMessages(down.pool, records);
  await until(async () => (await sender.count("sluice_sender_read_total")) > 0, "it is reading");
  expect(await sender.end()).toBe(0);
  expect(await down.pool.query("SELECT id FROM messages WHERE status='sending'")).toEqual([]);
  sender = await down.start("sender-normal");
  for (const { id } of records) await untilStatus(id, "sent");
  expect(await sender.count("sluice_sender_skipped_total")).toBe(0);
}, 120_000);

test("SIGTERM waits for a call that hangs, settles it as unknown, and still exits 0 within 10 s", async () => {
  const { id } = await send({ phone: HANGS });
  await untilStatus(id, "sending");
  const startedMs = Date.now();
  expect(await sender.end()).toBe(0);
  expect(Date.now() - startedMs).toBeLessThan(10_000);
  expect((await rowOf(id)).status).toBe("unknown");
  expect(await closeOf(id)).toEqual([]);
  sender = await down.start("sender-normal");
}, 120_000);

test("with an operator away the others take over, and with all away messages wait and are sent when one is back", async () => {
  const other = await createDownstream();
  try {
    const customer = await insertCustomer(other.pool, BALANCE);
    const statusOf = async (id: string) =>
      (await other.pool.query<{ status: string }[]>("SELECT status FROM messages WHERE id=?", [id]))[0]
        ?.status;
    const add = async () => {
      const record = laneRecord(customer);
      await acceptMessages(other.pool, [record]);
      return record.id;
    };
    const waits = await add();
    await Promise.all([other.start("relay"), other.start("sender-normal")]);
    await until(async () => {
      const [row] = await other.pool.query<{ attempt: number }[]>("SELECT attempt FROM messages");
      return row?.attempt === 1;
    }, "it is queued again");
    await other.startOperator("C");
    await until(async () => (await statusOf(waits)) === "sent", "it is sent by C");
    const after = await add();
    await until(async () => (await statusOf(after)) === "sent", "C is used at once");
  } finally {
    await other.end();
  }
}, 120_000);

test("the wallet adds up: what is reserved belongs to the messages still unknown", async () => {
  const [wallet] = await down.pool.query<{ balance: number; reserved: number }[]>(
    "SELECT balance, reserved FROM wallet_accounts WHERE customer_id=?",
    [customerId],
  );
  const [open] = await down.pool.query<{ cost: string }[]>(
    "SELECT SUM(cost) AS cost FROM messages WHERE status='unknown'",
  );
  const [captured] = await down.pool.query<{ amount: string }[]>(
    "SELECT SUM(amount) AS amount FROM wallet_ledger WHERE op='capture'",
  );
  expect(wallet?.reserved).toBe(Number(open?.cost));
  expect(wallet?.balance).toBe(BALANCE - Number(captured?.amount) - Number(open?.cost));
});
