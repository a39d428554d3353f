import { expect, test } from "bun:test";
import type { PartitionOffsets, TopicOffsets } from "../platform/kafka/topics.ts";
import { judge } from "./proof.ts";

const at = (begin: number, end: number, committed: number | null): Omit<PartitionOffsets, "partition"> => ({
  begin,
  end,
  committed,
});
const topic = (...partitions: Omit<PartitionOffsets, "partition">[]): TopicOffsets => ({
  topicId: "t",
  partitions: partitions.map((each, partition) => ({ ...each, partition })),
});

test("a topic to which nothing was ever written has passed", () => {
  const empty = topic(at(0, 0, null), at(0, 0, null));
  expect(judge(empty, empty)).toBe("passed");
});

test("a lane waits while a partition has a record from that moment that no sender has settled", () => {
  const then = topic(at(0, 10, 10), at(0, 20, 5));
  expect(judge(then, then)).toBe("waiting");
  expect(judge(then, topic(at(0, 50, 10), at(0, 60, 19)))).toBe("waiting");
  expect(judge(then, topic(at(0, 50, 10), at(0, 60, 20)))).toBe("passed");
});

test("records without any stored offset are yet to be read", () => {
  const then = topic(at(0, 3, null));
  expect(judge(then, then)).toBe("waiting");
});

test("records deleted by retention have passed, whatever offset was stored", () => {
  const then = topic(at(0, 3, null));
  expect(judge(then, topic(at(3, 9, null)))).toBe("passed");
  expect(judge(then, topic(at(2, 9, 1)))).toBe("waiting");
});

test("offsets set back to the beginning make it wait again", () => {
  const then = topic(at(0, 10, 10));
  expect(judge(then, topic(at(0, 10, 0)))).toBe("waiting");
});

test("a topic that shrank, was recreated or lost a partition proves nothing", () => {
  const then = topic(at(0, 10, 4), at(0, 10, 10));
  expect(judge(then, topic(at(0, 9, 4), at(0, 10, 10)))).toBe("broken");
  expect(judge(then, topic(at(0, 10, 10)))).toBe("broken");
  expect(judge(then, { ...topic(at(0, 50, 50), at(0, 50, 50)), topicId: "u" })).toBe("broken");
});

test("an offset above the end belongs to a log that is gone: only an empty partition has passed", () => {
  expect(judge(topic(at(0, 0, 99)), topic(at(0, 0, 99)))).toBe("passed");
  expect(judge(topic(at(0, 7, 99)), topic(at(0, 7, 99)))).toBe("waiting");
  expect(judge(topic(at(0, 7, 99)), topic(at(0, 7, 7)))).toBe("passed");
});
