// Ends expired claims, including those of senders that died, and transactions that a sleeping process left
// open. Every sender does this for both lanes; SKIP LOCKED keeps them from doing the same work. Leaves what
// expiry means to the ledger. Bound: REAP_AT_ONCE_MAX claims a round.

import assert from "node:assert/strict";
import { CLAIM_TTL_MS } from "../core/limits.ts";
import { endIdleTransactions } from "../ledger/idle-transactions.ts";
import { reapClaim, type SettleDeps } from "../ledger/settle.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";
import { type Counts, countChanges } from "./counts.ts";

export type ReaperDeps = SettleDeps & PeriodicDeps & { counts: Counts; now: () => number };

const REAP_EVERY_MS = 1_000;
const IDLE_EVERY_MS = 3_000;
const REAP_AT_ONCE_MAX = 20;
const RUN_MAX_MS = 60_000;
assert(REAP_EVERY_MS * 10 < CLAIM_TTL_MS, "an expired claim is found soon after");

export function startReaper(deps: ReaperDeps): Periodic {
  const claims = { name: "claims", everyMs: REAP_EVERY_MS, runMaxMs: RUN_MAX_MS };
  const idle = { name: "idle-transactions", everyMs: IDLE_EVERY_MS, runMaxMs: RUN_MAX_MS };
  const jobs = [
    startPeriodic(deps, claims, async (signal) => {
      for (let n = 0; n < REAP_AT_ONCE_MAX && !signal.aborted; n++) if (!(await reapOne(deps))) return;
    }),
    startPeriodic(deps, idle, () => endIdle(deps)),
  ];
  return {
    async stop() {
      await Promise.all(jobs.map((job) => job.stop()));
    },
  };
}

async function reapOne({ pool, id, now, log, counts }: ReaperDeps): Promise<boolean> {
  const changes = await reapClaim({ pool, id }, now());
  if (changes === null) return false;
  counts.reaped_total += changes.length;
  countChanges(counts, changes);
  if (changes.length > 0)
    log.warn({ to: changes[0]?.to, ids: changes.map((c) => c.record.id) }, "a claim expired");
  return true;
}

async function endIdle({ pool, log, counts }: ReaperDeps): Promise<void> {
  const ended = await endIdleTransactions(pool);
  counts.idle_ended_total += ended;
  if (ended > 0) log.warn({ ended }, "ended transactions of a sleeping process");
}
