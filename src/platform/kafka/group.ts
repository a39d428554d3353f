// Asks Kafka, in its own protocol, who is in a consumer group, which partitions each member was assigned, and
// which offsets the group has stored. Hand written, because the driver's describeGroups and
// listConsumerGroupOffsets crash the process when the group's coordinator is away, as it is on a broker that
// has just been set up: by an assertion of librdkafka, or by a null pointer in the addon.
// Bound: ASK_MAX_MS for the requests of one question.

import type { Address } from "./brokers.ts";
import { type Api, ask, askAny, int32, type Reader, readerOf, text } from "./wire.ts";

export type Group = {
  /** Stable, Empty, Dead, PreparingRebalance or CompletingRebalance */
  state: string;
  members: { instance: string; topics: ReadonlyMap<string, readonly number[]> }[];
};

const ASK_MAX_MS = 3_000;
const FIND_COORDINATOR = { key: 10, version: 0 };
const DESCRIBE_GROUPS = { key: 15, version: 4 };
const OFFSET_FETCH = { key: 9, version: 5 };
const ALL_TOPICS = int32(-1);

/** @throws Error when no broker answers, or none is the group's coordinator at the moment */
export async function describeGroup(brokers: readonly Address[], group: string): Promise<Group> {
  const body = Buffer.concat([int32(1), text(group), Buffer.from([0])]);
  const answer = await askCoordinator(brokers, group, DESCRIBE_GROUPS, body);
  answer.int32(); // throttling
  answer.int32(); // one group
  refuse(answer.int16(), "the group can't be described");
  answer.text(); // its id
  const state = answer.text() ?? "";
  answer.text(); // protocol type
  answer.text(); // protocol
  const members = answer.array(() => {
    const id = answer.text() ?? "";
    const instance = answer.text() ?? id;
    answer.text(); // client
    answer.text(); // host
    answer.bytes(); // subscription
    return { instance, topics: assignmentOf(answer.bytes()) };
  });
  return { state, members };
}

/**
 * The offsets that the group has stored for this topic, by partition; -1 or missing: none.
 * @throws Error when no broker answers, or none is the group's coordinator at the moment
 */
export async function storedOffsets(
  brokers: readonly Address[],
  group: string,
  topic: string,
): Promise<ReadonlyMap<number, number>> {
  const answer = await askCoordinator(brokers, group, OFFSET_FETCH, Buffer.concat([text(group), ALL_TOPICS]));
  answer.int32(); // throttling
  const topics = answer.array((): [string, [number, number][]] => [
    answer.text() ?? "",
    answer.array((): [number, number] => {
      const partition = answer.int32();
      const offset = answer.int64();
      answer.int32(); // the leader's epoch
      answer.text(); // metadata
      refuse(answer.int16(), `the offset of partition ${partition} can't be read`);
      return [partition, offset];
    }),
  ]);
  refuse(answer.int16(), "the group's offsets can't be read");
  return new Map(topics.find(([name]) => name === topic)?.[1]);
}

async function askCoordinator(
  brokers: readonly Address[],
  group: string,
  api: Api,
  body: Buffer,
): Promise<Reader> {
  const signal = AbortSignal.timeout(ASK_MAX_MS);
  // However many are silent, the next one and the coordinator have their share of the time.
  const bounds = { signal, eachMs: ASK_MAX_MS / (brokers.length + 1) };
  const found = await askAny(brokers, FIND_COORDINATOR, text(group), bounds);
  refuse(found.int16(), "no coordinator");
  found.int32(); // its node
  return ask({ host: found.text() ?? "", port: found.int32() }, api, body, signal);
}

// Empty while the group is assigning partitions.
function assignmentOf(bytes: Buffer): Map<string, number[]> {
  if (bytes.length === 0) return new Map();
  const reader = readerOf(bytes);
  reader.int16(); // version
  const topics = reader.array((): [string, number[]] => [
    reader.text() ?? "",
    reader.array(() => reader.int32()),
  ]);
  return new Map(topics);
}

function refuse(code: number, what: string): void {
  if (code !== 0) throw new Error(`${what}: Kafka's error ${code}`);
}
