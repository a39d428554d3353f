// For test/integrity/unread-partitions.test.ts, which runs on Bun: runs a consumer as a sender does, makes it
// lose its topic and group in several ways, and prints, as one JSON line each, how long it took until every
// partition was read again. Only for a broker of the test's own, because it deletes what the broker knows
// about all groups.

import librdkafka from "@confluentinc/kafka-javascript";
import { loadConfig } from "../../src/platform/config.ts";
import { createTopicAdmin } from "../../src/platform/kafka/admin.ts";
import { createConsumer } from "../../src/platform/kafka/consumer.ts";
import { createProducer } from "../../src/platform/kafka/producer.ts";
import { senderGroup, topicOf } from "../../src/platform/kafka/topics.ts";
import { createLog } from "../../src/platform/log.ts";
import { createMetrics } from "../../src/platform/metrics.ts";
import { sleep } from "../../src/platform/retry.ts";
import { systemTimers } from "../../src/platform/timers.ts";
import { watchOwnership } from "../../src/sender/ownership.ts";

const ROUNDS_MAX = 12;
const KEYS = 60;
const HANDED_OUT_MAX_MS = 5_000;
const GIVE_UP_MS = 40_000;

const config = loadConfig(process.env);
const topic = topicOf(config, "normal");
const group = senderGroup(config, "normal");
const log = createLog("ownership-tool", config.logLevel);
const topics = createTopicAdmin(config);
const admin = librdkafka.AdminClient.create({
  "metadata.broker.list": `${config.kafkaHost}:${config.kafkaPort}`,
});
const fatal = (error: unknown) => {
  console.log(JSON.stringify({ way: "fatal", error: String(error) }));
  process.exit(1);
};

async function member(instance: string) {
  const values: string[] = [];
  const consumer = await createConsumer(config, log, {
    group,
    instance,
    topic,
    fetchWaitMs: 0,
    onRevoked: () => undefined,
    onFatal: fatal,
  });
  let isReading = true;
  const reading = (async () => {
    while (isReading)
      for (const { value } of await consumer.read(100, 50).catch(() => [])) values.push(value.toString());
  })();
  const metrics = createMetrics(instance);
  const ownership = watchOwnership(
    { timers: systemTimers, metrics, log, topics, consumer, onFatal: fatal },
    { topic, group, instance },
  );
  return {
    consumer,
    ownership,
    values,
    async rejoins() {
      return Number(/^sluice_sender_rejoins_total\S* (\d+)$/m.exec(await metrics.text())?.[1]);
    },
    async leave() {
      await ownership.stop();
      isReading = false;
      await reading;
      await consumer.close();
    },
  };
}

const done = (call: (cb: (error: unknown) => void) => void) =>
  new Promise<void>((resolve, reject) => call((error) => (error ? reject(error) : resolve())));
const remove = (name: string) => done((cb) => admin.deleteTopic(name, 5_000, cb));
async function until(holds: () => boolean | Promise<boolean>, maxMs = GIVE_UP_MS): Promise<number> {
  const startedMs = performance.now();
  while (!(await holds()) && performance.now() - startedMs < maxMs) await sleep(5);
  return Math.round(performance.now() - startedMs);
}
const tell = (way: string, result: Record<string, unknown>) =>
  console.log(JSON.stringify({ way, ...result }));

await topics.ensure();
const first = await member("first");
const all = (partitions: number) => () =>
  first.ownership.isServed() && first.consumer.assigned().length === partitions;
tell("start", { ms: await until(all(6)) });

// The broker forgets topic and group, partitions are assigned while the topic is missing, and the topic comes
// back.
for (let round = 0, rejoins = 0; round < ROUNDS_MAX && rejoins === 0; round++) {
  const before = await first.rejoins();
  await Promise.all([remove(topic), remove("__consumer_offsets")]);
  const isWithout = async () => {
    const seen = await topics.readers(topic, group).catch(() => null);
    return seen?.members.length === 1 && seen.isSettled && first.consumer.assigned().length === 0;
  };
  await until(isWithout, HANDED_OUT_MAX_MS);
  await topics.ensure();
  const ms = await until(all(6));
  rejoins = (await first.rejoins()) - before;
  tell("forgotten", { ms, rejoins });
}

// Two members share the partitions; neither asks for those that the other reads.
const before = await first.rejoins();
const second = await member("second");
const shared = () => first.consumer.assigned().length === 3 && second.consumer.assigned().length === 3;
const sharedMs = await until(() => shared() && second.ownership.isServed());
await sleep(10_000);
tell("shared", {
  ms: sharedMs,
  served: first.ownership.isServed() && second.ownership.isServed(),
  rejoins: (await first.rejoins()) - before + (await second.rejoins()),
});
await second.leave();
tell("left", { ms: await until(all(6)) });

// The topic is recreated while the group stays. Records of the new topic below the old offsets may be
// skipped, which the sweep repairs; records beyond them are read.
const producer = await createProducer(config, log, fatal);
const produce = async (value: string, each: number) => {
  const records = Array.from({ length: each * KEYS }, (_, n) => ({
    topic,
    key: String(n % KEYS),
    value: Buffer.from(value),
    traceparent: "",
  }));
  for (let failed = true; failed; ) failed = (await producer.sendAll(records)).length > 0;
};
const read = (value: string, each: number) => () =>
  first.values.filter((one) => one === value).length >= each * KEYS;
await produce("old", 1);
await until(read("old", 1));
await remove(topic);
await until(async () => (await topics.readers(topic, group)).partitions.length === 0);
await topics.ensure();
await produce("new", 3);
tell("anew", { ms: await until(read("new", 2)) });

await done((cb) => admin.createPartitions(topic, 8, 5_000, cb));
tell("added", { ms: await until(all(8)) });
process.exit(0);
