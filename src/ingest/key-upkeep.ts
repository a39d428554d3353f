// Deletes idempotency keys after 24 h, in bounded chunks with pauses between them, so that nobody waits long
// for their locks. Every ingest process does this; rows deleted by one are simply not found by the others.
// Invariant: no key goes before its time because MySQL's clock jumped ahead while this process ran. After a
// jump nobody can tell the keys of before from old ones, so none is deleted until all of them are old.

import { IDEMPOTENCY_TTL_MS, KEY_PURGE_ROWS_MAX } from "../core/limits.ts";
import { purgeKeys, readKeyClock } from "../ledger/idempotency.ts";
import type { Pool } from "../platform/mysql.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";

export type KeyUpkeepDeps = PeriodicDeps & { pool: Pool };

/** At 3,500 keys a second, a minute adds 210,000 rows; at these pauses deleting them takes 42 s. */
const PERIOD_MS = 60_000;
const PAUSE_MS = 200;
const STATEMENT_MAX_MS = 10_000;
/** A clock that is only a little fast gains less from one run to the next. */
const JUMP_MS = 2_000;

export function startKeyUpkeep(deps: KeyUpkeepDeps): Periodic {
  const { pool, log } = deps;
  const { monotonicMs } = deps.timers;
  let last: { clockMs: number; askedMs: number } | null = null;
  let restsUntilMs = Number.NEGATIVE_INFINITY;
  const options = { name: "keys", everyMs: PERIOD_MS, runMaxMs: 2 * STATEMENT_MAX_MS };
  return startPeriodic(deps, options, async () => {
    const askedMs = monotonicMs();
    const clockMs = await readKeyClock(pool);
    const answeredMs = monotonicMs();
    // From the question before to this answer, so that an answer that took its time doesn't look like a jump.
    const aheadMs = last === null ? 0 : clockMs - last.clockMs - (answeredMs - last.askedMs);
    last = { clockMs, askedMs };
    if (aheadMs > JUMP_MS) {
      restsUntilMs = answeredMs + IDEMPOTENCY_TTL_MS;
      log.warn({ aheadMs }, "MySQL's clock jumped ahead; no idempotency keys are deleted for 24 h");
    }
    if (answeredMs < restsUntilMs) return PERIOD_MS;
    // By the clock as it was read: a jump since then is seen only by the next run.
    const deleted = await purgeKeys(pool, clockMs);
    return deleted === KEY_PURGE_ROWS_MAX ? PAUSE_MS : PERIOD_MS;
  });
}
