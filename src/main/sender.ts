// One lane's sender (Node): waits for MySQL and Kafka, in any order, then sends until SIGTERM.

import { hostname } from "node:os";
import { createIdFactory } from "../core/id.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { MYSQL_ANSWER_MAX_MS, SENDER_QUEUE_MAX } from "../core/limits.ts";
import { isLane } from "../core/message.ts";
import { createTopicAdmin } from "../platform/kafka/admin.ts";
import { createConsumer } from "../platform/kafka/consumer.ts";
import { consumersOf } from "../platform/kafka/topics.ts";
import { createInbox } from "../ledger/inbox.ts";
import { createMysqlClock, watchClock } from "../platform/mysql-clock.ts";
import { createMeteredPool } from "../platform/pool-meter.ts";
import { runRole } from "../platform/role.ts";
import { systemTimers } from "../platform/timers.ts";
import { tablesAnswer } from "../schema/tables.ts";
import { createCustomerRates } from "../sender/customer-rates.ts";
import { createFleet } from "../sender/fleet.ts";
import { startLookUps } from "../sender/look-ups.ts";
import { monotonicMs } from "../sender/monotonic.ts";
import { createOffsets } from "../sender/offsets.ts";
import { createOperatorMeters } from "../sender/operator-meter.ts";
import { createRouter, linkOf, type Router } from "../operators/route.ts";
import type { RoutesFile } from "../operators/routes-file.ts";
import { watchRoutes } from "../operators/watch.ts";
import { watchOwnership } from "../sender/ownership.ts";
import { startSender } from "../sender/sender.ts";
import { createSubmitters } from "../sender/submitters.ts";
import { ROLES } from "../stack/role-table.ts";

// For claims and settlements of the batches under way, for holding, the lane's report and the reaper, and one
// for look-ups.
const CONNECTIONS = 9;
// For two cores in all: one thread submits as fast as the database settles.
const THREADS = 1;
// Of a customer with a rate no more is kept in memory than it may send in this time: its records keep the
// offsets of their partition back.
const RATED_QUEUE_S = 5;
// Fetches of the normal lane linger this long at the broker; express doesn't wait.
const FETCH_WAIT_MS = { normal: 100, express: 0 };

const smppOf = ({ operators }: RoutesFile) => operators.filter(({ kind }) => kind === "smpp");
const laneAt = process.argv.indexOf("--lane");
const given = laneAt < 0 ? undefined : process.argv[laneAt + 1];
const lane = isLane(given) ? given : null;
const usage = "node src/main/sender.ts --lane normal|express";
const name = lane && (`sender-${lane}` as const);
const healthOffset = name === null ? 0 : ROLES[name].healthOffset;
runRole({ name, usage, healthOffset }, async (role) => {
  if (lane === null) return;
  const { config, log, metrics, tracing } = role;
  const bounded = { multipleStatements: true, answerMaxMs: MYSQL_ANSWER_MAX_MS };
  const pool = createMeteredPool(role, "sender", { ...bounded, connections: CONNECTIONS });
  role.onStop(() => pool.end());
  const clock = createMysqlClock({ now: Date.now, monotonicMs });
  const inbox = createInbox(pool, monotonicMs);
  const fleet = createFleet(monotonicMs);
  const meters = createOperatorMeters(metrics);
  // What this lane's messages may go to, and operators that take no new ones, for what they still report.
  const ownOf = ({ operators, routes }: RoutesFile): RoutesFile => ({
    operators: operators.filter(({ lanes }) => lanes.length === 0 || lanes.includes(lane)),
    routes,
  });
  let router: Router;
  const useFleet = ({ operators, routes }: RoutesFile) => {
    router = createRouter(operators, routes);
    fleet.use(operators.filter(({ lanes }) => lanes.length > 0));
    return meters.use(operators.map(({ name }) => name));
  };
  let file: RoutesFile = watchRoutes(role, (next) => {
    file = next;
    const own = ownOf(next);
    submitters.use(own, useFleet(own));
  });
  const first = ownOf(file);
  const submitters = createSubmitters(first, {
    threads: THREADS,
    counts: useFleet(first),
    onNote: ({ operator, level, text }) => log[level]({ operator }, text),
    storeReport: (operator, pdu) =>
      inbox.store({ operator, receivedAtMs: clock.now(), via: "smpp", pdu }).then(() => true),
    otpSecret: config.otpSecret,
    clock,
  });
  role.onStop(() => submitters.close());
  metrics.gauges("sluice_operator_breaker_open", () =>
    fleet.names().map((operator) => [{ operator }, Number(fleet.isAvoided(operator))] as const),
  );
  role.check("operators", () => (fleet.names().every(fleet.isAvoided) ? "degraded" : "ok"));

  // Settles what is under way before the process ends, because it would end as `unknown` otherwise.
  let settle = async (): Promise<void> => undefined;
  const isLost = (err: unknown) =>
    role.restart(err, "the Kafka client has to be rebuilt", async () => {
      await settle();
      topics.close();
    });
  await role.waitFor("MySQL", () => tablesAnswer(pool));
  await watchClock(role, pool, clock);
  const { topic, group } = consumersOf(config)[lane];
  // The health port distinguishes the senders of one machine.
  const instance = `${hostname()}-${config.healthPort}`;
  const topics = createTopicAdmin(config);
  const offsets = createOffsets((partition, next) => consumer.store(partition, next));
  const read = { group, instance, topic, fetchWaitMs: FETCH_WAIT_MS[lane] };
  const consumer = await role.waitFor("Kafka", () =>
    createConsumer(config, log, { ...read, onRevoked: offsets.revoked, onFatal: isLost }),
  );
  role.onStop(() => consumer.close());
  role.onStop(() => topics.close());
  const jobs = { timers: systemTimers, metrics, log };
  const id = createIdFactory(clock);
  const rates = createCustomerRates(config.customerPartsPerS, monotonicMs);
  const ratedMax = rates === undefined ? Number.POSITIVE_INFINITY : config.customerPartsPerS * RATED_QUEUE_S;
  const customerMax = Math.min(config.customerQueueMax, ratedMax);
  const routing = { submitters, fleet, linkOf: (record: LaneRecord) => linkOf(router, record), rates };
  const sender = startSender(
    { ...jobs, ...routing, pool, consumer, topic, offsets, tracing, id, now: clock.now },
    { lane, instance, queue: { customerMax, totalMax: SENDER_QUEUE_MAX } },
  );
  settle = () => sender.stop();
  role.onStop(settle);
  // One sender at a time asks about the messages of all lanes; over SMPP only where it has binds.
  const lookUps = startLookUps({
    ...jobs,
    pool,
    operators: () => [...file.operators.filter(({ kind }) => kind !== "smpp"), ...smppOf(ownOf(file))],
    store: (report) => inbox.store(report),
    query: (operator, asked) => submitters.lookUp(operator, asked),
    now: clock.now,
  });
  role.onStop(() => lookUps.stop());
  role.check("mysql", () => (sender.databaseUp() ? "ok" : "down"));
  role.check("kafka", () => (consumer.isUp() ? "ok" : "degraded"));
  const ownership = watchOwnership(
    { ...jobs, topics, consumer, onFatal: isLost },
    { topic, group, instance },
  );
  role.onStop(() => ownership.stop());
  role.check("partitions", () => (ownership.isServed() ? "ok" : "down"));
});
