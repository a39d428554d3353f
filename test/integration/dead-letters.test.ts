// Records that nobody can read, with a real sender and broker: each ends in the dead-letter topic, unchanged
// and under the sender's name, before its offset passes, whatever happens in between; it holds up nothing.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

let down: Downstream;
let customerId: number;
let sender: Role;
beforeAll(async () => {
  down = await createDownstream();
  customerId = await insertCustomer(down.pool, 1_000_000);
  await down.startOperator("A");
  await down.start("relay");
  sender = await down.start("sender-normal");
}, 60_000);
afterAll(() => down.end());

const letters = async () =>
  (await down.readTopic("sms.dlq")).map(({ key, value }) => `${key}: ${value.toString()}`);
const dead = () => sender.count("sluice_sender_dead_total");
const waiting = () => sender.count("sluice_sender_dead_letters_waiting");
/** Accepts a message and waits until it is sent. */
async function send(): Promise<void> {
  const record = laneRecord(customerId);
  await acceptMessages(down.pool, [record]);
  const sql = "SELECT id FROM messages WHERE id=? AND status='sent'";
  await until(
    async () => (await down.pool.query(sql, [record.id])).length === 1,
    "it is sent",
    20_000,
    sender.log,
  );
}
/** The records of one customer, and this key's, are in one partition. */
const produce = (text: string) => down.produce("sms.normal", String(customerId), Buffer.from(text));

test("a record that can't be decoded becomes a dead letter unchanged, what follows is sent, and it isn't read again", async () => {
  await produce("not a record");
  await send();
  await until(async () => (await dead()) === 1, "it is counted");
  expect(await letters()).toEqual(["sender-normal: not a record"]);
  expect(await waiting()).toBe(0);
  expect(await sender.end()).toBe(0);
  sender = await down.start("sender-normal");
  await send();
  expect(await dead()).toBe(0);
}, 60_000);

test("while the dead-letter topic can't be written the letter waits and others are sent; a killed sender reads it again, and stores it once that is possible", async () => {
  await down.remake("sms.dlq", { writable: false });
  await produce("bad in bad times");
  await until(async () => (await waiting()) === 1, "the letter waits");
  await send();
  expect(await letters()).toEqual([]);
  await sender.end("SIGKILL");
  sender = await down.start("sender-normal");
  await until(async () => (await dead()) === 1, "it is read again", 30_000, sender.log);
  expect(await waiting()).toBe(1);
  await down.remake("sms.dlq", { writable: true });
  await until(async () => (await waiting()) === 0, "the letter is stored", 40_000, sender.log);
  expect(await letters()).toEqual(["sender-normal: bad in bad times"]);
  await send();
  expect(await sender.end()).toBe(0);
  sender = await down.start("sender-normal");
  await send();
  expect(await dead()).toBe(0);
}, 120_000);
