// Idempotency keys leave after 24 h, in bounded deletes with pauses between them, so that nobody waits for
// their locks. Every ingest process does it; what one has deleted the others don't find.

import { KEY_PURGE_ROWS_MAX } from "../core/limits.ts";
import { purgeKeys } from "../ledger/idempotency.ts";
import type { Pool } from "../platform/mysql.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";

export type KeyUpkeepDeps = PeriodicDeps & { pool: Pool };

/** At 3,500 keys a second, a minute leaves 210,000 to delete: 42 s of the next one, at these pauses. */
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
