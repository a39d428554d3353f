// The one file that loads librdkafka (Node only: it dies in Bun). Owns the producer, the consumer and topic
// creation; leaves what a record means, and when an offset may be stored, to its callers. Uses the
// node-rdkafka side of the package, which hands over whole batches; its KafkaJS side makes a promise a
// message.
// Invariants: sendAll ends only when every record was acknowledged by the broker or failed for good; offsets
// are committed only after store(). Bound: librdkafka's queues, below.

import type { EventEmitter } from "node:events";
import librdkafka from "@confluentinc/kafka-javascript";
import { CLAIM_ROWS_MAX, COMMIT_ROWS_MAX, RELAY_ROWS_MAX } from "../core/limits.ts";
import type { Config } from "./config.ts";
import type { Log } from "./log.ts";
import { type TopicAdmin, type TopicSpec, topicSpecs } from "./topics.ts";

export type OutRecord = { topic: string; key: string | null; value: Buffer; traceparent: string };
/** `permanent`: this record can never be produced, whatever the broker's state. */
export type ProduceFailure = { index: number; code: number; reason: string; permanent: boolean };

export type Producer = {
  /**
   * Produces all and waits for every delivery report. Returns what failed, by index. Rejects only when closed
   * meanwhile.
   */
  sendAll(records: readonly OutRecord[]): Promise<ProduceFailure[]>;
  /** False once all brokers are away, until one answers. */
  isUp(): boolean;
  /** Asks a broker for metadata; resolves to whether it answered. */
  probe(timeoutMs: number): Promise<boolean>;
  /** Flushes for at most `waitMs`, then fails what is left. */
  close(waitMs: number): Promise<void>;
};

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

// A produce is given up after this long and its outbox row waits; below DRAIN_MS, so that stopping never
// waits longer for it.
const MESSAGE_TIMEOUT_MS = 8_000;
// Every row in flight of three lanes, two transactions each, and room for dead letters.
const QUEUE_RECORDS_MAX = 6 * RELAY_ROWS_MAX * COMMIT_ROWS_MAX + 1_000;
const QUEUE_KBYTES_MAX = 128 * 1024;
const CONNECT_TIMEOUT_MS = 5_000;
const PROBE_MS = 1_000;
const LOG_EVERY_MS = 5_000;
const LOGGED_MAX = 100;

// Numbers of librdkafka's rd_kafka_resp_err_t.
const FATAL = -150;
const TOPIC_ALREADY_EXISTS = 36;
// MSG_SIZE_TOO_LARGE, RECORD_LIST_TOO_LARGE, INVALID_RECORD, _BAD_MSG, INVALID_MSG.
const PERMANENT = new Set([10, 18, 87, -199, 2]);

type Opaque = { batch: Batch; index: number };
type Batch = { left: number; failures: ProduceFailure[]; done: (failures: ProduceFailure[]) => void };

/**
 * Connects; rejects when no broker answers within 5 s. `onFatal` is called when the client must be built
 * anew.
 */
