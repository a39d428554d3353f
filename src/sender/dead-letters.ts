// Sends records that can't be decoded to the dead-letter topic unchanged. They are rare, so their producer is
// created for the first one. Invariant: a dead letter's offset isn't stored before its topic has the record,
// so it survives this process; a metric shows records that wait.

import { createProducer, type Producer } from "../platform/kafka/producer.ts";
import { topicOf } from "../platform/kafka/topics.ts";
import { backoffMs, sleep } from "../platform/retry.ts";
import type { Role } from "../platform/role.ts";
import { StoppedError } from "./persist.ts";

const RETRY = { firstMs: 500, mostMs: 10_000 };
const FLUSH_MS = 500;

/** The function it returns resolves when the record is stored. @throws StoppedError */
export function createDeadLetters(
  role: Role,
  { key, isLost }: { key: string; isLost: (error: unknown) => void },
): (value: Buffer) => Promise<void> {
  const { config, log, metrics } = role;
  let producer: Producer | null = null;
  let waiting = 0;
  metrics.gauge("sluice_sender_dead_letters_waiting", () => waiting);
  role.onStop(() => producer?.close(FLUSH_MS));
  return async (value) => {
    const record = { topic: topicOf(config, "dlq"), key, value, traceparent: "" };
    waiting++;
    try {
      for (let attempt = 1; ; attempt++) {
        if (role.stopping.aborted) throw new StoppedError("stopped before a dead letter was stored");
        producer ??= await role.waitFor("Kafka", () => createProducer(config, log, isLost));
        const [failure] = await producer.sendAll([record]);
        if (failure === undefined || failure.permanent) return;
        log.warn({ failure, attempt }, "could not write a dead letter to Kafka; trying again");
        await sleep(backoffMs(RETRY, attempt));
      }
    } finally {
      waiting--;
    }
  };
}
