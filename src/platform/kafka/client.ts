// What librdkafka's clients share: settings, connecting, errors. Only this folder loads librdkafka, and only
// Node can: it crashes in Bun. It uses the node-rdkafka API of the package, which delivers whole batches; its
// KafkaJS API creates a promise per message.

import type { EventEmitter } from "node:events";
import type librdkafka from "@confluentinc/kafka-javascript";
import type { Config } from "../config.ts";
import type { Log } from "../log.ts";
import { brokerList } from "./brokers.ts";

export const CONNECT_TIMEOUT_MS = 5_000;
const LOG_EVERY_MS = 5_000;
const LOGGED_MAX = 100;

export type Client = librdkafka.Producer | librdkafka.KafkaConsumer;

export function common(config: Config): Record<string, unknown> {
  return {
    "metadata.broker.list": brokerList(config),
    "client.id": "sluice",
    "broker.address.family": "v4",
    "reconnect.backoff.ms": 100,
    "reconnect.backoff.max.ms": 2_000,
    "socket.keepalive.enable": true,
    // How soon topics created after this process started are found.
    "topic.metadata.refresh.interval.ms": 10_000,
    "log.connection.close": false,
    "allow.auto.create.topics": false,
  };
}

export type ErrorHandlers = { onDown: () => void; onFatal: (error: unknown) => void };

// The addon passes these errors on as text, without their number.
export function onClientError(client: Client, log: Log, { onDown, onFatal }: ErrorHandlers): void {
  const loggedMs = new Map<string, number>();
  // Both clients emit it, but their types share no overload.
  (client as EventEmitter).on("event.error", (error: { message: string }) => {
    const { message } = error;
    if (/all broker connections are down/i.test(message)) onDown();
    if (/\bfatal error\b/i.test(message)) return onFatal(error);
    // librdkafka repeats the error at every attempt to connect.
    if (Date.now() - (loggedMs.get(message) ?? 0) < LOG_EVERY_MS) return;
    if (loggedMs.size >= LOGGED_MAX) loggedMs.clear();
    loggedMs.set(message, Date.now());
    log.warn({ reason: message }, "kafka");
  });
}

/** Whether a broker answers within `timeoutMs`. */
export function answers(client: Client, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    client.getMetadata({ timeout: timeoutMs, allTopics: false }, (error: unknown) => resolve(!error));
  });
}

export function connect(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    client.connect({ timeout: CONNECT_TIMEOUT_MS }, (error) => (error ? reject(toError(error)) : resolve()));
  });
}

export function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error((error as { message?: string }).message ?? String(error));
}

/** Resolves when `done` is called, or after `waitMs`. */
export function bounded(waitMs: number, start: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, waitMs);
    start(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
