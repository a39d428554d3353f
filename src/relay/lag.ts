// How far a consumer group is behind in its topic: in records, and in seconds. Kafka knows offsets only, so
// seconds come from when each end of the log was first seen: whatever lies between the group's offset and an
// end seen a minute ago has waited for a minute. Pure but for its own memory; the clock is given.
// Invariant: the seconds are never more than the oldest unread record has waited, and at most one sampling
// interval less. Bound: SAMPLES_MAX ends; a group that is further behind has waited for longer than it says.

import type { PartitionOffsets, TopicOffsets } from "../platform/kafka/topics.ts";

export type Lag = { partition: number; records: number };
export type LagMeter = {
  /** What the topic and its group look like now. */
  saw(offsets: TopicOffsets): { lags: Lag[]; seconds: number };
};

/** At one each 5 s, an hour. */
export const SAMPLES_MAX = 720;

type Ends = { atMs: number; ends: ReadonlyMap<number, number> };

export function createLagMeter(monotonicMs: () => number): LagMeter {
  let topicId = "";
  let seen: Ends[] = [];

  return {
    saw(offsets) {
      if (offsets.topicId !== topicId) seen = []; // another log: its offsets count from 0 again
      topicId = offsets.topicId;
      const nowMs = monotonicMs();
      const { partitions } = offsets;
      seen.push({ atMs: nowMs, ends: new Map(partitions.map(({ partition, end }) => [partition, end])) });
      if (seen.length > SAMPLES_MAX) seen.shift();
      // An end that all partitions have passed says nothing any more.
      const waits = seen.findIndex(({ ends }) =>
        partitions.some((p) => nextOffset(p) < (ends.get(p.partition) ?? 0)),
      );
      seen = waits < 0 ? [] : seen.slice(waits);
      return {
        lags: partitions.map((p) => ({
          partition: p.partition,
          records: Math.max(0, p.end - nextOffset(p)),
        })),
        seconds: seen[0] === undefined ? 0 : (nowMs - seen[0].atMs) / 1_000,
      };
    },
  };
}

// Without an offset, and with one of a log that is gone, the group begins at the oldest record.
const nextOffset = ({ begin, end, committed }: PartitionOffsets): number =>
  committed === null || committed > end ? begin : Math.max(begin, committed);
