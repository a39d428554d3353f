// Sets a group's offsets back. Runs on Node, because it needs librdkafka: `node rewind-tool.ts GROUP TOPIC
// earliest|N` (N: that many records, in each partition). A broker accepts offsets from outside only while the
// group has no member, so this retries until the dead sender's session has expired. Prints how many records
// will come again.

import librdkafka from "@confluentinc/kafka-javascript";
import { loadConfig } from "../../src/platform/config.ts";

const [group = "", topic = "", back = ""] = process.argv.slice(2);
const TIMEOUT_MS = 5_000;
const TRIES = 45;
const PARTITIONS = 6;
const config = loadConfig(process.env);
const consumer = new librdkafka.KafkaConsumer(
  {
    "metadata.broker.list": `${config.kafkaHost}:${config.kafkaPort}`,
    "broker.address.family": "v4",
    "group.id": group,
    "enable.auto.commit": false,
  },
  {},
);
consumer.on("event.error", () => undefined); // each call reports its own errors

type Marks = { lowOffset: number; highOffset: number };
const call = <T>(start: (done: (error: unknown, result: T) => void) => void): Promise<T> =>
  new Promise((resolve, reject) => {
    start((error, result) => (error ? reject(new Error(JSON.stringify(error))) : resolve(result)));
  });

const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition }));
let again = 0;
let isConnected = false;
for (let attempt = 1; ; attempt++) {
  try {
    if (!isConnected) await call((done) => consumer.connect({ timeout: TIMEOUT_MS }, done));
    isConnected = true;
    const committed = await call<librdkafka.TopicPartitionOffset[]>((done) =>
      consumer.committed(partitions as never, TIMEOUT_MS, done as never),
    );
    again = 0;
    const wanted: librdkafka.TopicPartitionOffset[] = [];
    for (const { partition, offset } of committed) {
      if (typeof offset !== "number" || offset < 0) continue; // nothing was ever read from it
      const marks = await call<Marks>((done) =>
        consumer.queryWatermarkOffsets(topic, partition, TIMEOUT_MS, done as never),
      );
      const to = back === "earliest" ? marks.lowOffset : Math.max(marks.lowOffset, offset - Number(back));
      again += offset - to;
      wanted.push({ topic, partition, offset: to });
    }
    if (wanted.length > 0) consumer.commitSync(wanted);
    break;
  } catch (error) {
    if (attempt >= TRIES) throw error;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}
console.log(String(again));
consumer.disconnect();
process.exit(0);
