// What becomes of inbound messages with time: tells long ones of which a part never comes, deletes what is
// over. Leaves a transaction to ledger/inbound.ts. Bound: one transaction at a time; several processes may do
// it at once.

import { countParts } from "../ledger/inbound-parts.ts";
import { type InboundResult, purgeInbound, tellIncomplete } from "../ledger/inbound.ts";
import { INBOUND_RESULTS } from "../platform/inbound-metrics.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { Pool } from "../platform/mysql.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";

type IncompleteDeps = PeriodicDeps & {
  pool: Pick<Pool, "use" | "write" | "query">;
  now: () => number;
  countInbound: InboundCounts;
};
export type InboundCounts = (results: readonly InboundResult[]) => void;

const EVERY_MS = 10_000;
const RUN_MAX_MS = 30_000;

export function startIncomplete({ pool, now, countInbound, ...deps }: IncompleteDeps): Periodic {
  let parts = 0;
  deps.metrics.gauge("sluice_inbound_parts_waiting", () => parts);
  const options = { name: "inbound-parts", everyMs: EVERY_MS, firstMs: EVERY_MS, runMaxMs: RUN_MAX_MS };
  return startPeriodic(deps, options, async () => {
    const told = await tellIncomplete(pool);
    countInbound(told);
    parts = await countParts(pool);
    await purgeInbound(pool, now());
    return told.length > 0 ? 0 : EVERY_MS;
  });
}

/** Counts what became of inbound messages. */
export function createInboundCounts(metrics: Metrics): InboundCounts {
  const counters = Object.fromEntries(
    INBOUND_RESULTS.map((result) => [result, metrics.counter("sluice_inbound_messages_total", { result })]),
  ) as Record<InboundResult, (n: number) => void>;
  return (results) => {
    for (const result of results) counters[result](1);
  };
}
