// Records that nobody can read, with a real sender and broker: each becomes a dead letter before its offset
// passes, once, whatever happens in between, and holds up nothing; and what a letter puts back is sent once.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { Packr } from "msgpackr";
import { type LaneRecord, packLaneRecord } from "../../src/core/lane-record.ts";
import { keepLetters } from "../../src/ledger/dead-letters.ts";
import { requeueLetter } from "../../src/ledger/requeue-letter.ts";
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
}, 120_000);
afterAll(() => down.end());

const packr = new Packr({ useRecords: false });
type Letter = { id: number; source: string; place: string; reason: string; payload: Buffer };
const letters = () =>
  down.pool.query<Letter[]>("SELECT id, source, place, reason, payload FROM dead_letters ORDER BY id");
const dead = () => sender.count("sluice_sender_dead_total");
async function isSent({ id }: LaneRecord): Promise<boolean> {
  const sql = "SELECT id FROM messages WHERE id=? AND status='sent'";
  return (await down.pool.query(sql, [id])).length === 1;
}
/** Accepts a message and waits until it is sent. */
async function send(): Promise<LaneRecord> {
  const record = laneRecord(customerId);
  await acceptMessages(down.pool, [record]);
  await until(() => isSent(record), "it is sent", 30_000, sender.log);
  return record;
}
/** The records of one customer, and this key's, are in one partition. */
const produce = (value: Buffer) => down.produce("sms.normal", String(customerId), value);

const POISON: readonly (readonly [Buffer, string])[] = [
  [Buffer.from("not a record"), "not msgpack"],
  [Buffer.alloc(0), "not msgpack"],
  [packr.pack([2, "a later version"]), "unknown version of a lane record: 2"],
  [packr.pack([{ toString: 1 }]), "unknown version of a lane record: object"],
  [packLaneRecord({ ...laneRecord(1), id: "x') OR ('1'='1" }), "a field of a lane record has the wrong type"],
];

test("records that can't be decoded become dead letters as they came, and what follows in their partition is sent", async () => {
  for (const [value] of POISON) await produce(value);
  await send();
  await until(async () => (await dead()) === POISON.length, "all are counted", 30_000, sender.log);
  const kept = await letters();
  expect(kept.map(({ source, reason, payload }) => [source, reason, payload])).toEqual(
    POISON.map(([value, reason]) => ["record", reason, value]),
  );
  const [first] = kept;
  expect(first?.place).toMatch(new RegExp(`^${down.config.topicPrefix}sms\\.normal/\\d/\\d+$`));
  expect(await sender.end()).toBe(0);
  sender = await down.start("sender-normal");
  await send();
  expect(await dead()).toBe(0); // their offsets had passed
}, 120_000);

test("a sender that was killed before it stored their offsets reads them again, and each is still one letter", async () => {
  const before = await letters();
  await sender.end("SIGKILL");
  await down.rewind("normal");
  sender = await down.start("sender-normal");
  await until(async () => (await dead()) === POISON.length, "all are read again", 40_000, sender.log);
  await send();
  expect(await letters()).toEqual(before);
}, 120_000);

test("a requeued record is sent once, although its own record comes too; once it is sent, its letter does nothing", async () => {
  expect(await sender.end()).toBe(0);
  const record = laneRecord(customerId);
  const keep = async () => {
    const letter = {
      source: "record",
      place: "sms.normal/0/1000000",
      reason: "of another version",
      payload: packLaneRecord(record),
    } as const;
    await keepLetters(down.pool, [letter]);
    return (await letters()).at(-1)?.id as number;
  };
  await acceptMessages(down.pool, [record]);
  const requeued = await requeueLetter(down.pool, await keep());
  expect(requeued).toEqual({ kind: "requeued", into: "outbox", messages: [record.id], over: [] });
  sender = await down.start("sender-normal");
  await until(() => isSent(record), "it is sent", 30_000, sender.log);
  await until(
    async () => (await sender.count("sluice_sender_skipped_total")) >= 1,
    "the other record is skipped",
    30_000,
    sender.log,
  );
  expect(down.received("A").filter((id) => id === record.id)).toEqual([record.id]);
  const id = await keep();
  expect(await requeueLetter(down.pool, id)).toEqual({
    kind: "over",
    over: [{ id: record.id, why: "sent: an operator took it" }],
  });
  expect((await letters()).at(-1)?.id).toBe(id);
}, 120_000);
