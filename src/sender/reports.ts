// Settles late answers: what operators say about messages whose outcome was already settled as unknown. Owns
// the reports that wait to be settled; leaves their meaning to outcome.ts, the SQL to the ledger.
// Invariant: a report only settles an `unknown` message; if its message is still `sending`, it waits for the
// claim to end. Bound: WAITING_MAX reports, WAIT_MAX_MS each; the message of a dropped report stays unknown
// until its time limit.

import assert from "node:assert/strict";
import { CLAIM_ROWS_MAX, CLAIM_TTL_MS } from "../core/limits.ts";
import type { Change } from "../ledger/move.ts";
import { type SettleDeps, settleReports } from "../ledger/settle.ts";
import { type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";
import { type Counts, countChanges } from "./counts.ts";
import { monotonicMs } from "./monotonic.ts";
import { changeOf } from "./outcome.ts";
import type { Report } from "./worker.ts";

export type ReportsDeps = SettleDeps & PeriodicDeps & { counts: Counts; now: () => number };
export type Reports = {
  take(report: Report): void;
  /** Settles what can be settled now, then stops. */
  stop(): Promise<void>;
};

const EVERY_MS = 500;
const RUN_MAX_MS = 60_000;
const WAITING_MAX = 10_000;
const WAIT_MAX_MS = 2 * CLAIM_TTL_MS;
assert(EVERY_MS * 10 < WAIT_MAX_MS, "a report is tried many times");

export function startReports(deps: ReportsDeps): Reports {
  let waiting: { change: Change; untilMs: number }[] = [];

  const settle = async (): Promise<void> => {
    const some = waiting.splice(0, CLAIM_ROWS_MAX);
    if (some.length === 0) return;
    const changes = some.map(({ change }) => change);
    try {
      const { settled, early } = await settleReports(deps, changes, deps.now());
      deps.counts.reported_total += settled.length;
      countChanges(deps.counts, settled);
      for (const { record, to } of settled)
        deps.log.info({ id: record.id, to }, "a late answer settled its message");
      waiting.push(...some.filter(({ change }) => early.has(change.record.id)));
    } catch (err) {
      waiting.push(...some);
      throw err;
    } finally {
      waiting = waiting.filter(({ untilMs }) => untilMs > monotonicMs());
    }
  };
  const job = startPeriodic(deps, { name: "late-answers", everyMs: EVERY_MS, runMaxMs: RUN_MAX_MS }, settle);

  return {
    take({ message, outcome }) {
      // It may have been submitted to another operator, too: that this one doesn't have it proves nothing.
      if (message.mayResend === true && outcome.kind === "refused") return;
      if (waiting.length >= WAITING_MAX) return;
      // A late answer is never followed by another attempt.
      const change = changeOf(message, outcome, { nowMs: deps.now(), jitter: 0 });
      waiting.push({ change, untilMs: monotonicMs() + WAIT_MAX_MS });
    },
    async stop() {
      await job.stop();
      // A message that can't be settled now stays unknown until its time limit.
      await settle().catch((err: unknown) =>
        deps.log.warn({ err }, "could not settle late answers before stopping"),
      );
    },
  };
}
