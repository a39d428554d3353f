// The webhook role's work until it is stopped: looks for credit that is low, turns events into deliveries,
// delivers them, and samples how both are doing. Owns pace, counts and what is logged; leaves events and
// deliveries to src/ledger/, calls to deliver.ts. Bound: one transaction over events and one over
// endpoints at a time; several processes share both by SKIP LOCKED.

import { WEBHOOK_CHUNK_ROWS_MAX, WEBHOOK_EVENT_ROWS_MAX } from "../core/webhook-limits.ts";
import { CROSSED_MAX, tellLowBalances } from "../ledger/low-balances.ts";
import { takeEvents, waitingEvents } from "../ledger/webhook-deliveries.ts";
import {
  countEndpoints,
  ENDPOINT_STATES,
  type EndpointCounts,
  purgeEndpoints,
  type Stopped,
} from "../ledger/webhook-endpoints.ts";
import type { Metrics } from "../platform/metrics.ts";
import { type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";
import { WEBHOOK_RESULTS } from "../platform/webhook-metrics.ts";
import { createDeliverer, type DeliverDeps, type Made } from "./deliver.ts";

export type WebhookDeps = PeriodicDeps & Pick<DeliverDeps, "pool" | "caller" | "now" | "id">;
export type WebhookRole = { databaseUp(): boolean; stop(): Promise<void> };

/** Nobody waits for a webhook, and its call takes longer than this. */
const TAKE_MS = 200;
const CLAIM_MS = 100;
/** While there is work: what ends in the meantime is settled together. */
const BUSY_MS = 20;
/** How late a customer may learn that its credit is low, besides the delivery. */
const LOW_MS = 1_000;
const SAMPLE_MS = 10_000;
const PURGE_MS = 60_000;
const RUN_MAX_MS = 30_000;
const COUNTED_MAX = 10_000;

export function startWebhook(deps: WebhookDeps): WebhookRole {
  const { pool, log, metrics } = deps;
  const counts = metrics.counts("sluice_webhook", ["events_total", "unread_total", "paused_total"]);
  const deliverer = createDeliverer({
    ...deps,
    onCall: createCallMeter(deps),
    onError: (err) => log.warn({ err }, "webhook outcomes could not be settled yet"),
    onStopped(stopped: Stopped) {
      counts.paused_total++;
      const { customerId, state, failures, error } = stopped;
      log.warn({ customer: customerId, endpoint: stopped.endpoint, state, failures, error }, TOLD);
    },
  });
  metrics.gauge("sluice_webhook_calls_in_flight", () => deliverer.calls());
  let isUp = true;
  const noting = async <T>(work: Promise<T>): Promise<T> => {
    try {
      const result = await work;
      isUp = true;
      return result;
    } catch (error) {
      isUp = false;
      throw error;
    }
  };

  const take = startPeriodic(deps, { ...RUN, name: "webhook-take", everyMs: TAKE_MS }, async () => {
    const taken = await noting(takeEvents(pool, WEBHOOK_EVENT_ROWS_MAX));
    counts.events_total += taken.events;
    counts.unread_total += taken.unread.length;
    for (const row of taken.unread) log.error({ row }, "webhook events that can't be read");
    return taken.rows === WEBHOOK_EVENT_ROWS_MAX ? 0 : TAKE_MS;
  });
  const deliver = startPeriodic(deps, { ...RUN, name: "webhook-deliver", everyMs: CLAIM_MS }, async () =>
    (await noting(deliverer.claim())) ? BUSY_MS : CLAIM_MS,
  );
  const low = startPeriodic(deps, { ...RUN, name: "webhook-low-balance", everyMs: LOW_MS }, async () =>
    (await tellLowBalances(pool)) === CROSSED_MAX ? 0 : LOW_MS,
  );
  const sample = startSampling(deps);
  const purge = startPeriodic(deps, { ...RUN, name: "webhook-purge", everyMs: PURGE_MS }, async () => {
    const rows = await purgeEndpoints(pool, WEBHOOK_CHUNK_ROWS_MAX);
    return rows === WEBHOOK_CHUNK_ROWS_MAX ? 0 : PURGE_MS;
  });
  return {
    databaseUp: () => isUp,
    async stop() {
      await Promise.all([take, deliver, low, sample, purge].map((job) => job.stop()));
      await deliverer.stop();
    },
  };
}

const RUN = { runMaxMs: RUN_MAX_MS };
const TOLD = "a webhook endpoint takes no calls any more; a replay, or ./sluice webhook resume, resumes it";

function createCallMeter({ metrics, now }: { metrics: Metrics; now: () => number }): (made: Made) => void {
  const calls = new Map(
    WEBHOOK_RESULTS.map((result) => [result, metrics.counter("sluice_webhook_calls_total", { result })]),
  );
  const took = metrics.histogram("sluice_webhook_call_duration_seconds", {});
  const delay = metrics.histogram("sluice_webhook_delay_seconds", {});
  return ({ result, tookMs, attempts, occurredAtMs }) => {
    calls.get(result)?.(1);
    took(tookMs / 1_000);
    // How quick we are is seen on the first call; the others show how the endpoint was.
    if (result === "acknowledged" && attempts === 0) delay(Math.max(0, now() - occurredAtMs) / 1_000);
  };
}

/** Figures of the whole queue, whichever process works on it. */
function startSampling(deps: WebhookDeps) {
  const { pool, metrics } = deps;
  let endpoints: EndpointCounts | null = null;
  let waiting: { rows: number; oldestS: number } | null = null;
  metrics.gauges("sluice_webhook_endpoints", () => {
    const counted = endpoints;
    if (counted === null) return [];
    return [...ENDPOINT_STATES, "failing" as const].map((state) => [{ state }, counted[state]] as const);
  });
  metrics.gauge("sluice_webhook_waiting_rows", () => waiting?.rows ?? null);
  metrics.gauge("sluice_webhook_waiting_seconds", () => waiting?.oldestS ?? null);
  return startPeriodic(deps, { ...RUN, name: "webhook-sample", everyMs: SAMPLE_MS }, async () => {
    endpoints = await countEndpoints(pool);
    waiting = await waitingEvents(pool, COUNTED_MAX);
  });
}
