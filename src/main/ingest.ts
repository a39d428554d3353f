// The ingest process (Bun): the API in front of accepting messages. Stops in order: refuses requests, commits
// what is queued, answers, returns leases, exits.

import { ANSWER_MAX_MS, RUNNING_MAX } from "../api/routes/wallet-reconcile.ts";
import { createServer } from "../api/server.ts";
import { createRoutes } from "../api/table.ts";
import { startAccepting } from "../ingest/accepting.ts";
import { createClickhouse } from "../platform/clickhouse.ts";
import { createMeteredPool } from "../platform/pool-meter.ts";
import { createProbe } from "../platform/probe.ts";
import { runRole } from "../platform/role.ts";
import { systemTimers } from "../platform/timers.ts";
import { keepPartitions } from "../schema/partitions.ts";

runRole({ name: "ingest", usage: "bun src/main/ingest.ts: the HTTP API." }, async (role) => {
  const { config, log, metrics, tracing } = role;
  // For slow work: checks of the books, and partitions.
  const slow = { connections: RUNNING_MAX + 1, answerMaxMs: ANSWER_MAX_MS };
  const reconcilePool = createMeteredPool(role, "reconcile", slow);
  const clickhouse = createClickhouse(config);
  const probes = createProbe({
    kafka: { host: config.kafkaHost, port: config.kafkaPort },
    clickhouse: { host: config.clickhouseHost, port: config.clickhousePort },
  });
  role.onStop(() => {
    void reconcilePool.end(); // a check under way loses nothing when it is cut off
    probes.stop();
    return clickhouse.close();
  });
  role.check("kafka", () => probes.state().kafka);
  role.check("clickhouse", () => probes.state().clickhouse);
  const accepting = await startAccepting(role);
  const { accept, callers, keys, ledger, readPool } = accepting;
  const partitions = keepPartitions({ timers: systemTimers, metrics, log }, reconcilePool);
  role.onStop(() => void partitions.stop()); // like a check, it loses nothing
  const routes = createRoutes({
    accept,
    keys,
    ledger,
    metrics,
    ready: role.ready,
    reads: { pool: readPool, clickhouse, now: Date.now },
    reconcile: { pool: reconcilePool, clickhouse, monotonicMs: () => performance.now() },
  });
  const server = createServer(
    { keys: callers, routes, metrics, tracing, log },
    { host: config.apiHost, port: config.apiPort, idleS: config.apiIdleS, edgeSecret: config.edgeSecret },
  );
  role.onStop(async () => {
    server.refuse();
    await accepting.stop();
    await server.close();
  });
  log.info({ port: config.apiPort }, "listening");
});
