// The relay (Node): waits for MySQL and Kafka, in any order, then moves outbox rows to Kafka until SIGTERM,
// and scheduled messages into the outbox.
// One of the relays also sweeps, one samples the backlog, and one checks the books in the background.

import { DRAIN_MS, MYSQL_ANSWER_MAX_MS, RELAY_TRANSACTIONS_MAX } from "../core/limits.ts";
import { createClickhouse } from "../platform/clickhouse.ts";
import { createTopicAdmin } from "../platform/kafka/admin.ts";
import { createProducer } from "../platform/kafka/producer.ts";
import { consumersOf, topicsOf } from "../platform/kafka/topics.ts";
import { watchClock } from "../platform/mysql-clock.ts";
import { createMeteredPool } from "../platform/pool-meter.ts";
import { runRole } from "../platform/role.ts";
import { systemTimers } from "../platform/timers.ts";
import { within } from "../platform/retry.ts";
import { startReconcileCycle, CYCLE_ANSWER_MAX_MS, CYCLE_CONNECTIONS } from "../reconcile/cycle.ts";
import { startBacklog } from "../relay/backlog.ts";
import { keepTopics } from "../relay/keep-topics.ts";
import { startOptOutCancels } from "../relay/opt-outs.ts";
import { startLetterPurge } from "../relay/purge-letters.ts";
import { startRelay } from "../relay/relay.ts";
import { startSchedule } from "../relay/schedule.ts";
import { watchReportReaders } from "../relay/report-readers.ts";
import { startSweep } from "../relay/sweep.ts";
import { tablesAnswer } from "../schema/tables.ts";
import { ROLES } from "../stack/role-table.ts";

// For flushing what librdkafka still holds while stopping; the rest of DRAIN_MS is for the transactions.
const FLUSH_MS = 2_000;
// The transactions of all lanes; three more for their polls while idle and for a sweep, which reads on one
// connection and writes on another; one for sampling the backlog, one for watching ClickHouse's readers; one
// for scheduled messages of each lane, and one for those to phones that opted out. What comes once a minute
// waits for one of them.
const CONNECTIONS = RELAY_TRANSACTIONS_MAX + 9;
/** For a statement that reads one day of some customers' messages. */
const CLICKHOUSE_TIMEOUT_MS = 30_000;

const usage = "node src/main/relay.ts: carries outbox rows to Kafka.";
runRole({ name: "relay", usage, healthOffset: ROLES.relay.healthOffset }, async (role) => {
  const { config, log, metrics } = role;
  const pool = createMeteredPool(role, "relay", {
    connections: CONNECTIONS,
    multipleStatements: true,
    answerMaxMs: MYSQL_ANSWER_MAX_MS,
  });
  const books = { connections: CYCLE_CONNECTIONS, answerMaxMs: CYCLE_ANSWER_MAX_MS };
  const booksPool = createMeteredPool(role, "reconcile", books);
  const clickhouse = createClickhouse(config, { timeoutMs: CLICKHOUSE_TIMEOUT_MS });
  const topics = createTopicAdmin(config);
  role.onStop(() => Promise.all([pool.end(), booksPool.end(), clickhouse.close()]));
  role.onStop(() => topics.close());
  await role.waitFor("MySQL", () => tablesAnswer(pool));
  const { now } = await watchClock(role, pool);

  const common = { metrics, log, now, monotonicMs: () => performance.now() };
  const cycle = startReconcileCycle(
    { ...common, pool: booksPool, clickhouse },
    { cycleMs: config.reconcileCycleMs },
  );
  role.onStop(() => cycle.stop());
  const schedule = startSchedule({ ...common, timers: systemTimers, pool });
  const cancels = startOptOutCancels({ ...common, timers: systemTimers, pool });
  role.onStop(() => Promise.all([schedule.stop(), cancels.stop()]));
  const isLost = (err: unknown) =>
    role.restart(err, "the Kafka producer has to be built anew", async () => topics.close());
  const producer = await role.waitFor("Kafka", () => createProducer(config, log, isLost));
  const consumers = consumersOf(config);
  const relay = startRelay({ ...common, pool, producer }, { topics: topicsOf(config) });
  role.check("mysql", () => (relay.databaseUp() ? "ok" : "down"));
  role.check("kafka", () => (producer.isUp() ? "ok" : "degraded"));
  const lanes = (["normal", "express"] as const).map((lane) => ({ lane, ...consumers[lane] }));
  const jobs = { ...common, timers: systemTimers };
  const sweep = startSweep({ ...jobs, pool, topics }, { lanes, afterMs: config.sweepAfterMs });
  const others = [
    keepTopics({ ...jobs, topics }),
    startLetterPurge({ ...jobs, pool }),
    sweep,
    watchReportReaders({ ...jobs, pool, topics, clickhouse }, { consumers }),
    startBacklog({ ...common, pool, topics, clickhouse }, { consumers }),
  ];
  role.onStop(async () => {
    const ended = Promise.all([relay, ...others].map((each) => each.stop()));
    await within(DRAIN_MS - FLUSH_MS - 2_000, ended);
    await producer.close(FLUSH_MS);
    await ended;
  });
});
