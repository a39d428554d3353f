import { expect, test } from "bun:test";
import type { TopicOffsets } from "../platform/kafka/topics.ts";
import { createLagMeter, SAMPLES_MAX } from "./lag.ts";

const topic = (end: number, committed: number | null, topicId = "1:1", begin = 0): TopicOffsets => ({
  topicId,
  partitions: [{ partition: 0, begin, end, committed }],
});

function meter() {
  let ms = 0;
  const { saw } = createLagMeter(() => ms);
  return (afterMs: number, offsets: TopicOffsets) => {
    ms += afterMs;
    const { lags, seconds } = saw(offsets);
    return { records: lags[0]?.records, seconds };
  };
}

test("a group that keeps up has no lag, however old the records are", () => {
  const saw = meter();
  expect(saw(0, topic(10, 10))).toEqual({ records: 0, seconds: 0 });
  expect(saw(60_000, topic(10, 10))).toEqual({ records: 0, seconds: 0 });
  expect(saw(5_000, topic(20, 20))).toEqual({ records: 0, seconds: 0 });
});

test("a group that stands still lags by the time since its next record was first seen", () => {
  const saw = meter();
  saw(0, topic(10, 10));
  expect(saw(5_000, topic(12, 10))).toEqual({ records: 2, seconds: 0 });
  expect(saw(5_000, topic(30, 10))).toEqual({ records: 20, seconds: 5 });
  expect(saw(5_000, topic(40, 10))).toEqual({ records: 30, seconds: 10 });
  // The first two records are read; the next one was first seen five seconds later.
  expect(saw(5_000, topic(40, 12))).toEqual({ records: 28, seconds: 10 });
  expect(saw(5_000, topic(40, 40))).toEqual({ records: 0, seconds: 0 });
});

test("one partition that stands still counts, even though the others are read", () => {
  let ms = 0;
  const { saw } = createLagMeter(() => ms);
  const two = (committed: [number, number]): TopicOffsets => ({
    topicId: "1:1",
    partitions: committed.map((each, partition) => ({ partition, begin: 0, end: 10, committed: each })),
  });
  saw(two([10, 4]));
  ms = 9_000;
  expect(saw(two([10, 4]))).toEqual({
    lags: [
      { partition: 0, records: 0 },
      { partition: 1, records: 6 },
    ],
    seconds: 9,
  });
});

test("a group without an offset, or with one of a log that is gone, starts at the oldest record", () => {
  const saw = meter();
  expect(saw(0, topic(10, null, "1:1", 4)).records).toBe(6);
  expect(saw(0, topic(3, 10, "2:2"))).toEqual({ records: 3, seconds: 0 });
});

test("a recreated topic is measured afresh", () => {
  const saw = meter();
  saw(0, topic(100, 50));
  expect(saw(10_000, topic(100, 50)).seconds).toBe(10);
  expect(saw(5_000, topic(2, null, "2:2"))).toEqual({ records: 2, seconds: 0 });
});

test("the number of ends it remembers is bounded", () => {
  const saw = meter();
  for (let n = 0; n < SAMPLES_MAX + 100; n++) saw(5_000, topic(n, 0));
  expect(saw(5_000, topic(1_000, 0)).seconds).toBe((SAMPLES_MAX - 1) * 5);
});
