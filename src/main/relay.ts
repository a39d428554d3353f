// The relay: a Node process. Waits for MySQL and Kafka, in any order, then carries outbox rows to Kafka until
// SIGTERM. Beside that one of the relays sweeps, and one goes round the books.

import { DRAIN_MS } from "../core/limits.ts";
import { type Lane, LANES } from "../core/message.ts";
import { startReconcileTurn, type Turn, TURN_ANSWER_MAX_MS, TURN_CONNECTIONS } from "../reconcile/cycle.ts";
import { tablesAnswer } from "../schema/tables.ts";
import { createClickhouse } from "../platform/clickhouse.ts";
import { describeSettings, loadConfig } from "../platform/config.ts";
import { type CheckResult, serveHealth } from "../platform/health.ts";
import { createTopicAdmin } from "../platform/kafka/admin.ts";
import { createProducer, type Producer } from "../platform/kafka/producer.ts";
import { runUntilStopped } from "../platform/lifecycle.ts";
import { createLog } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { createMeteredPool } from "../platform/pool-meter.ts";
import { untilUp } from "../platform/retry.ts";
import { clickhouseGroup, senderGroup, topicOf } from "../platform/kafka/topics.ts";
import { type Backlog, startBacklog } from "../relay/backlog.ts";
import { type KeepTopics, keepTopics } from "../relay/keep-topics.ts";
import { type Relay, startRelay } from "../relay/relay.ts";
import { startSweep, type Sweep } from "../relay/sweep.ts";

if (process.argv.includes("--help")) {
  console.log(`node src/main/relay.ts: carries outbox rows to Kafka. Settings:\n${describeSettings()}`);
  process.exit(0);
}

// Flushing what librdkafka still holds while stopping; the rest of DRAIN_MS is for the transactions.
const FLUSH_MS = 2_000;
// Three lanes with two transactions each, and their idle look-ups; a sweep looks on one, writes on another;
// one that samples what waits.
const CONNECTIONS = 11;
/** A day of some customers' messages in one statement. */
const CLICKHOUSE_TIMEOUT_MS = 30_000;

const config = loadConfig(process.env);
const log = createLog("relay", config.logLevel);
const metrics = createMetrics("relay");
const pools = { config, metrics };
const pool = createMeteredPool(pools, "relay", { connections: CONNECTIONS, multipleStatements: true });
const stopping = new AbortController();
let producer: Producer | null = null;
let relay: Relay | null = null;
let sweep: Sweep | null = null;
let keeping: KeepTopics | null = null;
let backlog: Backlog | null = null;
let books: Turn | null = null;
const topics = createTopicAdmin(config);
const booksPool = createMeteredPool(pools, "reconcile", {
  connections: TURN_CONNECTIONS,
  answerMaxMs: TURN_ANSWER_MAX_MS,
});
const clickhouse = createClickhouse(config, { timeoutMs: CLICKHOUSE_TIMEOUT_MS });

const up = (isUp: boolean | undefined): CheckResult => (isUp ? "ok" : "degraded");
const health = await serveHealth(
  {
    log,
    metrics,
    ready: () => ({
      ready: relay !== null && relay.databaseUp(),
      checks: { mysql: relay?.databaseUp() ? "ok" : "down", kafka: up(producer?.isUp()) },
    }),
  },
  { host: config.apiHost, port: config.healthPort },
);

runUntilStopped(log, DRAIN_MS, async () => {
  stopping.abort();
  await Promise.race([
    Promise.all([relay?.stop(), sweep?.stop(), keeping?.stop(), books?.stop(), backlog?.stop()]),
    new Promise((resolve) => setTimeout(resolve, DRAIN_MS - FLUSH_MS - 2_000)),
  ]);
  await producer?.close(FLUSH_MS);
  topics.close();
  await relay?.stop();
  await Promise.all([pool.end(), booksPool.end(), clickhouse.close()]);
  await health.close();
});

const waiting = (engine: string) => (err: unknown, waitMs: number) =>
  log.info({ err, waitMs: Math.round(waitMs) }, `waiting for ${engine}`);
await untilUp(() => tablesAnswer(pool), waiting("MySQL"), stopping.signal);
books = startReconcileTurn(
  { pool: booksPool, clickhouse, metrics, log, now: Date.now, monotonicMs: () => performance.now() },
  { turnMs: config.reconcileTurnMs },
);
producer = await untilUp(
  () =>
    createProducer(config, log, (err) => {
      log.fatal({ err }, "the Kafka producer has to be built anew");
      topics.close();
      process.exit(70);
    }),
  waiting("Kafka"),
  stopping.signal,
);
relay = startRelay(
  { pool, producer, metrics, log, now: Date.now },
  {
    topics: {
      normal: topicOf(config, "normal"),
      express: topicOf(config, "express"),
      status: topicOf(config, "status"),
      ledger: topicOf(config, "ledger"),
    },
    dlq: topicOf(config, "dlq"),
  },
);
const clickhouseConsumer = (topic: "status" | "ledger") => ({
  topic: topicOf(config, topic),
  group: clickhouseGroup(config, topic),
});
const laneConsumer = (lane: Lane) => ({ topic: topicOf(config, lane), group: senderGroup(config, lane) });
const lanes = LANES.map((lane) => ({ lane, ...laneConsumer(lane) }));
keeping = keepTopics(topics, log);
sweep = startSweep({ pool, topics, metrics, log, now: Date.now }, { lanes, afterMs: config.sweepAfterMs });
backlog = startBacklog(
  { pool, topics, clickhouse, metrics, log, now: Date.now, monotonicMs: () => performance.now() },
  {
    consumers: {
      normal: laneConsumer("normal"),
      express: laneConsumer("express"),
      status: clickhouseConsumer("status"),
      ledger: clickhouseConsumer("ledger"),
    },
  },
);
log.info("relaying");
