// Partitions without a reader: how they are told from those that others read, and the steps taken to get them
// read again.

import { describe, expect, test } from "bun:test";
import { createFakeClock } from "../../test/support/fake-clock.ts";
import type { TopicReaders } from "../platform/kafka/topics.ts";
import { createLog } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { unreadOf, watchOwnership } from "./ownership.ts";

const six = [0, 1, 2, 3, 4, 5];
const me = (assigned: number[]) => ({ instance: "me", assigned });
const readers = (members: TopicReaders["members"], more: Partial<TopicReaders> = {}): TopicReaders => ({
  partitions: six,
  isSettled: true,
  members,
  ...more,
});

describe("partitions without a reader", () => {
  test("are those that no member reads", () => {
    expect(unreadOf(readers([]), me(six))).toEqual([]);
    expect(unreadOf(readers([{ instance: "other", partitions: six }]), me([]))).toEqual([]);
    expect(unreadOf(readers([{ instance: "other", partitions: [0, 1, 2] }]), me([3, 4]))).toEqual([5]);
    expect(unreadOf(readers([]), me([]))).toEqual(six);
  });

  test("include those that the broker assigned to this member but its client doesn't read", () => {
    expect(unreadOf(readers([{ instance: "me", partitions: six }]), me([0]))).toEqual([1, 2, 3, 4, 5]);
  });

  test("include added ones that nobody was assigned; of a topic that is gone there are none", () => {
    const added = readers([{ instance: "me", partitions: six }], { partitions: [...six, 6, 7] });
    expect(unreadOf(added, me(six))).toEqual([6, 7]);
    expect(unreadOf(readers([], { partitions: [] }), me([]))).toEqual([]);
  });
});

function watched(first: { seen: TopicReaders; assigned: number[] }) {
  const clock = createFakeClock();
  const world = { ...first, isAway: false, rejoins: [] as number[], fatal: [] as number[] };
  const metrics = createMetrics("sender-normal");
  const ownership = watchOwnership(
    {
      topics: {
        readers: async () => {
          if (world.isAway) throw new Error("no broker");
          return world.seen;
        },
      },
      consumer: {
        assigned: () => world.assigned,
        rejoin: () => void world.rejoins.push(clock.timers.monotonicMs()),
      },
      timers: clock.timers,
      metrics,
      log: createLog("test", "silent"),
      onFatal: () => void world.fatal.push(clock.timers.monotonicMs()),
    },
    { topic: "t", group: "g", instance: "me" },
  );
  const unread = async () =>
    Number(/^sluice_sender_partitions_unread\{[^}]*\} (.*)$/m.exec(await metrics.text())?.[1]);
  return { clock, world, ownership, unread };
}

describe("a sender", () => {
  test("is served while it or others read everything; before the first look, while it reads any", async () => {
    expect(watched({ seen: readers([]), assigned: [] }).ownership.isServed()).toBe(false);
    const alone = watched({ seen: readers([]), assigned: six });
    expect(alone.ownership.isServed()).toBe(true);
    await alone.clock.advance(10);
    expect(alone.ownership.isServed()).toBe(true);
    const idle = watched({ seen: readers([{ instance: "other", partitions: six }]), assigned: [] });
    await idle.clock.advance(60_000);
    expect(idle.ownership.isServed()).toBe(true);
    expect(idle.world.rejoins).toEqual([]);
  });

  test("that owns nothing of a topic nobody reads rejoins within 5 s, twice within 15, and ends after 30", async () => {
    const { clock, world, ownership, unread } = watched({ seen: readers([]), assigned: six });
    await clock.advance(10_000);
    world.assigned = [];
    await clock.advance(5_000);
    expect(ownership.isServed()).toBe(false);
    expect(await unread()).toBe(6);
    expect(world.rejoins).toHaveLength(1);
    await clock.advance(10_000);
    expect(world.rejoins).toHaveLength(2);
    expect(world.fatal).toEqual([]);
    await clock.advance(20_000);
    expect(world.fatal.length).toBeGreaterThan(0);
  });

  test("is served again when a rejoin helped, and starts over the next time", async () => {
    const { clock, world, ownership } = watched({ seen: readers([]), assigned: [] });
    await clock.advance(5_000);
    expect(world.rejoins).toHaveLength(1);
    world.assigned = six;
    await clock.advance(2_000);
    expect(ownership.isServed()).toBe(true);
    await clock.advance(40_000);
    world.assigned = [];
    await clock.advance(5_000);
    expect(world.rejoins).toHaveLength(2);
    expect(world.fatal).toEqual([]);
  });

  test("is not ready while the group assigns partitions, and does not rejoin", async () => {
    const seen = readers([], { isSettled: false });
    const { clock, world, ownership } = watched({ seen, assigned: [0] });
    await clock.advance(60_000);
    expect(ownership.isServed()).toBe(false);
    expect([world.rejoins, world.fatal]).toEqual([[], []]);
  });

  test("does nothing about a partition that moves between two members", async () => {
    const { clock, world, ownership } = watched({ seen: readers([]), assigned: six });
    await clock.advance(3_000);
    world.assigned = [0, 1, 2];
    await clock.advance(1_300);
    world.seen = readers([{ instance: "other", partitions: [3, 4, 5] }]);
    await clock.advance(60_000);
    expect(ownership.isServed()).toBe(true);
    expect(world.rejoins).toEqual([]);
  });

  test("keeps what it knew while Kafka is away", async () => {
    const { clock, world, ownership } = watched({ seen: readers([]), assigned: six });
    await clock.advance(3_000);
    world.isAway = true;
    world.assigned = [];
    await clock.advance(60_000);
    expect(ownership.isServed()).toBe(true);
    expect([world.rejoins, world.fatal]).toEqual([[], []]);
  });
});
