// Says twice a second, in MySQL, how long messages of the lane wait here: from that ingest knows which time
// it can promise. A sender that is gone says nothing, and its row's age then counts as its wait.

import type { Lane } from "../core/message.ts";
import { reportSender } from "../ledger/lane-senders.ts";
import type { Pool } from "../platform/mysql.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";

export type LaneReportDeps = PeriodicDeps & { pool: Pick<Pool, "write"> };
export type LaneReportOptions = { lane: Lane; instance: string; waitMs: () => number };

const EVERY_MS = 500;
const RUN_MAX_MS = 10_000;

export function startLaneReport(
  deps: LaneReportDeps,
  { lane, instance, waitMs }: LaneReportOptions,
): Periodic {
  return startPeriodic(deps, { name: "lane-report", everyMs: EVERY_MS, runMaxMs: RUN_MAX_MS }, () =>
    reportSender(deps.pool, { lane, instance, waitMs: Math.round(waitMs()) }),
  );
}
