// The relay, on real engines: what becomes of outbox rows whose records are produced, fail for now, or can
// never be produced; and a kill between producing and deleting loses nothing.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { packLaneRow, unpackLaneRecord, unpackLaneRow } from "../../src/core/lane-record.ts";
import type { OutRecord, ProduceFailure, Producer } from "../../src/platform/kafka/producer.ts";
import { createLog } from "../../src/platform/log.ts";
import { createMetrics } from "../../src/platform/metrics.ts";
import { startRelay } from "../../src/relay/relay.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, until } from "../support/roles.ts";

const TOPICS = { normal: "normal", express: "express", status: "status", ledger: "ledger" };
const rows = (down: Downstream) =>
  down.pool.query<{ lane: string; attempts: number; last_error: string | null; payload: Buffer }[]>(
    "SELECT lane, attempts, last_error, payload FROM outbox WHERE lane<>'events'",
  );
const messages = (down: Downstream) =>
  down.pool.query<{ id: string; status: string; closes: number }[]>(
    "SELECT id, status, (SELECT COUNT(*) FROM wallet_ledger w WHERE w.entry_id=m.id " +
      "AND op='refund') AS closes FROM messages m " +
      "ORDER BY id",
  );

const letters = (down: Downstream) =>
  down.pool.query<{ source: string; reason: string; payload: Buffer }[]>(
    "SELECT source, reason, payload FROM dead_letters ORDER BY id",
  );

let down: Downstream;
let customerId: number;
beforeAll(async () => {
  down = await createDownstream();
  customerId = await insertCustomer(down.pool, 100_000_000);
}, 120_000);
afterAll(() => down.end());

/** The real loops and database, with a producer that answers as the test says. */
function relayWith(answer: (records: readonly OutRecord[]) => ProduceFailure[]) {
  const sent: OutRecord[] = [];
  const producer: Producer = {
    async sendAll(records) {
      const failures = answer(records);
      sent.push(...records.filter((_, index) => !failures.some((f) => f.index === index)));
      return failures;
    },
    isUp: () => true,
    probe: async () => true,
    close: async () => undefined,
  };
  const metrics = createMetrics("relay");
  const log = createLog("relay", "silent");
  const relay = startRelay({ pool: down.pool, producer, metrics, log, now: Date.now }, { topics: TOPICS });
  return { relay, sent };
}

test("a row of which some records fail is rewritten with only those, and they are produced later", async () => {
  const records = [1, 2, 3].map(() => laneRecord(customerId));
  const failing = records[1]?.id as string;
  let isFailing = true;
  const { relay, sent } = relayWith((out) =>
    out.flatMap((record, index): ProduceFailure[] =>
      isFailing && record.topic === "normal" && unpackLaneRecord(record.value).id === failing
        ? [{ index, code: -192, reason: "timed out", permanent: false }]
        : [],
    ),
  );
  await acceptMessages(down.pool, records);
  await until(async () => (await rows(down))[0]?.attempts === 1, "the row is deferred");
  const [row] = await rows(down);
  expect(unpackLaneRow(row?.payload as Buffer)).toEqual([records[1] as (typeof records)[0]]);
  expect(row?.last_error).toContain("timed out");
  isFailing = false;
  await until(async () => (await rows(down)).length === 0, "the row is gone");
  await relay.stop();
  const lane = sent
    .filter((record) => record.topic === "normal")
    .map((record) => unpackLaneRecord(record.value).id);
  expect(lane.toSorted()).toEqual(records.map((r) => r.id));
});

