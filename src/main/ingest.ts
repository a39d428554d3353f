// The ingest process (Bun): the API, its leases and its group commit. Wires them, and takes them down in
// order: refuse, commit what is queued, answer, return leases, exit.

import { DRAIN_MS, MYSQL_ANSWER_MAX_MS } from "../core/limits.ts";
import { createKeyCache } from "../customers/key-cache.ts";
import { createAcceptMessage } from "../ingest/accept-message.ts";
import { createClockGuard } from "../ingest/clock-guard.ts";
import { createGroupCommit } from "../ingest/group-commit.ts";
import { createIdempotency } from "../ingest/idempotency.ts";
import { startKeyUpkeep } from "../ingest/key-upkeep.ts";
import { createLeaseBook } from "../ingest/lease-book.ts";
import { createRateLimits } from "../ingest/rate-limits.ts";
import { meteredAccept, meteredLeases } from "../ingest/store-metrics.ts";
import { createReadRoutes } from "../api/read-routes.ts";
import { ANSWER_MAX_MS, createReconcileRoute, RUNNING_MAX } from "../api/reconcile-route.ts";
import { createSend } from "../api/send.ts";
import { createServer } from "../api/server.ts";
import { createTopup } from "../api/topup-route.ts";
import { createAcceptStore } from "../ledger/accept.ts";
import { findKeys } from "../ledger/idempotency.ts";
import { createLeaseStore } from "../ledger/lease.ts";
import { ensurePartitions } from "../schema/partitions.ts";
import { tablesAnswer } from "../schema/tables.ts";
import { createClickhouse } from "../platform/clickhouse.ts";
import { describeSettings, loadConfig } from "../platform/config.ts";
import { type CheckResult, serveHealth } from "../platform/health.ts";
import { runUntilStopped } from "../platform/lifecycle.ts";
import { createLog } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { createMeteredPool } from "../platform/pool-meter.ts";
import { createTracing } from "../platform/otlp.ts";
import { createProbe } from "../platform/probe.ts";
import { untilUp } from "../platform/retry.ts";
import { systemTimers } from "../platform/timers.ts";

if (process.argv.includes("--help")) {
  console.log(`Sluice ingest: the HTTP API. Settings, from the environment:\n${describeSettings()}`);
  process.exit(0);
}

/** Four times a day: partitions are made 35 days ahead. */
const PARTITION_UPKEEP_MS = 6 * 3_600_000;

const config = loadConfig(process.env);
const log = createLog("ingest", config.logLevel);
const now = Date.now;
const { monotonicMs } = systemTimers;
const clockGuard = createClockGuard({ now, monotonicMs });
const id = clockGuard.entryId;
const nodeId = id();
const metrics = createMetrics("ingest");
const tracing = await createTracing({
  url: config.otlpUrl,
  role: "ingest",
  sampleEvery: config.otlpSampleEvery,
});

// Commits have connections of their own, so that reads and refills never wait behind them.
const bounded = { multipleStatements: true, answerMaxMs: MYSQL_ANSWER_MAX_MS };
const pools = { config, metrics };
const commitPool = createMeteredPool(pools, "commit", { ...bounded, connections: config.commitConnections });
const ledgerPool = createMeteredPool(pools, "ledger", { ...bounded, connections: 6 });
const readPool = createMeteredPool(pools, "read", { connections: 4, answerMaxMs: MYSQL_ANSWER_MAX_MS });
// What may take its time: checks of the books, and partitions.
const reconcilePool = createMeteredPool(pools, "reconcile", {
  connections: RUNNING_MAX + 1,
  answerMaxMs: ANSWER_MAX_MS,
});
const clickhouse = createClickhouse(config);

await untilUp(
  () => tablesAnswer(readPool),
  (err, waitMs) =>
    log.warn({ err, wait_ms: Math.round(waitMs) }, "waiting for MySQL and its tables (./sluice migrate)"),
);

