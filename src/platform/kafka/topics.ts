// Kafka's topics: their names and settings, and the interface for asking about them. Loads no driver, so that
// Bun may import it. Leaves asking and creating to admin.ts.

import type { Config } from "../config.ts";

export const TOPICS = {
  normal: "sms.normal",
  express: "sms.express",
  status: "sms.status",
  ledger: "wallet.ledger",
} as const;
export type TopicName = keyof typeof TOPICS;
export type TopicSpec = {
  topic: string;
  num_partitions: number;
  replication_factor: number;
  config: Record<string, string>;
};

/** The name of one topic in Kafka. */
export const topicOf = (config: Config, name: TopicName): string => config.topicPrefix + TOPICS[name];

/** The consumer group of a lane's senders. */
export const senderGroup = (config: Config, lane: "normal" | "express"): string =>
  `${config.topicPrefix}sluice-sender-${lane}`;

/** The consumer group with which ClickHouse reads an event topic (sql/clickhouse/0004_kafka.sql). */
const clickhouseGroup = (config: Config, topic: "status" | "ledger"): string =>
  `${config.topicPrefix}${config.clickhouseDatabase}-clickhouse-${topic}`;

/** The name in Kafka of every topic. */
export const topicsOf = (config: Config): Record<TopicName, string> =>
  Object.fromEntries(
    (Object.keys(TOPICS) as TopicName[]).map((name) => [name, topicOf(config, name)]),
  ) as Record<TopicName, string>;

/** The topic and group of every consumer. */
export const consumersOf = (config: Config) => {
  const lane = (name: "normal" | "express") => ({
    topic: topicOf(config, name),
    group: senderGroup(config, name),
  });
  const events = (name: "status" | "ledger") => ({
    topic: topicOf(config, name),
    group: clickhouseGroup(config, name),
  });
  return {
    normal: lane("normal"),
    express: lane("express"),
    status: events("status"),
    ledger: events("ledger"),
  };
};

const LANE_PARTITIONS = 6;
// A week: longer than any rebuild of ClickHouse from the event topics needs.
const RETENTION_MS = 7 * 86_400_000;

// What is acknowledged is on this many brokers. With three, one may be away and both hold: records are taken,
// and no loss of a single disk loses any. Two can't have both, and then taking records counts.
const syncedMin = (replicas: number): number => (replicas >= 3 ? 2 : 1);

/** The topics that must exist, with their settings. What exists keeps those that it was created with. */
export function topicSpecs(config: Config): TopicSpec[] {
  return (Object.keys(TOPICS) as TopicName[]).map((name) => ({
    topic: topicOf(config, name),
    num_partitions: name === "normal" || name === "express" ? LANE_PARTITIONS : 1,
    replication_factor: config.kafkaReplicas,
    config: {
      "retention.ms": String(RETENTION_MS),
      "max.message.bytes": String(1024 * 1024),
      "min.insync.replicas": String(syncedMin(config.kafkaReplicas)),
    },
  }));
}

export type PartitionOffsets = {
  partition: number;
  /** The offset of the oldest existing record, and of the next that will be written. */
  begin: number;
  end: number;
  /** Where the group continues; null: it never stored an offset, and starts at `begin`. */
  committed: number | null;
};
/** A topic that was deleted and recreated has another `topicId`. */
export type TopicOffsets = { topicId: string; partitions: PartitionOffsets[] };
/** Who reads a topic, according to the broker. */
export type TopicReaders = {
  /** Empty if the topic doesn't exist. */
  partitions: number[];
  /** False while the group is assigning partitions. */
  isSettled: boolean;
  /** `instance` is the member's name in the group. */
  members: { instance: string; partitions: number[] }[];
};
export type TopicAdmin = {
  /** Null if the topic doesn't exist. Rejects while no broker answers. */
  offsets(topic: string, group: string): Promise<TopicOffsets | null>;
  /** Rejects while no broker answers. */
  readers(topic: string, group: string): Promise<TopicReaders>;
  /** Creates the missing topics and returns their names. Rejects while the broker is away or refuses. */
  ensure(): Promise<string[]>;
  /** Call it before the process exits: librdkafka's threads would keep it alive. */
  close(): void;
};
