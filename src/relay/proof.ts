// What proves that a message still `queued` was lost. Pure: the sweep observes, this decides.
//
// A message becomes queued at an attempt in the same transaction that writes its outbox row. So take a
// moment, and wait until each of these was seen, in this order:
//
//   outbox ──every row of then is gone──► kafka ──the group is past every end of then──► proven
//      ▲                                    │
//      └──the topic shrank or is another────┘ (records are lost: what the ends meant is gone too)
//
// Whatever was queued before that moment has by then been in Kafka and been read and settled by a sender, or
// its record does not exist any more. Whoever is still queued at that attempt is lost; no clock of Kafka's is
// asked, a backlog or an engine that is away only makes the wait longer.
// Invariant: a lane is never proven while a row or a record of before that moment can still reach a sender.

import type { PartitionOffsets, TopicOffsets } from "../platform/kafka/topics.ts";

/**
 * `passed`: all that was in the topic when `then` was seen has been settled or lost. `broken`: the topic is
 * not the one of `then` any more; begin anew.
 */
export function judge(then: TopicOffsets, now: TopicOffsets): "passed" | "waiting" | "broken" {
  if (then.topicId !== now.topicId) return "broken";
  let verdict: "passed" | "waiting" = "passed";
  for (const { partition, end } of then.partitions) {
    const present = now.partitions.find((each) => each.partition === partition);
    if (present === undefined || present.end < end) return "broken";
    if (!isPast(present, end)) verdict = "waiting";
  }
  return verdict;
}

// An offset stored above the end is of a log that is gone: the group will start over at `begin`.
function isPast({ begin, end, committed }: PartitionOffsets, target: number): boolean {
  return begin >= target || (committed !== null && committed >= target && committed <= end);
}
