// Deletes dead letters whose time is over, in bounded chunks with pauses between them. Every relay does this;
// rows deleted by one are simply not found by the others.

import { LETTER_PURGE_ROWS_MAX } from "../core/limits.ts";
import { purgeLetters } from "../ledger/dead-letters.ts";
import type { Pool } from "../platform/mysql.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";

export type PurgeLettersDeps = PeriodicDeps & { pool: Pick<Pool, "write"> };

const PERIOD_MS = 60_000;
const PAUSE_MS = 200;
const STATEMENT_MAX_MS = 10_000;

export function startLetterPurge(deps: PurgeLettersDeps): Periodic {
  const options = { name: "dead-letters", everyMs: PERIOD_MS, runMaxMs: STATEMENT_MAX_MS };
  return startPeriodic(deps, options, async () => {
    const deleted = await purgeLetters(deps.pool);
    if (deleted > 0) deps.log.warn({ deleted }, "deleted dead letters that nobody decided about in time");
    return deleted === LETTER_PURGE_ROWS_MAX ? PAUSE_MS : PERIOD_MS;
  });
}
