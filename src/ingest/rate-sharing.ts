// Keeps the token buckets of all ingest processes together: each tells MySQL what it took, and learns what
// all have taken (decision 0026).
// Invariant: no request waits for it. What can't be told, because MySQL is away, is forgotten: each process
// then goes by its own bucket. Bound: processes may take more than is left for as long as they don't know of
// each other, some RATE_SHARE_MS; it is a debt, which keeps the rate on average.

import type { Pool } from "../platform/mysql.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";
import { RATE_SHARE_ROWS_MAX, shareRates } from "../customers/rate-shares.ts";
import type { RateLimits } from "./rate-limits.ts";

/** A third of a percent of the minute by which limits count; five small transactions a second. */
const RATE_SHARE_MS = 200;
const SHARE_MAX_MS = 5_000;

type RateSharingDeps = PeriodicDeps & {
  pool: Pool;
  limits: Pick<RateLimits, "collect" | "learn">;
};

export function startRateSharing({ pool, limits, ...deps }: RateSharingDeps): Periodic {
  const options = { name: "rate-sharing", everyMs: RATE_SHARE_MS, runMaxMs: SHARE_MAX_MS };
  return startPeriodic(deps, options, () => shareOnce(pool, limits));
}

/** Tells what was taken and learns what all have taken; without limited customers, it does nothing. */
export async function shareOnce(pool: Pool, limits: RateSharingDeps["limits"]): Promise<void> {
  const shares = limits.collect();
  for (let at = 0; at < shares.length; at += RATE_SHARE_ROWS_MAX)
    limits.learn(await shareRates(pool, shares.slice(at, at + RATE_SHARE_ROWS_MAX)));
}
