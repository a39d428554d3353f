// The sweep, on real engines: a message whose record is lost is requeued and sent; nothing else is touched,
// however old it looks, while its row waits in the outbox or its record in Kafka.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createIdFactory, ulidBound } from "../../src/core/id.ts";
import { MESSAGE_ATTEMPTS_MAX } from "../../src/core/limits.ts";
import { type LaneRecord, packLaneRecord } from "../../src/core/lane-record.ts";
import { holdRecords } from "../../src/ledger/held.ts";
import { takeLock } from "../../src/platform/named-lock.ts";
import { sleep } from "../../src/platform/retry.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

const AFTER_MS = 5_000;
const OLD_MS = 60_000;
const OLDEST_MS = 120_000;
// What one look of the sweep requeues at most.
const REQUEUE_MAX = 2_000;
// Several ticks of a sweep that had something to find.
const QUIET_MS = 5_000;

let down: Downstream;
let customerId: number;
let relay: Role;
let sender: Role;
const oldId = createIdFactory({ now: () => Date.now() - OLD_MS });
const oldestId = createIdFactory({ now: () => Date.now() - OLDEST_MS });
/** Above those, but so old that a sweep has looked there. */
const betweenId = createIdFactory({ now: () => Date.now() - OLD_MS / 2 });

beforeAll(async () => {
  down = await createDownstream();
  customerId = await insertCustomer(down.pool, 1_000_000);
  await Promise.all(["A", "B", "C"].map((name) => down.startOperator(name as "A", "fast")));
  relay = await down.start("relay", { sweepAfterMs: AFTER_MS });
}, 120_000);
afterAll(() => down.end());

const old = (fields: Partial<LaneRecord> = {}) =>
  laneRecord(customerId, { id: oldId(), createdAtMs: Date.now() - OLD_MS, ...fields });

/**
 * Accepts them while the relay is stopped; `change` says what becomes of their outbox rows. A sweep that has
 * ended has no reason to look at long past times again, so it is made to start over, unless that is tested.
 */
async function accept(records: LaneRecord[], change: string, { startsOver = true } = {}): Promise<void> {
  // A look that was stopped in the middle would store afterwards how far it had come.
  if (startsOver) await whileNoSweep(async () => void process.kill(relay.pid, "SIGSTOP"));
  else process.kill(relay.pid, "SIGSTOP");
  try {
    if (startsOver) await down.pool.write("DELETE FROM sweeps");
    const [before] = await down.pool.query<{ id: number }[]>("SELECT COALESCE(MAX(id), 0) AS id FROM outbox");
    await acceptMessages(down.pool, records);
    await down.pool.write(`${change} WHERE id>${before?.id} AND lane<>'events'`);
  } finally {
    process.kill(relay.pid, "SIGCONT");
  }
}
const whileNoSweep = (body: () => Promise<void>) =>
  down.pool.use(async (conn) => {
    const lock = await takeLock(conn, "sweep-normal", { waitS: 20 });
    if (lock === null) throw new Error("the sweep did not rest for 20 s");
    await body();
    await lock.release();
  });
const lose = (records: LaneRecord[]) => accept(records, "DELETE FROM outbox");

type Row = { id: string; status: string; attempt: number; sequence: number };
async function rowsOf(records: LaneRecord[]): Promise<Row[]> {
  return down.pool.query<Row[]>(
    `SELECT id, status, attempt, sequence FROM messages WHERE id IN (?) ORDER BY id`,
    [records.map((record) => record.id)],
  );
}
const untilAll = (records: LaneRecord[], status: string) =>
  until(
    async () => (await rowsOf(records)).every((row) => row.status === status),
    `all are ${status}`,
    45_000,
    () => `${relay.log()}\n${sender.log()}`,
  );
const taken = () => ["A", "B", "C"].flatMap((name) => down.received(name));
const swept = () => relay.count("sluice_relay_swept_total");

test("while a record of the lane is unread in Kafka, nothing of the lane is requeued; afterwards lost messages are, and are sent under their next attempt", async () => {
  const lost = Array.from({ length: 450 }, () => old({ cost: 1 }));
  const unread = [old(), old()];
  await lose(lost);
  await acceptMessages(down.pool, unread);
  await sleep(QUIET_MS);
  expect(await swept()).toBe(0);
  sender = await down.start("sender-normal");
  await untilAll([...lost, ...unread], "sent");
  expect(await swept()).toBe(lost.length);
  expect(new Set((await rowsOf(unread)).map((row) => row.attempt))).toEqual(new Set([0]));
  expect(new Set((await rowsOf(lost)).map((row) => `${row.attempt} ${row.sequence}`))).toEqual(
    new Set(["1 10"]),
  );
  expect(taken().toSorted()).toEqual([...lost, ...unread].map((record) => record.id).toSorted());
}, 120_000);

test("a sweep that is to start over does so even in the middle of its first search", async () => {
  const before = await swept();
  // More than one look requeues, so that the rest is left to the next one, a tick later.
  const many = Array.from({ length: REQUEUE_MAX + 1 }, () => old({ cost: 1 }));
  const below = old({ id: oldestId(), createdAtMs: Date.now() - OLDEST_MS });
  await lose(many);
  await until(async () => (await swept()) >= before + REQUEUE_MAX, "most are requeued", 30_000, relay.log);
  await lose([below]);
  await untilAll([...many, below], "sent");
  expect(await swept()).toBe(before + many.length + 1);
}, 120_000);

