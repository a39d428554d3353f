// Deletes idempotency keys after 24 h, in bounded chunks with pauses between them, so that nobody waits long
// for their locks. Every ingest process does this; rows deleted by one are simply not found by the others.

import { KEY_PURGE_ROWS_MAX } from "../core/limits.ts";
import { purgeKeys } from "../ledger/idempotency.ts";
import type { Pool } from "../platform/mysql.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";

export type KeyUpkeepDeps = PeriodicDeps & { pool: Pool };

/** At 3,500 keys a second, a minute adds 210,000 rows; at these pauses deleting them takes 42 s. */
const PERIOD_MS = 60_000;
const PAUSE_MS = 200;
const STATEMENT_MAX_MS = 10_000;

export function startKeyUpkeep(deps: KeyUpkeepDeps): Periodic {
  const options = { name: "keys", everyMs: PERIOD_MS, runMaxMs: STATEMENT_MAX_MS };
  return startPeriodic(deps, options, async () => {
    const deleted = await purgeKeys(deps.pool);
    return deleted === KEY_PURGE_ROWS_MAX ? PAUSE_MS : PERIOD_MS;
  });
}
