// The consumer: one member of a group, on one topic. Owns reading and storing offsets; leaves what a record
// means, and when an offset may be stored, to its callers. Invariant: offsets are committed only after
// store(). Bound: librdkafka's queues, below.

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
};
export type Consumer = {
  /** Up to `max` records; waits `waitMs` at most for the first, not for the others. */
  read(max: number, waitMs: number): Promise<InRecord[]>;
  /**
   * The next offset to read after a restart; committed within a second. Ignored for a partition that was
   * taken away.
   */
  store(partition: number, nextOffset: number): void;
  /** The partitions this member reads, as its client sees it. */
  assigned(): number[];
  /** Gives up all partitions and asks the group for some again. */
  rejoin(): void;
  /** False until the group is joined, and while all brokers are away. */
  isUp(): boolean;
  /** Commits what was stored and leaves the group. */
  close(): Promise<void>;
};
export type ConsumerOptions = {
  group: string;
  /**
   * Static membership: a killed process that starts again under the same name has its partitions back at
   * once, not after the session's time-out. Unique in the group.
   */
  instance: string;
  topic: string;
  /** The broker collects records for this long, to answer fewer and larger fetches; 0: at once. */
  fetchWaitMs: number;
  /** Called before the partitions are given up: forget what was to be stored for them. */
  onRevoked: (partitions: readonly number[]) => void;
  /** The client is of no use any more, for instance because another process took its name. */
  onFatal: (error: unknown) => void;
};

const PROBE_MS = 1_000;
/** Beyond the wait that was asked for: librdkafka's threads are stuck. */
const READ_MAX_MS = 15_000;
// Number of librdkafka's rd_kafka_resp_err_t.
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
      "session.timeout.ms": 20_000, // longer than a broker takes to start again
      "heartbeat.interval.ms": 1_000, // how soon a member hears of a rebalance
      "partition.assignment.strategy": "cooperative-sticky",
      "queued.min.messages": 10 * CLAIM_ROWS_MAX,
      "queued.max.messages.kbytes": 16 * 1024,
      "fetch.wait.max.ms": Math.max(options.fetchWaitMs, 100),
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
  // An idle consumer hears nothing when a broker is back.
  const probe = setInterval(() => {
    if (!up) consumer.getMetadata({ timeout: PROBE_MS }, (error: unknown) => (up ||= !error));
  }, PROBE_MS);
  consumer.subscribe([options.topic]);
  // Private in the types, and what makes `read` return as soon as there is something.
  (
    consumer as unknown as { setDefaultIsTimeoutOnlyForFirstMessage(on: boolean): void }
  ).setDefaultIsTimeoutOnlyForFirstMessage(true);
  return {
    read(max, waitMs) {
      consumer.setDefaultConsumeTimeout(waitMs);
      const read = new Promise<InRecord[]>((resolve, reject) => {
        consumer.consume(max, (error, messages) => {
          if (error) {
            // A consumer hears of a fatal error here only, and afterwards reads nothing, for ever.
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
        // The partition went to another sender meanwhile: its records are read again there, and skipped by
        // their status.
        log.debug({ partition, nextOffset, reason: (error as Error).message }, "offset not stored");
      }
    },
    assigned: () => consumer.assignments().map(({ partition }) => partition),
    rejoin() {
      consumer.unsubscribe();
      consumer.subscribe([options.topic]);
    },
    isUp: () => up && joined,
    // Leaving the group commits what was stored; 4 s is what a broker that is away may cost while stopping.
    async close() {
      clearInterval(probe);
      // With no broker there librdkafka would wait for one, in a thread that process.exit() joins.
      if (up && (await answers(consumer, PROBE_MS)))
        return bounded(4_000, (done) => consumer.disconnect(done));
      log.warn("left without a commit of offsets: no broker answers; records since the last one come again");
    },
  };
}
