// The webhook role (Node, whose sockets can be guarded): waits for MySQL, then tells customers of their
// messages' status changes until SIGTERM.

import { createIdFactory } from "../core/id.ts";
import { MYSQL_ANSWER_MAX_MS } from "../core/limits.ts";
import { watchClock } from "../platform/mysql-clock.ts";
import { createMeteredPool } from "../platform/pool-meter.ts";
import { runRole } from "../platform/role.ts";
import { systemTimers } from "../platform/timers.ts";
import { tablesAnswer } from "../schema/tables.ts";
import { ROLES } from "../stack/role-table.ts";
import { createCaller } from "../webhook/call.ts";
import { startWebhook } from "../webhook/webhook.ts";

// Taking events, claiming, settling, and one for samples.
const CONNECTIONS = 4;

const usage = "node src/main/webhook.ts: posts status changes to customers' URLs.";
runRole({ name: "webhook", usage, healthOffset: ROLES.webhook.healthOffset }, async (role) => {
  const { config, log, metrics } = role;
  const pool = createMeteredPool(role, "webhook", {
    connections: CONNECTIONS,
    multipleStatements: true,
    answerMaxMs: MYSQL_ANSWER_MAX_MS,
  });
  role.onStop(() => pool.end());
  await role.waitFor("MySQL", () => tablesAnswer(pool));
  const { now } = await watchClock(role, pool);
  const caller = createCaller({ allowPrivate: config.webhookAllowPrivate === 1 });
  role.onStop(() => caller.close());
  const id = createIdFactory({ now });
  const webhook = startWebhook({ timers: systemTimers, metrics, log, pool, caller, id, now });
  role.check("mysql", () => (webhook.databaseUp() ? "ok" : "down"));
  role.onStop(() => webhook.stop());
});
