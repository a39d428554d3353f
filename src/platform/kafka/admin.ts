// Queries about topics, and their creation. Bound: ADMIN_TIMEOUT_MS a call.

import librdkafka from "@confluentinc/kafka-javascript";
import type { Config } from "../config.ts";
import { brokersOf } from "./brokers.ts";
import { CONNECT_TIMEOUT_MS, common, toError } from "./client.ts";
import { describeGroup, storedOffsets } from "./group.ts";
import { type TopicAdmin, type TopicSpec, topicSpecs } from "./topics.ts";

const TOPIC_ALREADY_EXISTS = 36;
// Special offsets in Kafka's ListOffsets request, and one of its error codes.
const EARLIEST = -2;
const LATEST = -1;
const UNKNOWN_TOPIC = 3;
const ADMIN_TIMEOUT_MS = 5_000;

/** Connects in the background; every call reports whether a broker answered. */
export function createTopicAdmin(config: Config): TopicAdmin {
  const admin = librdkafka.AdminClient.create(common(config) as never);
  const options = { timeout: ADMIN_TIMEOUT_MS };
  const brokers = brokersOf(config);
  const describe = async (topic: string): Promise<librdkafka.TopicDescription | null> => {
    const [found] = await called<librdkafka.TopicDescription[]>((done) =>
      admin.describeTopics([topic], options, done),
    );
    if (found === undefined || found.error?.code === UNKNOWN_TOPIC) return null;
    if (found.error) throw toError(found.error);
    return found;
  };
  return {
    async offsets(topic, group) {
      const found = await describe(topic);
      if (found === null) return null;
      const partitions = found.partitions.map(({ partition }) => ({ topic, partition }));
      const ends = (offset: librdkafka.OffsetSpec) =>
        called<librdkafka.ListOffsetsResult[]>((done) =>
          admin.listOffsets(
            partitions.map((each) => ({ ...each, offset })),
            options,
            done,
          ),
        );
      // Read before the ends, which only grow: a stored offset above its end then belongs to another log.
      const stored = await storedOffsets(brokers, group, topic);
      const begin = await ends(new librdkafka.OffsetSpec(EARLIEST));
      const end = await ends(new librdkafka.OffsetSpec(LATEST));
      const { mostSignificantBits, leastSignificantBits } = found.topicId;
      return {
        topicId: `${mostSignificantBits}:${leastSignificantBits}`,
        partitions: partitions.map(({ partition }) => {
          const offset = stored.get(partition) ?? -1;
          return {
            partition,
            begin: offsetOf(begin, partition),
            end: offsetOf(end, partition),
            committed: offset < 0 ? null : offset,
          };
        }),
      };
    },
    async readers(topic, group) {
      const found = await describe(topic);
      const { state, members } = await describeGroup(brokers, group);
      return {
        partitions: (found?.partitions ?? []).map(({ partition }) => partition),
        isSettled: !state.endsWith("Rebalance"),
        members: members.map(({ instance, topics }) => ({
          instance,
          partitions: [...(topics.get(topic) ?? [])],
        })),
      };
    },
    async ensure() {
      const names = await called<string[]>((done) => admin.listTopics(options, done));
      const missing = topicSpecs(config).filter(({ topic }) => !names.includes(topic));
      for (const spec of missing) await createTopic(admin, spec);
      return missing.map(({ topic }) => topic);
    },
    close: () => admin.disconnect(),
  };
}

function offsetOf(found: librdkafka.ListOffsetsResult[], partition: number): number {
  const one = found.find((each) => each.partition === partition);
  if (one === undefined || one.error || one.offset < 0) throw toError(one?.error ?? "no offset");
  return one.offset;
}

function called<T>(call: (done: (error: unknown, result: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, result) => (error ? reject(toError(error)) : resolve(result)));
  });
}

function createTopic(admin: librdkafka.IAdminClient, spec: TopicSpec): Promise<void> {
  return new Promise((resolve, reject) => {
    admin.createTopic(spec, CONNECT_TIMEOUT_MS, (error) => {
      if (error && error.code !== TOPIC_ALREADY_EXISTS) return reject(toError(error));
      resolve();
    });
  });
}
