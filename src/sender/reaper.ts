// Ends claims that expired, those of senders that died included, and transactions that a sleeping process
// left open: every sender does it, for both lanes, and SKIP LOCKED keeps them apart. Leaves what expiry means
// to the ledger. Bound: REAP_AT_ONCE_MAX claims a round.

import assert from "node:assert/strict";
import { CLAIM_TTL_MS } from "../core/limits.ts";
import { endIdleTransactions } from "../ledger/idle-transactions.ts";
import { reapClaim, type SettleDeps } from "../ledger/settle.ts";
import type { Log } from "../platform/log.ts";
import { sleep } from "../platform/retry.ts";
import { type Counts, countChanges } from "./counts.ts";

export type ReaperDeps = SettleDeps & { log: Log; counts: Counts; now: () => number };

const EVERY_MS = 1_000;
const STOP_CHECK_MS = 100;
const REAP_AT_ONCE_MAX = 20;
const IDLE_EVERY_ROUNDS = 3;
assert(EVERY_MS * 10 < CLAIM_TTL_MS, "an expired claim is found soon after");

/** Runs until `isStopping`. */
export async function reapClaims(deps: ReaperDeps, isStopping: () => boolean): Promise<void> {
  for (let round = 0; !isStopping(); round++) {
    try {
      if (round % IDLE_EVERY_ROUNDS === 0) await endIdle(deps);
      for (let n = 0; n < REAP_AT_ONCE_MAX && !isStopping(); n++) {
        if (!(await reapOne(deps))) break;
      }
    } catch (err) {
      deps.log.warn({ err }, "reaping waits: the database failed");
    }
    for (let waitedMs = 0; waitedMs < EVERY_MS && !isStopping(); waitedMs += STOP_CHECK_MS)
      await sleep(STOP_CHECK_MS);
  }
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
  if (ended > 0) log.warn({ ended }, "transactions of a process that sleeps were ended");
}
