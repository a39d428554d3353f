// The dlr role (Node): waits for MySQL, then reads operators' delivery reports and inbound messages from the
// inbox and settles them until SIGTERM.

import { MYSQL_ANSWER_MAX_MS } from "../core/limits.ts";
import { startDlr } from "../dlr/dlr.ts";
import { startIncomplete } from "../dlr/incomplete.ts";
import { reportTermsOf } from "../operators/reports/settings.ts";
import type { RoutesFile } from "../operators/routes-file.ts";
import { watchRoutes } from "../operators/watch.ts";
import { watchClock } from "../platform/mysql-clock.ts";
import { createMeteredPool } from "../platform/pool-meter.ts";
import { runRole } from "../platform/role.ts";
import { systemTimers } from "../platform/timers.ts";
import { tablesAnswer } from "../schema/tables.ts";
import { ROLES } from "../stack/role-table.ts";

const CONNECTIONS = 3;

const usage = "node src/main/dlr.ts: settles messages by their operators' delivery reports.";
runRole({ name: "dlr", usage, healthOffset: ROLES.dlr.healthOffset }, async (role) => {
  const { log, metrics } = role;
  const pool = createMeteredPool(role, "dlr", {
    connections: CONNECTIONS,
    multipleStatements: true,
    answerMaxMs: MYSQL_ANSWER_MAX_MS,
  });
  role.onStop(() => pool.end());
  const termsByName = ({ operators }: RoutesFile) =>
    new Map(operators.map((operator) => [operator.name, reportTermsOf(operator) ?? undefined]));
  let terms = termsByName(
    watchRoutes(role, (file) => {
      terms = termsByName(file);
    }),
  );
  await role.waitFor("MySQL", () => tablesAnswer(pool));
  const { now } = await watchClock(role, pool);
  const termsOf = (operator: string) => terms.get(operator);
  const deps = { timers: systemTimers, metrics, log, pool, now };
  const dlr = startDlr({ ...deps, termsOf }, { operators: [...terms.keys()] });
  const incomplete = startIncomplete({ ...deps, countInbound: dlr.countInbound });
  role.check("mysql", () => (dlr.databaseUp() ? "ok" : "down"));
  role.onStop(() => Promise.all([dlr.stop(), incomplete.stop()]));
});
