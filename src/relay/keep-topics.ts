// Makes topics that are gone anew, as when a broker lost its disk: without them nothing leaves the outbox,
// and senders and ClickHouse wait for them. What was in them is the sweep's. Bound: one look every LOOK_MS.

import type { Log } from "../platform/log.ts";
import { sleep } from "../platform/retry.ts";
import type { TopicAdmin } from "../platform/kafka/topics.ts";

export type KeepTopics = { stop(): Promise<void> };

const LOOK_MS = 2_000;
const STOP_CHECK_MS = 100;

export function keepTopics(topics: Pick<TopicAdmin, "ensure">, log: Log): KeepTopics {
  let stopping = false;
  const loop = async () => {
    while (!stopping) {
      try {
        const made = await topics.ensure();
        if (made.length > 0) log.warn({ topics: made }, "topics were gone and are made anew");
      } catch (err) {
        log.debug({ err }, "topics are not looked at: Kafka is away");
      }
      for (let waitedMs = 0; waitedMs < LOOK_MS && !stopping; waitedMs += STOP_CHECK_MS)
        await sleep(STOP_CHECK_MS);
    }
  };
  const done = loop();
  return {
    async stop() {
      stopping = true;
      await done;
    },
  };
}