export async function createProducer(
  config: Config,
  log: Log,
  onFatal: (error: unknown) => void,
): Promise<Producer> {
  const producer = new librdkafka.Producer({
    ...common(config),
    acks: -1,
    "enable.idempotence": true,
    "compression.codec": "lz4",
    "linger.ms": 2,
    "message.timeout.ms": MESSAGE_TIMEOUT_MS,
    "queue.buffering.max.messages": QUEUE_RECORDS_MAX,
    "queue.buffering.max.kbytes": QUEUE_KBYTES_MAX,
    dr_cb: true,
  });
  let up = true;
  const open = new Set<Batch>();
  const settle = (opaque: Opaque, failure: ProduceFailure | null) => {
    const { batch } = opaque;
    if (failure !== null) batch.failures.push(failure);
    if (--batch.left > 0) return;
    open.delete(batch);
    batch.done(batch.failures);
  };
  producer.on("delivery-report", (error, report) => {
    const opaque = report.opaque as Opaque;
    if (!error) up = true;
    settle(opaque, error ? failureOf(opaque.index, error) : null);
  });
  onClientError(producer, log, { onDown: () => (up = false), onFatal });
  await connect(producer);
  producer.setPollInBackground(true);

  const produce = (record: OutRecord, opaque: Opaque) => {
    try {
      const headers = record.traceparent === "" ? [] : [{ traceparent: record.traceparent }];
      producer.produce(record.topic, null, record.value, record.key, null, opaque, headers);
    } catch (error) {
      settle(opaque, failureOf(opaque.index, error));
    }
  };
  return {
    sendAll(records) {
      if (records.length === 0) return Promise.resolve([]);
      return new Promise((done) => {
        const batch: Batch = { left: records.length, failures: [], done };
        open.add(batch);
        records.forEach((record, index) => produce(record, { batch, index }));
      });
    },
    isUp: () => up,
    async probe(timeoutMs) {
      const answered = await answers(producer, timeoutMs);
      if (answered) up = true;
      return answered;
    },
    async close(waitMs) {
      await bounded(waitMs + 500, (done) => producer.disconnect(waitMs, done));
      for (const batch of open) {
        open.delete(batch);
        batch.done([...batch.failures, { index: -1, code: 0, reason: "closed", permanent: false }]);
      }
    },
  };
}

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
      return new Promise((resolve, reject) => {
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

/** Connects in the background; every call says whether a broker answered. */
export function createTopicAdmin(config: Config): TopicAdmin {
  const admin = librdkafka.AdminClient.create(common(config) as never);
  const options = { timeout: ADMIN_TIMEOUT_MS };
  return {
    async offsets(topic, group) {
      const [found] = await called<librdkafka.TopicDescription[]>((done) =>
        admin.describeTopics([topic], options, done),
      );
      if (found === undefined || found.error?.code === UNKNOWN_TOPIC) return null;
      if (found.error) throw toError(found.error);
      const partitions = found.partitions.map(({ partition }) => ({ topic, partition }));
      const ends = (offset: librdkafka.OffsetSpec) =>
        called<librdkafka.ListOffsetsResult[]>((done) =>
          admin.listOffsets(
            partitions.map((each) => ({ ...each, offset })),
            options,
            done,
          ),
        );
      // Before the ends, which only grow: an offset above them is then none of this log.
      const [stored] = await called<librdkafka.GroupResults[]>((done) =>
        admin.listConsumerGroupOffsets([{ groupId: group, partitions }], options, done),
      );
      const begin = await ends(new librdkafka.OffsetSpec(EARLIEST));
      const end = await ends(new librdkafka.OffsetSpec(LATEST));
      const { mostSignificantBits, leastSignificantBits } = found.topicId;
      return {
        topicId: `${mostSignificantBits}:${leastSignificantBits}`,
        partitions: partitions.map(({ partition }) => {
          const offset = stored?.partitions.find((each) => each.partition === partition)?.offset ?? -1;
          return {
            partition,
            begin: offsetOf(begin, partition),
            end: offsetOf(end, partition),
            committed: offset < 0 ? null : offset,
          };
        }),
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

// Special offsets of Kafka's ListOffsets, and its error code.
const EARLIEST = -2;
const LATEST = -1;
const UNKNOWN_TOPIC = 3;
const ADMIN_TIMEOUT_MS = 5_000;

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

function common(config: Config): Record<string, unknown> {
  return {
    "metadata.broker.list": `${config.kafkaHost}:${config.kafkaPort}`,
    "client.id": "sluice",
    "broker.address.family": "v4",
    "reconnect.backoff.ms": 100,
    "reconnect.backoff.max.ms": 2_000,
    "socket.keepalive.enable": true,
    // How soon topics made after this process started are found.
    "topic.metadata.refresh.interval.ms": 10_000,
    "log.connection.close": false,
    "allow.auto.create.topics": false,
  };
}

type ErrorHandlers = { onDown: () => void; onFatal: (error: unknown) => void };

// The addon hands these errors over as text, without their number.
function onClientError(client: Client, log: Log, { onDown, onFatal }: ErrorHandlers): void {
  const loggedMs = new Map<string, number>();
  // Both clients emit it; their types have no overload in common.
  (client as EventEmitter).on("event.error", (error: { message: string }) => {
    const { message } = error;
    if (/all broker connections are down/i.test(message)) onDown();
    if (/\bfatal error\b/i.test(message)) return onFatal(error);
    // librdkafka repeats itself at every attempt to connect.
    if (Date.now() - (loggedMs.get(message) ?? 0) < LOG_EVERY_MS) return;
    if (loggedMs.size >= LOGGED_MAX) loggedMs.clear();
    loggedMs.set(message, Date.now());
    log.warn({ reason: message }, "kafka");
  });
}

/** Whether a broker answers within this time. */
function answers(client: Client, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    client.getMetadata({ timeout: timeoutMs, allTopics: false }, (error: unknown) => resolve(!error));
  });
}

type Client = librdkafka.Producer | librdkafka.KafkaConsumer;

function connect(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    client.connect({ timeout: CONNECT_TIMEOUT_MS }, (error) => (error ? reject(toError(error)) : resolve()));
  });
}

function failureOf(index: number, error: unknown): ProduceFailure {
  const { code, message } = error as { code?: number; message?: string };
  return { index, code: code ?? 0, reason: message ?? String(error), permanent: PERMANENT.has(code ?? 0) };
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error((error as { message?: string }).message ?? String(error));
}

function bounded(waitMs: number, start: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, waitMs);
    start(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
