// The admin process (Bun): the admin API on a listener of its own, loopback unless set otherwise. It is apart
// from ingest, so that nothing of it can be reached on the customers' port, nor through the edge, and neither
// slows the other down.

import { resolve } from "node:path";
import { createAdminRoutes } from "../api/admin/table.ts";
import { runAdminRoute } from "../api/admin/run.ts";
import { createServer } from "../api/server.ts";
import { MYSQL_ANSWER_MAX_MS } from "../core/limits.ts";
import { createClickhouse, PROBE_OPTIONS } from "../platform/clickhouse.ts";
import { watchClock } from "../platform/mysql-clock.ts";
import type { Pool } from "../platform/mysql.ts";
import { createMeteredPool } from "../platform/pool-meter.ts";
import { createProbe } from "../platform/probe.ts";
import { runRole } from "../platform/role.ts";
import { tablesAnswer } from "../schema/tables.ts";
import { tellRoles } from "../stack/launcher/reload.ts";
import { reportsAnswer } from "../reports/freshness.ts";
import { ROLES } from "../stack/role-table.ts";

/** Of each pool. */
const CONNECTIONS = 4;
/** MySQL's clock is asked for each second; after this long without an answer the database counts as away. */
const MYSQL_MISSED_MS = 3_000;
/** For a statement that reads all customers' messages of a period. */
const REPORT_TIMEOUT_MS = 70_000;

const usage = "bun src/main/admin.ts: the admin API.";
runRole({ name: "admin", usage, healthOffset: ROLES.admin.healthOffset }, async (role) => {
  const { config, log, metrics, tracing } = role;
  const bounded = { connections: CONNECTIONS, answerMaxMs: MYSQL_ANSWER_MAX_MS };
  const pool = createMeteredPool(role, "admin", bounded);
  const changes = createMeteredPool(role, "changes", { ...bounded, multipleStatements: true });
  const clickhouse = createClickhouse(config, { timeoutMs: REPORT_TIMEOUT_MS });
  const asked = createClickhouse(config, PROBE_OPTIONS);
  const probes = createProbe({ clickhouse: () => reportsAnswer(asked) });
  // MySQL isn't probed: it blocks a host for 100 connections in a row that end without a login.
  let answeredMs = performance.now();
  const noting: Pick<Pool, "use"> = {
    async use(work) {
      const result = await pool.use(work);
      answeredMs = performance.now();
      return result;
    },
  };
  role.onStop(async () => {
    probes.stop();
    await Promise.all([pool.end(), changes.end(), clickhouse.close(), asked.close()]);
  });
  role.check("mysql", () => (performance.now() - answeredMs < MYSQL_MISSED_MS ? "ok" : "degraded"));
  role.check("clickhouse", () => probes.state().clickhouse);
  await role.waitFor("MySQL", () => tablesAnswer(pool));
  await watchClock(role, noting);
  const routes = createAdminRoutes({
    pool,
    changes,
    clickhouse,
    routesFile: { path: resolve(config.routesFile), env: process.env },
    tellRoles: () => tellRoles(config),
  });
  const server = createServer(
    {
      routes,
      run: (route, arrival) => runAdminRoute({ pool }, route, arrival),
      doors: [],
      metrics,
      tracing,
      log,
    },
    { host: config.adminHost, port: config.adminPort, idleS: config.apiIdleS, edgeSecret: "" },
  );
  role.onStop(() => {
    server.refuse();
    return server.close();
  });
  log.info({ host: config.adminHost, port: config.adminPort }, "listening");
});
