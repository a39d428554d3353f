// Creates Kafka's topics and exits. A separate process, because only Node loads librdkafka and `./sluice
// migrate` runs on Bun.

import { createTopicAdmin } from "../platform/kafka/admin.ts";
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
const topics = createTopicAdmin(config);
const failure: unknown = await topics.ensure().then(
  () => null,
  (err: unknown) => err,
);
topics.close();
if (failure === null) log.info("topics exist");
else log.error({ err: failure }, "topics could not be created");
process.exit(failure === null ? 0 : 1);
