// The ingest process (Bun): the API in front of accepting messages. Stops in order: refuses requests, commits
// what is queued, answers, returns leases, exits.

import { doorNamesOf, openDoors } from "../api/doors/doors.ts";
import { createOutcomes } from "../api/doors/outcomes.ts";
import { ANSWER_MAX_MS, RUNNING_MAX } from "../api/routes/wallet-reconcile.ts";
import type { Arrival, Route } from "../api/route.ts";
import { runRoute } from "../api/run-route.ts";
import { createServer } from "../api/server.ts";
import { createRoutes } from "../api/table.ts";
import { createTopUps } from "../api/top-ups.ts";
import { MYSQL_ANSWER_MAX_MS } from "../core/limits.ts";
import { createCallbackSigners } from "../customers/callback-signers.ts";
import { createTemplateCache } from "../customers/templates.ts";
import { startAccepting } from "../ingest/accepting.ts";
import { createInbox } from "../ledger/inbox.ts";
import { createAuthorizer } from "../operators/reports/authorize.ts";
import { reportAccessOf } from "../operators/reports/settings.ts";
import { createRouter, linkOf } from "../operators/route.ts";
import type { RoutesFile } from "../operators/routes-file.ts";
import { watchRoutes } from "../operators/watch.ts";
import { createClickhouse, PROBE_OPTIONS } from "../platform/clickhouse.ts";
import { brokersOf } from "../platform/kafka/brokers.ts";
import { createMeteredPool } from "../platform/pool-meter.ts";
import { connects, createProbe } from "../platform/probe.ts";
import { runRole } from "../platform/role.ts";
import { systemTimers } from "../platform/timers.ts";
import { reportsAnswer } from "../reports/freshness.ts";
import { readOutcomes } from "../reports/outcomes.ts";
import { keepPartitions } from "../schema/partitions.ts";
import { ROLES } from "../stack/role-table.ts";

const usage = "bun src/main/ingest.ts: the HTTP API.";
runRole({ name: "ingest", usage, healthOffset: ROLES.ingest.healthOffset }, async (role) => {
  const { config, log, metrics, tracing } = role;
  const doorNames = doorNamesOf(config.doors);
  // For slow work, one connection each: so many checks of the books, and partitions.
  const slow = { connections: RUNNING_MAX + 1, answerMaxMs: ANSWER_MAX_MS };
  const reconcilePool = createMeteredPool(role, "reconcile", slow);
  const clickhouse = createClickhouse(config);
  const asked = createClickhouse(config, PROBE_OPTIONS);
  const brokers = brokersOf(config);
  const probes = createProbe({ kafka: () => connects(brokers), clickhouse: () => reportsAnswer(asked) });
  role.onStop(() => {
    void reconcilePool.end(); // a check under way loses nothing when it is cut off
    probes.stop();
    return Promise.all([clickhouse.close(), asked.close()]);
  });
  role.check("kafka", () => probes.state().kafka);
  role.check("clickhouse", () => probes.state().clickhouse);
  const authorizersOf = ({ operators }: RoutesFile) =>
    new Map(operators.map((operator) => [operator.name, createAuthorizer(reportAccessOf(operator))]));
  const routerOf = (file: RoutesFile) => createRouter(file.operators, file.routes);
  const first = watchRoutes(role, (file) => {
    authorizers = authorizersOf(file);
    router = routerOf(file);
  });
  let authorizers = authorizersOf(first);
  let router = routerOf(first);
  const accepting = await startAccepting(role, (record) => linkOf(router, record));
  const { accept, acceptBatch, otps, callers, keys, room, limits, optOuts } = accepting;
  const { lookUpPool, lookUpPoolOf, readPoolOf, ledgerOf, mysqlNow: now } = accepting;
  const partitions = keepPartitions({ timers: systemTimers, metrics, log }, reconcilePool);
  role.onStop(() => void partitions.stop()); // like a check, it loses nothing
  const inboxPool = createMeteredPool(role, "inbox", { connections: 1, answerMaxMs: MYSQL_ANSWER_MAX_MS });
  role.onStop(() => void inboxPool.end()); // a report that is not acknowledged comes again
  const doorDeps = {
    callers,
    accept,
    acceptBatch,
    keys,
    optOuts,
    topUps: createTopUps({ ledgerOf, metrics }),
    callbacks: { allowPrivate: config.webhookAllowPrivate === 1 },
    now,
    templates: createTemplateCache(lookUpPoolOf),
    reads: (customerId: number) => ({ pool: readPoolOf(customerId), clickhouse, now }),
    schedule: (customerId: number) => ({ pool: ledgerOf(customerId).pool, now }),
    signers: createCallbackSigners(lookUpPoolOf),
    otps,
    outcomes: createOutcomes({ read: (ids) => readOutcomes(lookUpPool, ids), timers: systemTimers }),
    priorityIsExpress: config.doorsPriorityExpress === 1,
  };
  const routes = createRoutes({
    ...doorDeps,
    room,
    limits,
    metrics,
    findRoute: (phone, lane) => router.find(phone, lane),
    ready: role.ready,
    reports: { clickhouse, now },
    reconcile: { pool: reconcilePool, clickhouse, monotonicMs: () => performance.now() },
    dlr: {
      inbox: createInbox(inboxPool, () => performance.now()),
      authorizerOf: (operator) => authorizers.get(operator),
      publicUrl: config.publicUrl,
      log,
      now,
    },
  });
  const doors = openDoors(doorNames, doorDeps, routes);
  const run = (route: Route, arrival: Arrival) => runRoute(callers, route, arrival);
  const server = createServer(
    { routes, run, keys: callers.keys, doors, metrics, tracing, log },
    { host: config.apiHost, port: config.apiPort, idleS: config.apiIdleS, edgeSecret: config.edgeSecret },
  );
  role.onStop(async () => {
    server.refuse();
    await accepting.stop();
    await server.close();
  });
  log.info({ port: config.apiPort, doors: doorNames }, "listening");
});
