// Who calls, once for all doors: keys in memory, when they were used last, and the nonces of signed requests.
// Owns the jobs behind them; leaves each to its file in src/customers/. Invariant: only signed requests pay
// for nonces.

import { KEY_USES_PERIOD_MS, NONCE_PURGE_ROWS_MAX } from "../core/access-limits.ts";
import { createKeyCache, type KeyCache } from "../customers/key-cache.ts";
import { createKeyUses } from "../customers/key-uses.ts";
import { type Nonce, purgeNonces, takeNonce } from "../customers/nonces.ts";
import { startPeriodic } from "../platform/periodic.ts";
import { within } from "../platform/retry.ts";
import type { Role } from "../platform/role.ts";
import { systemTimers } from "../platform/timers.ts";
import type { Pools } from "./pools.ts";
import type { RateLimits } from "./rate-limits.ts";

export type Callers = {
  /** Finds the customer of an API key. */
  keys: KeyCache;
  /** Notes that a key was used. */
  noteUse: (keyId: string) => void;
  /** Counts a request against its customer's limit. @throws RateLimitedError */
  takeRequest: RateLimits["takeRequest"];
  /** Whether the nonce is new; stored before it resolves. */
  takeNonce: (customerId: number, nonce: Nonce) => Promise<boolean>;
  /** Ends the jobs and writes which keys were used. */
  stop(): Promise<void>;
};

/** The key cache polls twice a second; after this long without a good poll the database counts as away. */
const POLL_MISSED_MS = 2_000;
const PURGE_MS = 60_000;
/** Between full deletions, so that nobody waits long for their locks. */
const PURGE_PAUSE_MS = 200;
const STATEMENT_MAX_MS = 10_000;
/** A MySQL that hangs holds up no stop. */
const LAST_WRITE_MAX_MS = 1_000;

type CallersDeps = {
  pools: Pick<Pools, "watch" | "keyLoads" | "nonceOf" | "jobs">;
  limits: Pick<RateLimits, "takeRequest">;
  /** See createKeyCache. */
  onSkew: (skewMs: number, tookMs: number) => void;
};

export function startCallers(role: Role, { pools, limits, onSkew }: CallersDeps): Callers {
  const { metrics, log } = role;
  const timers = systemTimers;
  const { monotonicMs } = timers;
  const { jobs } = pools;

  let skewMs: number | null = null;
  metrics.gauge("sluice_clock_skew_seconds", () => (skewMs === null ? null : skewMs / 1_000));
  const keys = createKeyCache(
    { polls: pools.watch, loads: pools.keyLoads },
    {
      monotonicMs,
      now: Date.now,
      onSkew(ms, tookMs) {
        skewMs = ms;
        onSkew(ms, tookMs);
      },
    },
  );
  role.onStop(() => keys.stop());
  role.check("mysql", () => (keys.state().polledAgoMs < POLL_MISSED_MS ? "ok" : "down"));

  const uses = createKeyUses(jobs);
  const everyMs = KEY_USES_PERIOD_MS;
  const write = { name: "key-uses", everyMs, firstMs: everyMs, runMaxMs: STATEMENT_MAX_MS };
  const writing = startPeriodic({ timers, metrics, log }, write, () => uses.write());
  const purge = { name: "nonces", everyMs: PURGE_MS, runMaxMs: STATEMENT_MAX_MS };
  const purging = startPeriodic({ timers, metrics, log }, purge, async () => {
    const deleted = await purgeNonces(jobs);
    return deleted === NONCE_PURGE_ROWS_MAX ? PURGE_PAUSE_MS : PURGE_MS;
  });
  return {
    keys,
    noteUse: uses.note,
    takeRequest: limits.takeRequest,
    takeNonce: (customerId, nonce) => takeNonce(pools.nonceOf(customerId), nonce),
    async stop() {
      await Promise.all([writing.stop(), purging.stop()]);
      await within(
        LAST_WRITE_MAX_MS,
        uses.write().catch(() => undefined),
      );
    },
  };
}
