// A process of the webhook role: the real code that turns events into deliveries, works on endpoints and
// settles, with its loops as in src/webhook/webhook.ts, whose samples the simulated database can't answer.

import { WEBHOOK_EVENT_ROWS_MAX } from "../../src/core/webhook-limits.ts";
import { takeEvents } from "../../src/ledger/webhook-deliveries.ts";
import { startPeriodic } from "../../src/platform/periodic.ts";
import { createDeliverer } from "../../src/webhook/deliver.ts";
import type { Process } from "./kernel.ts";
import { idsOf, logOf, metrics, type World } from "./roles.ts";
import type { Receivers } from "./receivers.ts";

const CONNECTIONS = 4;
const TAKE_MS = 200;
const CLAIM_MS = 100;
const BUSY_MS = 20;
const RUN_MAX_MS = 30_000;

/** Call it inside the process. */
export function startWebhookRole(world: World, of: Process, receivers: Receivers): void {
  const pool = world.network.pool(of, CONNECTIONS);
  const [log, timers] = [logOf(world), world.kernel.timersOf(of)];
  const deliverer = createDeliverer({
    pool,
    caller: receivers.callerOf(of),
    timers,
    now: Date.now,
    id: idsOf(world),
    onCall: () => undefined,
    onStopped: ({ customerId, endpoint, state }) =>
      world.kernel.note("stopped", `${customerId} ${endpoint} ${state}`),
    onError: (err) => log.warn({ err }, "not settled yet"),
  });
  const job = (name: string, everyMs: number, run: () => Promise<number>) =>
    startPeriodic({ timers, metrics, log }, { name, everyMs, runMaxMs: RUN_MAX_MS }, run);
  job("webhook-take", TAKE_MS, async () => {
    const { rows } = await takeEvents(pool, WEBHOOK_EVENT_ROWS_MAX);
    return rows === WEBHOOK_EVENT_ROWS_MAX ? 0 : TAKE_MS;
  });
  job("webhook-deliver", CLAIM_MS, async () => ((await deliverer.claim()) ? BUSY_MS : CLAIM_MS));
}
