// Checks that every partition of the lane's topic has a reader, and acts when one has none. librdkafka only
// asks for partitions again when it sees its topic change. When a broker comes back without its topics,
// librdkafka may rejoin before it has noticed that they are gone, be assigned none of them, and then see a
// topic that looks as before: it would wait for ever. So every sender compares the topic's partitions with
// those that it and the other members of its group read. States: served → unread (not ready) → rejoined,
// again each REJOIN_EVERY_MS → after END_MS `onFatal`, because only a new client is left to try. Owning
// nothing is fine while others read everything; while the topic doesn't exist, or the group is assigning
// partitions, nothing needs repair. Bound: one look every LOOK_MS.

import assert from "node:assert/strict";
import type { Consumer } from "../platform/kafka/consumer.ts";
import type { TopicAdmin, TopicReaders } from "../platform/kafka/topics.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { startPeriodic } from "../platform/periodic.ts";
import type { Timers } from "../platform/timers.ts";

export type OwnershipDeps = {
  topics: Pick<TopicAdmin, "readers">;
  consumer: Pick<Consumer, "assigned" | "rejoin">;
  timers: Timers;
  metrics: Metrics;
  log: Log;
  onFatal: (error: unknown) => void;
};
export type OwnershipOptions = { topic: string; group: string; instance: string };
export type Ownership = {
  /** False while a partition has no reader. Before the first look, owning some partition is enough. */
  isServed(): boolean;
  stop(): Promise<void>;
};

const LOOK_MS = 2_000;
const LOOK_MAX_MS = 15_000; // three calls of the admin client
// A partition that moves from one member to another has no reader for a moment.
const UNREAD_MS = 1_500;
const REJOIN_EVERY_MS = 6_000;
const END_MS = 30_000;
// The promised time within which a reader that lost its partitions has them back, a slow rejoin included.
const HEALED_MAX_MS = 15_000;
assert(2 * LOOK_MS + UNREAD_MS + REJOIN_EVERY_MS < HEALED_MAX_MS, "two rejoins are tried in that time");
assert(UNREAD_MS < LOOK_MS, "it takes two looks, and no more, to see that a partition stays unread");

/** Partitions that nobody reads. What this member reads is taken from its own client, not from the broker. */
export function unreadOf(
  { partitions, members }: TopicReaders,
  { instance, assigned }: { instance: string; assigned: readonly number[] },
): number[] {
  const others = members.filter((member) => member.instance !== instance);
  const read = new Set([...assigned, ...others.flatMap((member) => member.partitions)]);
  return partitions.filter((partition) => !read.has(partition));
}

export function watchOwnership(
  { topics, consumer, timers, metrics, log, onFatal }: OwnershipDeps,
  { topic, group, instance }: OwnershipOptions,
): Ownership {
  let served: boolean | null = null;
  let unread: number[] = [];
  let unreadSinceMs: number | null = null;
  let rejoinedMs = Number.NEGATIVE_INFINITY;
  metrics.gauge("sluice_sender_partitions", () => consumer.assigned().length);
  metrics.gauge("sluice_sender_partitions_unread", () => unread.length);
  const counts = metrics.counts("sluice_sender", ["rejoins_total"]);

  const look = async (): Promise<void> => {
    const readers = await topics.readers(topic, group);
    const assigned = consumer.assigned();
    unread = unreadOf(readers, { instance, assigned });
    const nowMs = timers.monotonicMs();
    if (unread.length === 0) {
      if (unreadSinceMs !== null && served === false)
        log.info({ assigned }, "every partition has a reader again");
      unreadSinceMs = null;
      served = true;
      return;
    }
    unreadSinceMs ??= nowMs;
    const forMs = nowMs - unreadSinceMs;
    if (forMs < UNREAD_MS) return;
    if (served !== false)
      log.warn({ unread, assigned, members: readers.members }, "partitions have no reader");
    served = false;
    if (!readers.isSettled) return;
    if (forMs >= END_MS) return onFatal(new Error(`nobody reads partitions ${unread} of ${topic}`));
    if (nowMs - rejoinedMs < REJOIN_EVERY_MS) return;
    rejoinedMs = nowMs;
    counts.rejoins_total++;
    log.warn({ unread, assigned }, "asking the group again for partitions");
    consumer.rejoin();
  };

  const options = { name: "ownership", everyMs: LOOK_MS, runMaxMs: LOOK_MAX_MS };
  const job = startPeriodic({ timers, metrics, log }, options, look);
  return { isServed: () => served ?? consumer.assigned().length > 0, stop: job.stop };
}
