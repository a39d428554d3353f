// A simulated Kafka: lane topics with partitions and consumer groups, and event topics whose lines are kept.
// Records come late and twice, acknowledgements are lost, partitions move between members, offsets go back,
// the broker goes away.
// Invariants, as in Kafka: an acknowledged record stays; the records of a partition are in order; a committed
// offset only advances over what was stored.

import type { Consumer, InRecord } from "../../src/platform/kafka/consumer.ts";
import type { OutRecord, ProduceFailure, Producer } from "../../src/platform/kafka/producer.ts";
import type { Kernel, Process } from "./kernel.ts";

export type KafkaFaults = { failed: number; ackLost: number; late: number };
type Partition = {
  records: { value: Buffer; visibleAtMs: number }[];
  committed: number;
  owner: Member | null;
};
type Member = {
  of: Process;
  topic: string;
  positions: Map<number, number>;
  stored: Map<number, number>;
  onRevoked: (partitions: readonly number[]) => void;
  wake: () => void;
};
/** The part of Consumer that a sender needs; partitions move without its doing. */
type SimulatedConsumer = Pick<Consumer, "read" | "store" | "close">;
export type Broker = {
  producer(of: Process): Producer;
  consumer(of: Process, topic: string, onRevoked: (partitions: readonly number[]) => void): SimulatedConsumer;
  /** Assigns every partition of the topic again, to any living members. */
  rebalance(topic: string): void;
  /** Sets offsets back by up to `most` records. */
  rewind(topic: string, most: number): void;
  away(forMs: number): void;
  left(topic: string): number;
};

const PARTITIONS = 3;
const GIVE_UP_MS = 8_000;
const COMMIT_MS = 200;
const RETRY_MS = 250;

