// Creates Kafka's topics and ends: a process of its own, because only Node loads librdkafka and `./sluice
// migrate` runs on Bun.

import { ensureTopics } from "../platform/kafka.ts";
import { describeSettings, loadConfig } from "../platform/config.ts";
import { createLog } from "../platform/log.ts";

if (process.argv.includes("--help")) {
  console.log(
    `node src/main/topics.ts: creates the topics that are missing. Settings:\n${describeSettings()}`,
  );
  process.exit(0);
}
const config = loadConfig(process.env);
const log = createLog("topics", config.logLevel);
try {
  await ensureTopics(config);
  log.info("topics are there");
  process.exit(0);
} catch (err) {
  log.error({ err }, "topics could not be created");
  process.exit(1);
}
