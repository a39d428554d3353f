// One lane's sender: a Node process. Waits for MySQL and Kafka, in any order, then sends until SIGTERM.

import { hostname } from "node:os";
import { createIdFactory } from "../core/id.ts";
import { DRAIN_MS, MYSQL_ANSWER_MAX_MS } from "../core/limits.ts";
import { isLane } from "../core/message.ts";
import { tablesAnswer } from "../schema/tables.ts";
import { describeSettings, loadConfig } from "../platform/config.ts";
import { type CheckResult, serveHealth } from "../platform/health.ts";
import { createTopicAdmin } from "../platform/kafka/admin.ts";
import { type Consumer, createConsumer } from "../platform/kafka/consumer.ts";
import { createProducer, type Producer } from "../platform/kafka/producer.ts";
import { runUntilStopped } from "../platform/lifecycle.ts";
import { createLog } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { createMeteredPool } from "../platform/pool-meter.ts";
import { createTracing } from "../platform/otlp.ts";
import { backoffMs, sleep, untilUp } from "../platform/retry.ts";
import { senderGroup, topicOf } from "../platform/kafka/topics.ts";
import { systemTimers } from "../platform/timers.ts";
import { createBreaker } from "../sender/breaker.ts";
import { monotonicMs } from "../sender/monotonic.ts";
import { createOffsets } from "../sender/offsets.ts";
import { createSharedCounts, exposeOperators } from "../sender/operator-meter.ts";
import { localOperators } from "../sender/operators.ts";
import { StoppedError } from "../sender/persist.ts";
import { type Ownership, watchOwnership } from "../sender/ownership.ts";
import { type Sender, startSender } from "../sender/sender.ts";
import { createSubmitters } from "../sender/submitters.ts";

const laneAt = process.argv.indexOf("--lane");
const lane = laneAt < 0 ? undefined : process.argv[laneAt + 1];
if (process.argv.includes("--help") || !isLane(lane)) {
  console.log(`node src/main/sender.ts --lane normal|express. Settings:\n${describeSettings()}`);
  process.exit(process.argv.includes("--help") ? 0 : 64); // EX_USAGE
}

// Claims and settlements of the batches under way, and the reaper.
const CONNECTIONS = 6;
// Two cores in all: one thread submits as fast as the database settles.
const THREADS = 1;
const LETTER_RETRY = { firstMs: 500, mostMs: 10_000 };
// The normal lane gathers records for this long at the broker; express does not wait.
const FETCH_WAIT_NORMAL_MS = 50;

const config = loadConfig(process.env);
const role = `sender-${lane}`;
const log = createLog(role, config.logLevel);
const metrics = createMetrics(role);
const tracing = await createTracing({ url: config.otlpUrl, role, sampleEvery: config.otlpSampleEvery });
const pool = createMeteredPool({ config, metrics }, "sender", {
  connections: CONNECTIONS,
  multipleStatements: true,
  answerMaxMs: MYSQL_ANSWER_MAX_MS,
});
const operators = localOperators(config.apiHost, config.operatorPort);
const submitCounts = createSharedCounts(operators.length);
const submitters = createSubmitters(operators, { threads: THREADS, counts: submitCounts });
exposeOperators(metrics, operators, submitCounts);
const breakers = operators.map(() => createBreaker(monotonicMs));
metrics.gauges("sluice_operator_breaker_open", () =>
  operators.map(({ name }, at) => [{ operator: name }, Number(breakers[at]?.state() !== "closed")] as const),
);
const stopping = new AbortController();
let consumer: Consumer | null = null;
let deadLetters: Producer | null = null;
let sender: Sender | null = null;
let ownership: Ownership | null = null;
const topics = createTopicAdmin(config);

const health = await serveHealth(
  {
    log,
    metrics,
    ready: () => {
      const kafka: CheckResult = consumer?.isUp() ? "ok" : "degraded";
      const operatorsUp: CheckResult = breakers.some((b) => b.state() === "closed") ? "ok" : "degraded";
      const mysql: CheckResult = sender?.databaseUp() ? "ok" : "down";
      const partitions: CheckResult = ownership?.isServed() ? "ok" : "down";
      const checks = { mysql, partitions, kafka, operators: operatorsUp };
      return { ready: mysql === "ok" && partitions === "ok", checks };
    },
  },
  { host: config.apiHost, port: config.healthPort },
);

runUntilStopped(log, DRAIN_MS, async () => {
  stopping.abort();
  await ownership?.stop();
  await sender?.stop();
  topics.close();
  await consumer?.close();
  await deadLetters?.close(500);
  await submitters.close();
  await pool.end();
  await tracing.close();
  await health.close();
});

const waiting = (engine: string) => (err: unknown, waitMs: number) =>
  log.info({ err, waitMs: Math.round(waitMs) }, `waiting for ${engine}`);
// Ends the process, to be started anew; what is under way is settled first, or it would end as `unknown`.
let isEnding = false;
const fatal = (err: unknown) => {
  if (isEnding) return;
  isEnding = true;
  log.fatal({ err }, "the Kafka client has to be built anew");
  const end = () => {
    topics.close();
    process.exit(70); // EX_SOFTWARE: the supervisor starts it again
  };
  setTimeout(end, DRAIN_MS);
  Promise.resolve(sender?.stop()).then(end, end);
};

// Dead letters are rare: their producer is made when the first one comes. Until its topic takes it, a
// letter's offset isn't stored, so it outlives this process; the metric shows that it waits.
let lettersWaiting = 0;
metrics.gauge("sluice_sender_dead_letters_waiting", () => lettersWaiting);
async function deadLetter(value: Buffer): Promise<void> {
  const record = { topic: topicOf(config, "dlq"), key: role, value, traceparent: "" };
  const make = () => createProducer(config, log, fatal);
  lettersWaiting++;
  try {
    for (let attempt = 1; ; attempt++) {
      if (stopping.signal.aborted) throw new StoppedError("stopped before a dead letter was stored");
      deadLetters ??= await untilUp(make, waiting("Kafka"), stopping.signal);
      const [failure] = await deadLetters.sendAll([record]);
      if (failure === undefined || failure.permanent) return;
      log.warn({ failure, attempt }, "a dead letter waits: Kafka failed");
      await sleep(backoffMs(LETTER_RETRY, attempt));
    }
  } finally {
    lettersWaiting--;
  }
}

await untilUp(() => tablesAnswer(pool), waiting("MySQL"), stopping.signal);
const group = senderGroup(config, lane);
const topic = topicOf(config, lane);
// The health port tells the senders of one machine apart.
const instance = `${hostname()}-${config.healthPort}`;
const offsets = createOffsets((partition, next) => consumer?.store(partition, next));
consumer = await untilUp(
  () =>
    createConsumer(config, log, {
      group,
      instance,
      topic,
      fetchWaitMs: lane === "normal" ? FETCH_WAIT_NORMAL_MS : 0,
      onRevoked: offsets.revoked,
      onFatal: fatal,
    }),
  waiting("Kafka"),
  stopping.signal,
);
const id = createIdFactory({ now: Date.now });
const jobs = { timers: systemTimers, metrics, log };
sender = startSender(
  { ...jobs, pool, consumer, offsets, submitters, breakers, deadLetter, tracing, id, now: Date.now },
  { lane },
);
ownership = watchOwnership({ ...jobs, topics, consumer, onFatal: fatal }, { topic, group, instance });
log.info("sending");
