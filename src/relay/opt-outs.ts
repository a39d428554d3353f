// Cancels what is scheduled to phones that opted out, soon after they did. Every relay does this; SKIP LOCKED
// shares what is due among them. Leaves a transaction to ledger/opt-outs.ts.
// Invariant: with nothing due, a look reads one entry of an index. Bound: RUN_OPT_OUTS_MAX a run.

import { cancelOptedOut } from "../ledger/opt-outs.ts";
import type { Pool } from "../platform/mysql.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";

type OptOutCancelDeps = PeriodicDeps & { pool: Pool; now: () => number };

const EVERY_MS = 500;
const RUN_MAX_MS = 30_000;
const RUN_OPT_OUTS_MAX = 200;

export function startOptOutCancels({ pool, now, ...deps }: OptOutCancelDeps): Periodic {
  const canceled = deps.metrics.counter("sluice_relay_opt_out_canceled_total", {});
  const options = { name: "opt-out-cancels", everyMs: EVERY_MS, runMaxMs: RUN_MAX_MS };
  return startPeriodic(deps, options, async (signal) => {
    for (let looked = 0; looked < RUN_OPT_OUTS_MAX && !signal.aborted; looked++) {
      const count = await cancelOptedOut({ pool, now });
      if (count === null) return EVERY_MS;
      canceled(count);
    }
    return 0;
  });
}
