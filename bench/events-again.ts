// The event topics as a bad network would fill them, for bench/usage.ts, which runs on Bun and can't load
// librdkafka. `node events-again.ts ends` says where the topics end; `… wait` returns once ClickHouse has
// read everything; `… again JSON` reads the events of some customers from given offsets on, and produces a
// share of them again, behind everything else: each one to three times, those of both topics mixed, in an
// order drawn from a seed. Each prints its result as a line of JSON; progress goes to stderr.
// Bounds: the chosen events in memory; STALLED_MS without progress.

import { crc32 } from "node:zlib";
import librdkafka from "@confluentinc/kafka-javascript";
import { loadConfig } from "../src/platform/config.ts";
import { createTopicAdmin } from "../src/platform/kafka/admin.ts";
import { createProducer, type OutRecord } from "../src/platform/kafka/producer.ts";
import { consumersOf } from "../src/platform/kafka/topics.ts";
import { createLog } from "../src/platform/log.ts";
import { sleep } from "../src/platform/retry.ts";
import { progressOf, randomFrom } from "./harness.ts";

const TOPICS = ["status", "ledger"] as const;
type Topic = (typeof TOPICS)[number];
/** An offset of each topic; they have one partition. */
export type Offsets = Record<Topic, number>;
export type Asked = {
  from: Offsets;
  customerIds: readonly number[];
  /**
   * An event is chosen if crc32(`${seed}:${event_id}`) % 1000 is below `again`, and counted as late if that
   * is below `late`, too.
   */
  seed: number;
  again: number;
  late: number;
};
/**
 * Lines by topic: of the customers, and chosen; late: events, however often they are there. `lines` of
 * `records` were produced.
 */
export type Again = { read: Offsets; chosen: Offsets; late: Offsets; lines: number; records: number };

const COPIES_MAX = 3;
const LINES_MAX = 400;
/** Records that are produced together. */
const SOME = 100;
const READ_RECORDS = 500;
const READ_WAIT_MS = 500;
const LOOK_MS = 200;
const STALLED_MS = 120_000;
const CONNECT = { timeout: 5_000 };
// Lines of JSONEachRow (src/core/event-record.ts): nothing before these two fields has a quote in it.
const LINE = /^\{"event_id":"([^"]+)",.*?"customer_id":(\d+),/;

const config = loadConfig(process.env);
const consumers = consumersOf(config);
const admin = createTopicAdmin(config);
const progress = progressOf((line) => console.error(line));
const [command, json = "{}"] = process.argv.slice(2);
if (command === "ends") console.log(JSON.stringify(await ends()));
else if (command === "wait") console.log(JSON.stringify(await untilRead()));
else if (command === "again") console.log(JSON.stringify(await eventsAgain(JSON.parse(json) as Asked)));
else throw new Error(`unknown command ${command}`);
admin.close();
process.exit(0);

async function offsetsOf(name: Topic): Promise<{ end: number; read: number }> {
  const { topic, group } = consumers[name];
  const [partition, ...more] = (await admin.offsets(topic, group))?.partitions ?? [];
  if (partition === undefined || more.length > 0) throw new Error(`${topic} should have one partition`);
  const { begin, end, committed } = partition;
  return { end, read: committed ?? begin };
}

async function ends(): Promise<Offsets> {
  const [status, ledger] = await Promise.all(TOPICS.map(offsetsOf));
  return { status: status?.end ?? 0, ledger: ledger?.end ?? 0 };
}

/** Waits until ClickHouse has stored all that is in both topics now. @throws Error if it stops reading */
async function untilRead(): Promise<Offsets> {
  const wanted = await ends();
  for (const name of TOPICS) {
    let last = -1;
    for (let lastMs = performance.now(); ; await sleep(LOOK_MS)) {
      const { read } = await offsetsOf(name);
      if (read >= wanted[name]) break;
      if (read > last) [last, lastMs] = [read, performance.now()];
      if (performance.now() - lastMs > STALLED_MS)
        throw new Error(`ClickHouse has read ${consumers[name].topic} up to ${read} of ${wanted[name]}`);
      progress(() => `ClickHouse is ${wanted[name] - read} records behind in ${consumers[name].topic}`);
    }
  }
  return wanted;
}

type Chosen = { topic: string; line: Buffer };

