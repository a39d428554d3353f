// For tests, which run on Bun and can't load librdkafka: `node kafka-tool.ts read TOPIC` prints every record
// of a topic as a JSON line; `… produce TOPIC KEY BASE64` adds one; `… rewind TOPIC GROUP INSTANCE` takes the
// place of a sender that has ended and sets its group's offsets back to the beginning.

import { loadConfig } from "../../src/platform/config.ts";
import { createConsumer } from "../../src/platform/kafka/consumer.ts";
import { createProducer } from "../../src/platform/kafka/producer.ts";
import { createLog } from "../../src/platform/log.ts";

const PARTITIONS = 6;
const [command, topic = "", key = "", base64 = ""] = process.argv.slice(2);
const config = loadConfig(process.env);
const log = createLog("kafka-tool", "silent");

if (command === "produce") {
  const producer = await createProducer(config, log, () => process.exit(1));
  const value = Buffer.from(base64, "base64");
  const failures = await producer.sendAll([{ topic, key, value, traceparent: "" }]);
  process.exit(failures.length === 0 ? 0 : 1);
}
if (command === "rewind") {
  const handlers = { onRevoked: () => undefined, onFatal: () => process.exit(1) };
  const options = { group: key, instance: base64, topic, fetchWaitMs: 0, ...handlers };
  const consumer = await createConsumer(config, log, options);
  while (!consumer.isUp()) await consumer.read(1, 100);
  for (let partition = 0; partition < PARTITIONS; partition++) consumer.store(partition, 0);
  await consumer.close();
  process.exit(0);
}
const group = `${config.topicPrefix}kafka-tool-${process.pid}-${Date.now()}`;
const consumer = await createConsumer(config, log, {
  group,
  instance: group,
  topic,
  fetchWaitMs: 0,
  onRevoked: () => undefined,
  onFatal: () => process.exit(1),
});
let emptyReads = 0;
while (!consumer.isUp() || emptyReads < 3) {
  const records = await consumer.read(1_000, 300);
  emptyReads = records.length === 0 ? emptyReads + 1 : 0;
  for (const { partition, key: recordKey, value, headers } of records) {
    const traceparent = headers?.[0]?.traceparent;
    const line = { partition, key: recordKey?.toString() ?? null, value: value.toString("base64") };
    console.log(JSON.stringify({ ...line, traceparent: traceparent?.toString() ?? null }));
  }
}
await consumer.close();
process.exit(0);
