// Recreates topics that are gone, as when a broker lost its disk: without them nothing leaves the outbox, and
// senders and ClickHouse wait for them. The sweep recovers their contents. Bound: one look every LOOK_MS.

import type { TopicAdmin } from "../platform/kafka/topics.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";

export type KeepTopicsDeps = PeriodicDeps & { topics: Pick<TopicAdmin, "ensure"> };

const LOOK_MS = 2_000;
const LOOK_MAX_MS = 60_000; // lists the topics and may recreate each of them

export function keepTopics(deps: KeepTopicsDeps): Periodic {
  const options = { name: "topics", everyMs: LOOK_MS, runMaxMs: LOOK_MAX_MS };
  return startPeriodic(deps, options, async () => {
    const made = await deps.topics.ensure();
    if (made.length > 0) deps.log.warn({ topics: made }, "recreated missing topics");
  });
}