test("a lost record that turns up later is skipped, because its attempt is over", async () => {
  const record = old();
  await lose([record]);
  await untilAll([record], "sent");
  const skipped = await sender.count("sluice_sender_skipped_total");
  await down.produce("sms.normal", String(customerId), packLaneRecord(record));
  await until(
    async () => (await sender.count("sluice_sender_skipped_total")) === skipped + 1,
    "it is skipped",
  );
  expect(taken().filter((id) => id === record.id)).toHaveLength(1);
}, 120_000);

test("a message that waits for its retry, however old it is, is never requeued, and keeps no other from it", async () => {
  const before = await swept();
  // Its tenth attempt may wait for up to 15 minutes.
  const waits = old({ attempt: 10 });
  const lost = old();
  await accept([waits], "UPDATE outbox SET run_at=NOW(3) + INTERVAL 50 SECOND");
  await down.pool.write("UPDATE messages SET attempt=10, sequence=61 WHERE id=?", [waits.id]);
  await lose([lost]);
  await untilAll([lost], "sent");
  expect(await swept()).toBe(before + 1);
  expect((await rowsOf([waits]))[0]).toMatchObject({ status: "queued", attempt: 10 });
  await down.pool.write("UPDATE outbox SET run_at=NOW(3) WHERE run_at>NOW(3)");
  await untilAll([waits], "sent");
  expect((await rowsOf([waits, lost])).map((row) => row.attempt)).toEqual([10, 1]);
  expect(await swept()).toBe(before + 1);
}, 120_000);

test("a message that waits is looked at again without all that came after it, and is found when it is lost then", async () => {
  const before = await swept();
  const waits = old({ attempt: 10 });
  await accept([waits], "UPDATE outbox SET run_at=NOW(3) + INTERVAL 1 HOUR");
  await down.pool.write("UPDATE messages SET attempt=10, sequence=61 WHERE id=?", [waits.id]);
  const markOf = async () => {
    const rows = await down.pool.query<{ open_from: string }[]>(
      "SELECT open_from FROM sweeps WHERE lane='normal'",
    );
    return rows[0]?.open_from;
  };
  await until(async () => (await markOf()) === waits.id, "a sweep has found it open", 30_000, relay.log);
  // A sweep that began again at the mark would requeue it: it is open, due, and has no record.
  const between = old({ id: betweenId() });
  await accept([between], "DELETE FROM outbox", { startsOver: false });
  const fresh = laneRecord(customerId);
  await accept([fresh], "DELETE FROM outbox", { startsOver: false });
  await untilAll([fresh], "sent");
  expect((await rowsOf([waits, between])).map(({ status }) => status)).toEqual(["queued", "queued"]);
  expect([await swept(), await markOf()]).toEqual([before + 1, waits.id]);
  await down.pool.write("DELETE FROM outbox WHERE run_at>NOW(3) + INTERVAL 30 MINUTE");
  await down.pool.write("UPDATE messages SET updated_at=NOW(3) - INTERVAL 20 MINUTE WHERE id=?", [waits.id]);
  await untilAll([waits], "sent");
  await down.pool.write("DELETE FROM sweeps");
  await untilAll([between], "sent");
  expect((await rowsOf([waits, between, fresh])).map(({ attempt }) => attempt)).toEqual([11, 1, 1]);
  expect(await swept()).toBe(before + 3);
}, 240_000);

test("what was looked through by a clock that ran ahead is looked through again once it is set back", async () => {
  const before = await swept();
  const record = laneRecord(customerId);
  await accept([record], "DELETE FROM outbox", { startsOver: false });
  const ahead = ulidBound(Date.now() + 3_600_000);
  await whileNoSweep(async () => {
    await down.pool.write("REPLACE INTO sweeps (lane,open_from) VALUES ('normal',?)", [ahead]);
  });
  await untilAll([record], "sent");
  expect(await swept()).toBe(before + 1);
}, 120_000);

test("while a held row of the lane is left, nothing of the lane is requeued, and what it holds never is", async () => {
  const before = await swept();
  const [holds, lost] = [old(), old()];
  process.kill(sender.pid, "SIGSTOP");
  try {
    await holdRecords(down.pool, "normal", [holds], () => "A B C");
    await lose([holds, lost]);
    await sleep(QUIET_MS);
    expect(await swept()).toBe(before);
  } finally {
    process.kill(sender.pid, "SIGCONT");
  }
  await untilAll([holds, lost], "sent");
  expect((await rowsOf([holds, lost])).map((row) => row.attempt)).toEqual([0, 1]);
  expect(await swept()).toBe(before + 1);
}, 120_000);

const endsOf = async ({ id }: LaneRecord) => {
  const rows = await down.pool.query<{ op: string }[]>(
    "SELECT op FROM wallet_ledger WHERE entry_id=? AND leg='close'",
    [id],
  );
  return rows.map(({ op }) => op);
};

test("a message whose last attempt was lost is failed and refunded", async () => {
  const record = old({ attempt: MESSAGE_ATTEMPTS_MAX - 1 });
  await lose([record]);
  await down.pool.write("UPDATE messages SET attempt=?, updated_at=NOW(3) - INTERVAL 20 MINUTE WHERE id=?", [
    record.attempt,
    record.id,
  ]);
  await untilAll([record], "failed");
  expect(await relay.count("sluice_relay_sweep_failed_total")).toBe(1);
  expect(await endsOf(record)).toEqual(["refund"]);
}, 120_000);

test("a message that was lost and whose validity is over by then expires and is refunded", async () => {
  const record = old({ validUntilMs: Date.now() - 1_000 });
  await lose([record]);
  await untilAll([record], "expired");
  expect(await endsOf(record)).toEqual(["refund"]);
}, 120_000);