test("a record that can never be produced becomes a dead letter, and its message is failed and refunded", async () => {
  const records = [1, 2].map(() => laneRecord(customerId));
  const lost = records[0]?.id as string;
  const { relay } = relayWith((out) =>
    out.flatMap((record, index): ProduceFailure[] =>
      record.topic === "normal" && unpackLaneRecord(record.value).id === lost
        ? [{ index, code: 10, reason: "too large", permanent: true }]
        : [],
    ),
  );
  await acceptMessages(down.pool, records);
  await until(async () => (await rows(down)).length === 0, "the row is gone");
  await relay.stop();
  const found = (await messages(down)).filter(({ id }) => records.some((r) => r.id === id));
  expect(found.map(({ status, closes }) => [status, closes])).toEqual([
    ["failed", 1],
    ["queued", 0],
  ]);
  expect(await letters(down)).toEqual([
    { source: "messages", reason: "not produced: too large", payload: packLaneRow(records.slice(0, 1)) },
  ]);
});

test("a row that can't be decoded becomes a dead letter unchanged, and the messages named in it are failed and refunded", async () => {
  const record = laneRecord(customerId);
  await acceptMessages(down.pool, [record]);
  const bad = packLaneRow([record]);
  bad[2] = 99; // the version of its first record
  await down.pool.write("UPDATE outbox SET payload=? WHERE lane='normal'", [bad]);
  const { relay } = relayWith(() => []);
  await until(async () => (await rows(down)).length === 0, "the row is gone");
  await relay.stop();
  expect((await letters(down)).at(-1)).toMatchObject({ source: "messages", payload: bad });
  const found = (await messages(down)).find(({ id }) => id === record.id);
  expect(found).toMatchObject({ status: "failed", closes: 1 });
});

test("records are keyed by customer and carry the trace; their rows are deleted when Kafka has them", async () => {
  const relay = await down.start("relay");
  const records = Array.from({ length: 50 }, () => laneRecord(customerId, { lane: "express" }));
  await acceptMessages(down.pool, records);
  await until(async () => (await rows(down)).length === 0, "the rows are gone", 30_000, relay.log);
  const produced = await down.readTopic("sms.express");
  expect(produced.map((r) => unpackLaneRecord(r.value))).toEqual(records);
  expect(new Set(produced.map((r) => r.key))).toEqual(new Set([String(customerId)]));
  expect(new Set(produced.map((r) => r.partition)).size).toBe(1);
  expect(produced.map((r) => r.traceparent)).toEqual(records.map((r) => r.traceparent));
  await until(async () => (await down.pool.query("SELECT id FROM outbox")).length === 0, "events too");
  const lines = (await down.readTopic("sms.status")).flatMap((r) => r.value.toString().trim().split("\n"));
  const express = lines
    .map((line) => JSON.parse(line) as { id: string; type: string })
    .filter((l) => l.type === "express");
  expect(express.map((line) => line.id)).toEqual(records.map((r) => r.id));
  expect(await relay.end()).toBe(0);
}, 120_000);

test("a relay killed between producing and deleting loses nothing, and each message is still sent once", async () => {
  const records = Array.from({ length: 150 }, () =>
    Array.from({ length: 40 }, () => laneRecord(customerId, { cost: 1 })),
  );
  for (const batch of records) await acceptMessages(down.pool, batch);
  for (let kill = 0; kill < 3; kill++) {
    const before = (await rows(down)).length;
    const relay = await down.start("relay");
    await until(async () => (await rows(down)).length < Math.max(before, 1), "it relays", 30_000, relay.log);
    await relay.end("SIGKILL");
  }
  await Promise.all(["A", "B", "C"].map((name) => down.startOperator(name as "A", "fast")));
  await Promise.all([down.start("relay"), down.start("sender-normal")]);
  const ids = records.flat().map((r) => r.id);
  const countSent = async () => {
    const [row] = await down.pool.query<{ n: number }[]>(
      `SELECT COUNT(*) AS n FROM messages WHERE status='sent' AND cost=1 AND customer_id=${customerId}`,
    );
    return row?.n;
  };
  await until(async () => (await countSent()) === ids.length, "all are sent");
  const taken = ["A", "B", "C"].flatMap((name) => down.received(name)).filter((id) => ids.includes(id));
  expect(taken.toSorted()).toEqual(ids.toSorted());
}, 120_000);
