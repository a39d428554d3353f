// The consumer: one member of a group, on one topic. Owns reading and storing offsets; leaves to its callers
// what a record means and when an offset may be stored. Invariant: offsets are committed only after store().
// Bound: librdkafka's queues, set below.

import librdkafka from "@confluentinc/kafka-javascript";
import { CLAIM_ROWS_MAX } from "../../core/limits.ts";
import type { Config } from "../config.ts";
import type { Log } from "../log.ts";
import { watched } from "../retry.ts";
import { answers, bounded, common, connect, onClientError, toError } from "./client.ts";

export type InRecord = {
  partition: number;
  offset: number;
  key: Buffer | string | null | undefined;
  value: Buffer;
  headers: librdkafka.MessageHeader[] | undefined;
  /** When its producer sent it, Unix ms, if it is known. */
  timestampMs?: number | undefined;
};
export type Consumer = {
  /** Reads up to `max` records; waits at most `waitMs` for the first, and not at all for more. */
  read(max: number, waitMs: number): Promise<InRecord[]>;
  /**
   * Sets the offset at which to continue after a restart; it is committed within a second. Ignored for a
   * partition that was taken away.
   */
  store(partition: number, nextOffset: number): void;
  /** The partitions that this member reads, according to its client. */
  assigned(): number[];
  /** Gives up all partitions and joins the group again. */
  rejoin(): void;
  /** False until the group is joined, and while all brokers are away. */
  isUp(): boolean;
  /** Commits the stored offsets and leaves the group. */
  close(): Promise<void>;
};
export type ConsumerOptions = {
  group: string;
  /**
   * Static membership: a killed process that restarts under the same name gets its partitions back at once,
   * not after the session time-out. Unique in the group.
   */
  instance: string;
  topic: string;
  /** How long the broker collects records, to answer fewer and larger fetches; 0: not at all. */
  fetchWaitMs: number;
  /** Called before partitions are given up: discard what was still to be stored for them. */
  onRevoked: (partitions: readonly number[]) => void;
  /** The client can't be used any more, for instance because another process took its name. */
  onFatal: (error: unknown) => void;
};

const PROBE_MS = 1_000;
/** Allowance beyond the requested wait; after it librdkafka's threads are stuck. */
const READ_MAX_MS = 15_000;
// From librdkafka's rd_kafka_resp_err_t.
const FATAL = -150;

/** Connects and subscribes; rejects when no broker answers within 5 s. */
export async function createConsumer(config: Config, log: Log, options: ConsumerOptions): Promise<Consumer> {
  const consumer = new librdkafka.KafkaConsumer(
    {
      ...common(config),
      "group.id": options.group,
      "group.instance.id": options.instance,
      "enable.auto.commit": true,
      "auto.commit.interval.ms": 1_000,
      "enable.auto.offset.store": false,
      "max.poll.interval.ms": config.pollIntervalMs,
      "session.timeout.ms": 20_000, // longer than a broker takes to restart
      "heartbeat.interval.ms": 1_000, // how soon a member notices a rebalance
      "partition.assignment.strategy": "cooperative-sticky",
      "queued.min.messages": 10 * CLAIM_ROWS_MAX,
      "queued.max.messages.kbytes": 16 * 1024,
      "fetch.wait.max.ms": 500,
      "fetch.queue.backoff.ms": 20,
      ...(options.fetchWaitMs === 0
        ? {}
        : { "fetch.min.bytes": 32 * 1024, "fetch.wait.max.ms": options.fetchWaitMs }),
      rebalance_cb: true,
    },
    { "auto.offset.reset": "earliest" },
  );
  let up = true;
  let joined = false;
  consumer.on("rebalance", (error, assignment) => {
    const partitions = assignment.map((a) => a.partition);
    joined = true;
    log.info({ code: error.code, partitions }, "partitions assigned or revoked");
    if (error.code === librdkafka.CODES.ERRORS.ERR__REVOKE_PARTITIONS) options.onRevoked(partitions);
  });
  consumer.on("rebalance.error", (err) => log.error({ err }, "rebalance failed"));
  onClientError(consumer, log, { onDown: () => (up = false), onFatal: options.onFatal });
  await connect(consumer);
  // An idle consumer isn't told when a broker is back.
  const probe = setInterval(() => {
    if (!up) consumer.getMetadata({ timeout: PROBE_MS }, (error: unknown) => (up ||= !error));
  }, PROBE_MS);
  consumer.subscribe([options.topic]);
  // Private in the types, but needed so that `read` returns as soon as there is a record.
  (
    consumer as unknown as { setDefaultIsTimeoutOnlyForFirstMessage(on: boolean): void }
  ).setDefaultIsTimeoutOnlyForFirstMessage(true);
  return {
    read(max, waitMs) {
      consumer.setDefaultConsumeTimeout(waitMs);
      const read = new Promise<InRecord[]>((resolve, reject) => {
        consumer.consume(max, (error, messages) => {
          if (error) {
            // Only here does a consumer learn of a fatal error; afterwards it would read nothing, for ever.
            if (error.code === FATAL) options.onFatal(error);
            return reject(toError(error));
          }
          if (messages.length > 0) up = true;
          resolve(
            messages.map((m) => ({
              partition: m.partition,
              offset: m.offset,
              key: m.key,
              value: m.value ?? Buffer.alloc(0),
              headers: m.headers,
              timestampMs: m.timestamp,
            })),
          );
        });
      });
      return watched(read, { maxMs: waitMs + READ_MAX_MS, graceMs: READ_MAX_MS }, () =>
        options.onFatal(new Error("reading does not end")),
      );
    },
    store(partition, nextOffset) {
      try {
        consumer.offsetsStore([{ topic: options.topic, partition, offset: nextOffset }]);
      } catch (error) {
        // The partition has moved to another sender: it reads the records again and skips them because of
        // their messages' status.
        log.debug({ partition, nextOffset, reason: (error as Error).message }, "offset not stored");
      }
    },
    assigned: () => consumer.assignments().map(({ partition }) => partition),
    rejoin() {
      consumer.unsubscribe();
      consumer.subscribe([options.topic]);
    },
    isUp: () => up && joined,
    // Leaving the group commits the stored offsets; a broker that is away may delay stopping by 4 s.
    async close() {
      clearInterval(probe);
      // Without a broker librdkafka would wait for one, in a thread that process.exit() joins.
      if (up && (await answers(consumer, PROBE_MS)))
        return bounded(4_000, (done) => consumer.disconnect(done));
      log.warn("offsets not committed: no broker answers; records since the last commit will be read again");
    },
  };
}
