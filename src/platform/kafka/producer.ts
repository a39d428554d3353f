// The producer. Owns batches of records and their delivery reports; leaves to its callers what a record
// means.
// Invariant: sendAll ends only when every record was acknowledged by the broker or has failed. Bound:
// librdkafka's queues, set below, and PRODUCE_TIMEOUT_MS a record.

import librdkafka from "@confluentinc/kafka-javascript";
import {
  COMMIT_ROWS_MAX,
  PRODUCE_TIMEOUT_MS,
  RELAY_ROWS_MAX,
  RELAY_TRANSACTIONS_MAX,
} from "../../core/limits.ts";
import type { Config } from "../config.ts";
import type { Log } from "../log.ts";
import { watched } from "../retry.ts";
import { answers, bounded, common, connect, onClientError } from "./client.ts";

export type OutRecord = { topic: string; key: string | null; value: Buffer; traceparent: string };
/** `permanent`: this record can never be produced, whatever the state of the broker. */
export type ProduceFailure = { index: number; code: number; reason: string; permanent: boolean };

export type Producer = {
  /**
   * Produces all records and waits for every delivery report. Returns the failures, by index. Rejects only if
   * the producer is closed in the meantime.
   */
  sendAll(records: readonly OutRecord[]): Promise<ProduceFailure[]>;
  /** False from when all brokers are away until one answers. */
  isUp(): boolean;
  /** Asks a broker for metadata; resolves to whether one answered. */
  probe(timeoutMs: number): Promise<boolean>;
  /** Flushes for at most `waitMs`, then fails what is left. */
  close(waitMs: number): Promise<void>;
};

// Room for every outbox row in flight, and to spare.
const QUEUE_RECORDS_MAX = RELAY_TRANSACTIONS_MAX * RELAY_ROWS_MAX * COMMIT_ROWS_MAX + 1_000;
const QUEUE_KBYTES_MAX = 128 * 1024;
// MSG_SIZE_TOO_LARGE, RECORD_LIST_TOO_LARGE, INVALID_RECORD, _BAD_MSG, INVALID_MSG.
const PERMANENT = new Set([10, 18, 87, -199, 2]);

// Each record has its report after at most PRODUCE_TIMEOUT_MS, unless librdkafka's threads are stuck.
const REPORTS = { maxMs: 2 * PRODUCE_TIMEOUT_MS, graceMs: PRODUCE_TIMEOUT_MS };

type Opaque = { batch: ProduceBatch; index: number };
type ProduceBatch = { left: number; failures: ProduceFailure[]; done: (failures: ProduceFailure[]) => void };

/**
 * Connects; rejects if no broker answers within 5 s. Calls `onFatal` when the client must be replaced by a
 * new one.
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
    "message.timeout.ms": PRODUCE_TIMEOUT_MS,
    "queue.buffering.max.messages": QUEUE_RECORDS_MAX,
    "queue.buffering.max.kbytes": QUEUE_KBYTES_MAX,
    dr_cb: true,
  });
  let up = true;
  const open = new Set<ProduceBatch>();
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
      const all = new Promise<ProduceFailure[]>((done) => {
        const batch: ProduceBatch = { left: records.length, failures: [], done };
        open.add(batch);
        records.forEach((record, index) => produce(record, { batch, index }));
      });
      return watched(all, REPORTS, () => onFatal(new Error("no delivery report comes any more")));
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

function failureOf(index: number, error: unknown): ProduceFailure {
  const { code, message } = error as { code?: number; message?: string };
  return { index, code: code ?? 0, reason: message ?? String(error), permanent: PERMANENT.has(code ?? 0) };
}