const ledger = { pool: ledgerPool, id, now };
let skewMs: number | null = null;
const onSkew = (ms: number) => {
  skewMs = ms;
  clockGuard.observe(ms);
};
const keys = createKeyCache(readPool, { monotonicMs, now, onSkew });
const leaseTtlMs = config.leaseTtlMs;
const book = createLeaseBook(
  {
    store: meteredLeases(createLeaseStore(ledger, { nodeId, ttlMs: leaseTtlMs }), metrics),
    timers: systemTimers,
    log,
  },
  { leaseTtlMs },
);
const counts = metrics.counts("sluice_ingest", ["commits_total", "accepted_total", "in_doubt_total"]);
const commits = createGroupCommit(
  { store: meteredAccept(createAcceptStore(commitPool), metrics), book, counts, timers: systemTimers, log },
  { connections: config.commitConnections, nodeId, now },
);
const probes = createProbe({
  kafka: { host: config.kafkaHost, port: config.kafkaPort },
  clickhouse: { host: config.clickhouseHost, port: config.clickhousePort },
});
metrics.gauge("sluice_ingest_queue_messages", () => commits.admitted());
metrics.gauge("sluice_ingest_leases", () => book.stats().leases);
metrics.gauge("sluice_ingest_lease_credit", () => book.stats().available);
metrics.gauge("sluice_ingest_waiting_for_credit", () => book.stats().waiting);
metrics.gauge("sluice_clock_skew_seconds", () => (skewMs === null ? null : skewMs / 1_000));

const ready = () => {
  const { polledAgoMs } = keys.state();
  const mysql: CheckResult = polledAgoMs < 2_000 ? "ok" : "down";
  const clock: CheckResult = clockGuard.isRight() ? "ok" : "down";
  const checks = { mysql, clock, ...probes.state() };
  return { ready: mysql === "ok" && clock === "ok", checks };
};
const idempotency = createIdempotency({
  find: (refs) => findKeys(readPool, refs),
  timers: systemTimers,
  counts: metrics.counts("sluice_idempotency", ["replayed_total"]),
});
const accept = createAcceptMessage(
  { book, commits, limits: createRateLimits(), id: clockGuard.messageId },
  { expressPromiseMs: config.expressPromiseMs },
);
const routes = [
  createSend({ accept, keys: idempotency }),
  createTopup({ ledger, keys: idempotency, metrics }),
  ...createReadRoutes({ pool: readPool, clickhouse, now }),
  createReconcileRoute({ pool: reconcilePool, clickhouse, monotonicMs }),
];
// Days ahead are cut by `migrate` already; this keeps them ahead in a process that runs for months.
const partitionUpkeep = setInterval(() => {
  ensurePartitions(reconcilePool, { nowMs: now() }).then(
    ({ kind }) => log.info({ kind }, "partitions ahead are checked"),
    (err: unknown) => log.warn({ err }, "partitions ahead could not be checked; tried again later"),
  );
}, PARTITION_UPKEEP_MS);
const keyUpkeep = startKeyUpkeep(readPool, log);
const health = await serveHealth({ log, metrics, ready }, { host: config.apiHost, port: config.healthPort });
const server = createServer(
  { keys, routes, ready, metrics, tracing, log },
  {
    host: config.apiHost,
    port: config.apiPort,
    idleS: config.apiIdleS,
    edgeSecret: config.edgeSecret,
  },
);
log.info({ port: config.apiPort, node_id: nodeId }, "listening");

runUntilStopped(log, DRAIN_MS, async () => {
  server.refuse();
  clearInterval(partitionUpkeep);
  await keyUpkeep.stop();
  await commits.drained();
  await book.stop();
  await server.close();
  keys.stop();
  probes.stop();
  await health.close();
  void reconcilePool.end(); // a check that is still reading has nothing to lose
  await Promise.all([
    commitPool.end(),
    ledgerPool.end(),
    readPool.end(),
    clickhouse.close(),
    tracing.close(),
  ]);
});
