// Decides when a message that is still `queued` is proven lost. Pure: the sweep observes, this file judges.
//
// A message becomes queued at an attempt in the same transaction that writes its outbox row. So note a
// moment, and wait until all of these were observed, in this order:
//
//   outbox ──all rows of that moment gone──► kafka ──group past all ends──► held ──all rows gone──► proven
//      ▲                                       │        of that moment             that there were
//      └──the topic shrank or was replaced─────┘        by then
//         (records are lost, and the ends mean nothing)
//
// A record goes from the outbox to Kafka, from there perhaps into a held row, and never back. So by then,
// whatever was queued before that moment was read, and its message claimed, or its record no longer exists. A
// message still queued at that attempt is therefore lost. No clock of Kafka is used; a backlog or an engine
// that is away only makes the wait longer.
// Invariant: a lane is never proven while an outbox row, a record or a held row from before that moment can
// still reach a sender.

import type { PartitionOffsets, TopicOffsets } from "../platform/kafka/topics.ts";

/**
 * `passed`: everything in the topic when `then` was observed has been settled or lost. `broken`: the topic
 * has been replaced or has shrunk since `then`; start over.
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

// An offset stored above the end belongs to a log that is gone: the group will start over at `begin`.
function isPast({ begin, end, committed }: PartitionOffsets, target: number): boolean {
  return begin >= target || (committed !== null && committed >= target && committed <= end);
}
