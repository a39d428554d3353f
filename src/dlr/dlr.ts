// Settles operators' reports, and stores inbound messages, until it is stopped: takes what is due, pauses,
// again. Owns pace and counts; leaves one transaction to take.ts.
// Bound: one transaction at a time, also of several processes: the others wait, so that reports keep their
// order, and take over when it ends.

import { purgeLostSubmits, UNSURE_MAX } from "../ledger/unsure.ts";
import { purgeWaitingEnds } from "../ledger/waiting-ends.ts";
import type { Metrics } from "../platform/metrics.ts";
import { REPORT_RESULTS } from "../platform/metrics-table.ts";
import type { Pool } from "../platform/mysql.ts";
import { type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";
import { createInboundCounts, type InboundCounts } from "./incomplete.ts";
import { type Result, ROWS_MAX, type TakeDeps, takeReports, type Taken } from "./take.ts";

export type DlrDeps = PeriodicDeps & Omit<TakeDeps, "pool"> & { pool: Pick<Pool, "use" | "write"> };
export type Dlr = {
  databaseUp(): boolean;
  /** Counts what became of inbound messages, wherever that is decided. */
  countInbound: InboundCounts;
  stop(): Promise<void>;
};

// Reports come one by one and nobody waits for them: at 1,000/s a transaction then settles 200.
const PACE_MS = 200;
const RUN_MAX_MS = 30_000;
const PURGE_EVERY_MS = 120_000;
/** The metric counts each time; the log says it now and then. */
const CROWDED_LOG_MS = 600_000;
/** In place of the name of an operator that the routes file doesn't have. */
const OTHER = "other";

/** `operators`: those of the routes file, whose counts begin at 0. */
export function startDlr(deps: DlrDeps, { operators }: { operators: readonly string[] }): Dlr {
  const isKnown = (operator: string) => deps.termsOf(operator) !== undefined;
  const count = createCounts(deps.metrics, operators, isKnown);
  const countInbound = createInboundCounts(deps.metrics);
  let isUp = true;
  let crowdedAtMs = Number.NEGATIVE_INFINITY;
  const warnIfCrowded = ({ results }: Taken) => {
    const isCrowded = results.some(({ result }) => result === "crowded");
    if (!isCrowded || deps.now() - crowdedAtMs < CROWDED_LOG_MS) return;
    crowdedAtMs = deps.now();
    const why = "reports were not looked for by their recipient: too many messages have no answer";
    deps.log.warn({ most: UNSURE_MAX }, why);
  };
  const job = startPeriodic(deps, { name: "dlr", everyMs: PACE_MS, runMaxMs: RUN_MAX_MS }, async () => {
    try {
      const taken = await takeReports(deps);
      isUp = true;
      count(taken);
      warnIfCrowded(taken);
      countInbound(taken.inbound);
      for (const { place, error } of taken.failures)
        deps.log.error({ err: error, place }, "a report that can't be settled is a dead letter");
      for (const { record, to, reason } of taken.changes)
        if (to !== "delivered") deps.log.info({ id: record.id, to, reason }, "message not delivered");
      return taken.rows === ROWS_MAX ? 0 : PACE_MS;
    } catch (err) {
      isUp = false;
      throw err;
    }
  });
  const everyMs = PURGE_EVERY_MS;
  const purge = { name: "report-traces", everyMs, firstMs: everyMs, runMaxMs: RUN_MAX_MS };
  const jobs = [
    job,
    startPeriodic(deps, purge, async () => {
      await purgeWaitingEnds(deps.pool);
      return (await purgeLostSubmits(deps.pool)) ? PACE_MS : everyMs;
    }),
  ];
  return {
    databaseUp: () => isUp,
    countInbound,
    async stop() {
      await Promise.all(jobs.map((each) => each.stop()));
    },
  };
}

function createCounts(
  metrics: Metrics,
  operators: readonly string[],
  isKnown: (operator: string) => boolean,
): (taken: Taken) => void {
  type Counters = Record<Result | "disagreeing", (n: number) => void>;
  const byOperator = new Map<string, Counters>();
  const countersOf = (operator: string): Counters => {
    const known = byOperator.get(operator);
    if (known !== undefined) return known;
    const of = (result: Result) => metrics.counter("sluice_dlr_reports_total", { operator, result });
    const made = {
      ...(Object.fromEntries(REPORT_RESULTS.map((result) => [result, of(result)])) as Counters),
      disagreeing: metrics.counter("sluice_dlr_disagreeing_total", { operator }),
    };
    byOperator.set(operator, made);
    return made;
  };
  for (const operator of [...operators, OTHER]) countersOf(operator);
  const age = metrics.histogram("sluice_dlr_report_age_seconds", {});
  const ended = {
    delivered: metrics.counter("sluice_dlr_messages_total", { result: "delivered" }),
    undelivered: metrics.counter("sluice_dlr_messages_total", { result: "undelivered" }),
  };
  return ({ results, changes }) => {
    for (const { operator: name, result, disagrees, ageMs } of results) {
      const counters = countersOf(isKnown(name) ? name : OTHER);
      counters[result](1);
      if (disagrees) counters.disagreeing(1);
      if (result === "settled") age(Math.max(0, ageMs) / 1_000);
    }
    for (const { to } of changes) ended[to === "delivered" ? "delivered" : "undelivered"](1);
  };
}