async function eventsAgain({ from, customerIds, seed, again, late }: Asked): Promise<Again> {
  const to = await ends();
  const wanted = new Set(customerIds.map(String));
  const count = (): Offsets => ({ status: 0, ledger: 0 });
  const result: Again = { read: count(), chosen: count(), late: count(), lines: 0, records: 0 };
  const chosen: Chosen[] = [];
  const lateIds = { status: new Set<string>(), ledger: new Set<string>() };
  for (const name of TOPICS)
    await eachLine(consumers[name].topic, from[name], to[name], (text) => {
      const [, eventId = "", customerId = ""] = LINE.exec(text) ?? [];
      if (!wanted.has(customerId)) return;
      const drawn = crc32(`${seed}:${eventId}`) % 1_000;
      result.read[name]++;
      if (drawn >= again) return;
      // Copies, because a part of a long text would keep all of it in memory.
      chosen.push({ topic: consumers[name].topic, line: Buffer.from(`${text}\n`) });
      result.chosen[name]++;
      if (drawn < late) lateIds[name].add(Buffer.from(eventId).toString());
      result.late[name] = lateIds[name].size;
    });
  const random = randomFrom(seed);
  const copies = chosen.flatMap((one) =>
    Array.from({ length: 1 + Math.floor(random() * COPIES_MAX) }, () => one),
  );
  shuffle(copies, random);
  result.lines = copies.length;
  result.records = await produce(recordsOf(copies, random), copies.length);
  await untilRead();
  return result;
}

/** Calls `each` with the lines of the records from <= offset < to. */
async function eachLine(
  topic: string,
  from: number,
  to: number,
  each: (line: string) => void,
): Promise<void> {
  const consumer = new librdkafka.KafkaConsumer(
    {
      "metadata.broker.list": `${config.kafkaHost}:${config.kafkaPort}`,
      "broker.address.family": "v4",
      "group.id": `${config.topicPrefix}bench-events-again-${process.pid}`, // never joined
      "enable.auto.commit": false,
    },
    { "auto.offset.reset": "earliest" },
  );
  consumer.on("event.error", () => undefined); // what can't be read is missed below
  await new Promise<void>((resolve, reject) => {
    consumer.connect(CONNECT, (error) => (error ? reject(new Error(error.message)) : resolve()));
  });
  consumer.setDefaultConsumeTimeout(READ_WAIT_MS);
  consumer.assign([{ topic, partition: 0, offset: from }]);
  let lastMs = performance.now();
  for (let next = from; next < to; ) {
    const records = await new Promise<librdkafka.Message[]>((resolve, reject) => {
      consumer.consume(READ_RECORDS, (error, some) =>
        error ? reject(new Error(error.message)) : resolve(some),
      );
    });
    if (records.length > 0) lastMs = performance.now();
    if (performance.now() - lastMs > STALLED_MS) throw new Error(`${topic} can't be read from ${next} on`);
    for (const { offset, value } of records) {
      next = offset + 1;
      if (offset >= to) break;
      for (const line of (value?.toString() ?? "").split("\n")) if (line !== "") each(line);
    }
    progress(() => `read ${next - from} of ${to - from} records of ${topic}`);
  }
  await new Promise<void>((resolve) => consumer.disconnect(() => resolve()));
}

function shuffle(list: Chosen[], random: () => number): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j] as Chosen, list[i] as Chosen];
  }
}

/** Puts the lines, in their order, into records of 1 to LINES_MAX, each of one topic. */
function* recordsOf(lines: readonly Chosen[], random: () => number): Generator<OutRecord> {
  const open = new Map<string, { lines: Buffer[]; most: number }>();
  const recordOf = (topic: string, value: Buffer[]): OutRecord => ({
    topic,
    key: null,
    value: Buffer.concat(value),
    traceparent: "",
  });
  for (const { topic, line } of lines) {
    const record = open.get(topic) ?? { lines: [], most: 1 + Math.floor(random() * LINES_MAX) };
    record.lines.push(line);
    open.set(topic, record);
    if (record.lines.length < record.most) continue;
    open.delete(topic);
    yield recordOf(topic, record.lines);
  }
  for (const [topic, record] of open) yield recordOf(topic, record.lines);
}

/** Returns how many there were. */
async function produce(records: Iterable<OutRecord>, lines: number): Promise<number> {
  const fail = (error: unknown) => {
    console.error(String(error));
    process.exit(1);
  };
  const producer = await createProducer(config, createLog("events-again", "silent"), fail);
  let produced = 0;
  const send = async (some: readonly OutRecord[]) => {
    const [failure] = await producer.sendAll(some);
    if (failure !== undefined) throw new Error(`a record was not produced: ${failure.reason}`);
    produced += some.length;
    progress(() => `produced ${produced} records of ${lines} lines`);
  };
  let some: OutRecord[] = [];
  for (const record of records) {
    some.push(record);
    if (some.length < SOME) continue;
    await send(some);
    some = [];
  }
  await send(some);
  await producer.close(CONNECT.timeout);
  return produced;
}