export function createBroker(
  kernel: Kernel,
  lanes: readonly string[],
  faults: KafkaFaults,
  onEvent: (topic: string, value: Buffer) => void,
): Broker {
  const { random } = kernel;
  const topics = new Map(
    lanes.map((topic) => [
      topic,
      Array.from({ length: PARTITIONS }, (): Partition => ({ records: [], committed: 0, owner: null })),
    ]),
  );
  const members = new Set<Member>();
  let awayUntilMs = 0;
  const isAway = () => kernel.nowMs() < awayUntilMs;
  const partitionsOf = (topic: string) => topics.get(topic) as Partition[];

  const append = ({ topic, key, value }: OutRecord) => {
    const partitions = topics.get(topic);
    if (partitions === undefined) return onEvent(topic, value);
    let at = 0;
    for (const c of key ?? "") at = (at * 31 + c.charCodeAt(0)) % PARTITIONS;
    const lateMs = random.chance(faults.late) ? random.between(10, 3_000) : random.between(0.5, 5);
    const partition = partitions[at] as Partition;
    partition.records.push({ value, visibleAtMs: kernel.nowMs() + lateMs });
    const { owner } = partition;
    if (owner !== null) kernel.after(lateMs + 0.01, owner.of, () => owner.wake());
  };

  const assign = (topic: string) => {
    const living = [...members].filter((m) => m.topic === topic && m.of.alive);
    partitionsOf(topic).forEach((partition, at) => {
      const next = living.length === 0 ? null : random.pick(living);
      const last = partition.owner;
      if (next === last) return;
      partition.owner = next;
      if (last !== null) {
        const stored = last.stored.get(at);
        if (stored !== undefined && random.chance(0.5)) partition.committed = stored;
        last.positions.delete(at);
        last.stored.delete(at);
        kernel.after(0, last.of, () => last.onRevoked([at]));
      }
      next?.positions.set(at, partition.committed);
      if (next !== null) kernel.after(1, next.of, () => next.wake());
    });
  };

  const failure = (index: number, reason: string): ProduceFailure => ({
    index,
    code: -192,
    reason,
    permanent: false,
  });
  const sendAll = (of: Process, records: readonly OutRecord[]): Promise<ProduceFailure[]> =>
    new Promise((resolve) => {
      const startedMs = kernel.nowMs();
      const failures: ProduceFailure[] = [];
      const end = (delayMs: number) => kernel.after(delayMs, of, () => resolve(failures));
      const attempt = () => {
        if (isAway()) {
          if (kernel.nowMs() - startedMs < GIVE_UP_MS) return void kernel.after(RETRY_MS, of, attempt);
          records.forEach((_, index) => failures.push(failure(index, "timed out")));
          return void end(0);
        }
        records.forEach((record, index) => {
          const isStored = !random.chance(faults.failed);
          if (isStored) append(record);
          if (!isStored || random.chance(faults.ackLost)) failures.push(failure(index, "not acknowledged"));
        });
        end(random.between(0.2, 3));
      };
      kernel.after(random.between(0.5, 5), null, attempt);
    });

  const take = (member: Member, max: number): InRecord[] => {
    const out: InRecord[] = [];
    if (isAway()) return out;
    const owned = [...member.positions.keys()];
    // Partitions in any order; within a partition, in the order of writing.
    while (owned.length > 0) {
      const [at] = owned.splice(random.int(owned.length), 1) as [number];
      const { records } = partitionsOf(member.topic)[at] as Partition;
      let offset = member.positions.get(at) as number;
      for (; out.length < max; offset++) {
        const record = records[offset];
        if (record === undefined || record.visibleAtMs > kernel.nowMs()) break;
        out.push({
          partition: at,
          offset,
          key: null,
          value: record.value,
          headers: undefined,
          timestampMs: Math.floor(record.visibleAtMs),
        });
      }
      member.positions.set(at, offset);
    }
    return out;
  };

  return {
    producer: (of) => ({
      sendAll: (records) => sendAll(of, records),
      isUp: () => !isAway(),
      probe: (timeoutMs) =>
        new Promise((resolve) => {
          kernel.after(isAway() ? timeoutMs : 1, of, () => resolve(!isAway()));
        }),
      close: () => Promise.resolve(),
    }),
    consumer(of, topic, onRevoked) {
      const member: Member = {
        of,
        topic,
        positions: new Map(),
        stored: new Map(),
        onRevoked,
        wake: () => undefined,
      };
      members.add(member);
      assign(topic);
      const commit = () => {
        for (const [at, next] of member.stored) (partitionsOf(topic)[at] as Partition).committed = next;
        member.stored.clear();
        kernel.after(COMMIT_MS, of, commit);
      };
      kernel.after(random.between(0, COMMIT_MS), of, commit);
      return {
        read: (max, waitMs) =>
          new Promise((resolve) => {
            const some = take(member, max);
            let isOver = false;
            const end = () => {
              if (isOver) return;
              isOver = true;
              member.wake = () => undefined;
              resolve(take(member, max));
            };
            if (some.length > 0) return void kernel.after(0.05, of, () => resolve(some));
            member.wake = end;
            kernel.after(waitMs, of, end);
          }),
        store(partition, next) {
          if (member.positions.has(partition)) member.stored.set(partition, next);
        },
        isUp: () => !isAway(),
        close() {
          commit();
          members.delete(member);
          assign(topic);
          return Promise.resolve();
        },
      };
    },
    rebalance: assign,
    rewind(topic, most) {
      partitionsOf(topic).forEach((partition, at) => {
        partition.committed = Math.max(0, partition.committed - random.int(most + 1));
        const { owner } = partition;
        if (owner === null) return;
        owner.stored.delete(at);
        owner.positions.set(at, partition.committed);
        kernel.after(0, owner.of, () => {
          owner.onRevoked([at]);
          // What was read before it was told counts as read before the rewind.
          if (partition.owner === owner) owner.positions.set(at, partition.committed);
          owner.wake();
        });
      });
    },
    away(forMs) {
      awayUntilMs = Math.max(awayUntilMs, kernel.nowMs() + forMs);
    },
    left(topic) {
      return partitionsOf(topic).reduce((sum, p) => {
        const at = p.owner?.positions.get(partitionsOf(topic).indexOf(p)) ?? p.committed;
        return sum + p.records.length - at;
      }, 0);
    },
  };
}
