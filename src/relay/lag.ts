// Measures how far a consumer group is behind in its topic: in records, and in seconds. Kafka only has
// offsets, so seconds are derived from when each end of the log was first seen: records between the group's
// offset and an end seen a minute ago have waited for a minute. Pure except for its own memory; the clock is
// passed in.
// Invariant: the result in seconds is never more than the oldest unread record has waited, and at most one
// sampling interval less. Bound: SAMPLES_MAX ends; a group further behind has waited longer than reported.

import type { PartitionOffsets, TopicOffsets } from "../platform/kafka/topics.ts";

export type Lag = { partition: number; records: number };
export type LagMeter = {
  /** Adds a sample of the topic and its group; returns the lag. */
  saw(offsets: TopicOffsets): { lags: Lag[]; seconds: number };
};

/** With one sample each 5 s this is an hour. */
export const SAMPLES_MAX = 720;

type Ends = { atMs: number; ends: ReadonlyMap<number, number> };

export function createLagMeter(monotonicMs: () => number): LagMeter {
  let topicId = "";
  let seen: Ends[] = [];

  return {
    saw(offsets) {
      if (offsets.topicId !== topicId) seen = []; // another log: its offsets start from 0 again
      topicId = offsets.topicId;
      const nowMs = monotonicMs();
      const { partitions } = offsets;
      seen.push({ atMs: nowMs, ends: new Map(partitions.map(({ partition, end }) => [partition, end])) });
      if (seen.length > SAMPLES_MAX) seen.shift();
      // An end that every partition has passed is no longer needed.
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

// Without an offset, or with one of a log that is gone, the group starts at the oldest record.
const nextOffset = ({ begin, end, committed }: PartitionOffsets): number =>
  committed === null || committed > end ? begin : Math.max(begin, committed);
