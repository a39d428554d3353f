// Deletes codes that have ended and counts of windows that are over, in bounded chunks with pauses between
// them. Every ingest process does this; rows deleted by one are simply not found by the others.

import { OTP_PURGE_ROWS_MAX } from "../core/otp-limits.ts";
import { purgeOtpCounts } from "../ledger/otp-counts.ts";
import { purgeOtps } from "../ledger/otps.ts";
import type { Pool } from "../platform/mysql.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";

const PERIOD_MS = 60_000;
const PAUSE_MS = 200;
const STATEMENT_MAX_MS = 10_000;

export function startOtpUpkeep(deps: PeriodicDeps & { pool: Pool }): Periodic {
  const options = { name: "otps", everyMs: PERIOD_MS, firstMs: PERIOD_MS, runMaxMs: 2 * STATEMENT_MAX_MS };
  return startPeriodic(deps, options, async () => {
    const deleted = [await purgeOtps(deps.pool), await purgeOtpCounts(deps.pool)];
    return deleted.includes(OTP_PURGE_ROWS_MAX) ? PAUSE_MS : PERIOD_MS;
  });
}
