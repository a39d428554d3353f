// MySQL's time, as a process knows it between looks at MySQL's clock, and whether the machine's own clock
// agrees with it. What is decided by time of day (promises, validity) is decided by this, so that a machine
// whose clock is wrong neither ends a message too early nor captures one that was late. Owns the looks of a
// role, its check "clock" and its metric; after the first one ingest reads it with its API keys instead.
// Invariant: after a jump of the machine's clock, or a sleep of the machine, this is the later of what wall
// clock and monotonic clock say, until the next look: in doubt a promise counts as missed, and is refunded.
// Where both stood still, as on a paused virtual machine, nothing but that look can tell.
// Bound: one look each LOOK_MS; half of the quickest look's round trip is how far off it may be.

import { CLOCK_SKEW_MAX_MS } from "../core/limits.ts";
import type { Pool } from "./mysql.ts";
import { startPeriodic } from "./periodic.ts";
import type { Role } from "./role.ts";
import { systemTimers } from "./timers.ts";

type Clocks = { now: () => number; monotonicMs: () => number };
export type MysqlClock = {
  /** MySQL's time; before the first comparison this machine's. */
  now(): number;
  /**
   * Reports a comparison with MySQL's clock: its time − ours, in ms, as if MySQL had read its clock halfway
   * through. As that was at some moment within `tookMs`, what is known already is changed no more than such a
   * comparison proves, and by one that took longer than CLOCK_SKEW_MAX_MS only if it is the first.
   */
  observe(skewMs: number, tookMs?: number): void;
  /** MySQL's time − ours at the last comparison. */
  skewMs(): number;
  /** Whether this machine's clock is at most CLOCK_SKEW_MAX_MS off. */
  isRight(): boolean;
  /** Gives another thread the same clock. */
  shared: SharedArrayBuffer;
};

const LOOK_MS = 1_000;
const LOOK_MAX_MS = 10_000;
// What is shared, in µs: MySQL's time − the monotonic clock, and MySQL's time − the wall clock.
const OF_MONOTONIC = 0;
const OF_WALL = 1;
const SLOTS = 2;

/** `shared`: of the same clock in another thread, whose monotonic clock has the same origin. */
export function createMysqlClock({ now, monotonicMs }: Clocks, shared?: SharedArrayBuffer): MysqlClock {
  const memory = shared ?? new SharedArrayBuffer(SLOTS * BigInt64Array.BYTES_PER_ELEMENT);
  const aheadUs = new BigInt64Array(memory);
  const aheadMs = (slot: number): number => Number(Atomics.load(aheadUs, slot)) / 1_000;
  const store = (slot: number, ms: number) => Atomics.store(aheadUs, slot, BigInt(Math.round(ms * 1_000)));
  let isCompared = false;
  const set = (skewMs: number) => {
    store(OF_MONOTONIC, now() + skewMs - monotonicMs());
    store(OF_WALL, skewMs);
  };
  if (shared === undefined) set(0);
  return {
    now: () => Math.round(Math.max(monotonicMs() + aheadMs(OF_MONOTONIC), now() + aheadMs(OF_WALL))),
    observe(skewMs, tookMs = 0) {
      if (isCompared && tookMs > CLOCK_SKEW_MAX_MS) return;
      const known = monotonicMs() + aheadMs(OF_MONOTONIC) - now();
      const nearest = Math.max(skewMs - tookMs / 2, Math.min(skewMs + tookMs / 2, known));
      set(isCompared ? nearest : skewMs);
      isCompared = true;
    },
    skewMs: () => aheadMs(OF_WALL),
    isRight: () => Math.abs(monotonicMs() + aheadMs(OF_MONOTONIC) - now()) <= CLOCK_SKEW_MAX_MS,
    shared: memory,
  };
}

/** Compares the clock with MySQL's, once before it resolves and then until the role stops. */
export async function watchClock(
  role: Role,
  pool: Pick<Pool, "use">,
  clock = createMysqlClock({ now: Date.now, monotonicMs: systemTimers.monotonicMs }),
): Promise<MysqlClock> {
  const { metrics, log } = role;
  const look = () => compareOnce(pool, clock);
  await role.waitFor("MySQL's clock", look);
  const options = { name: "clock", everyMs: LOOK_MS, firstMs: LOOK_MS, runMaxMs: LOOK_MAX_MS };
  const looks = startPeriodic({ timers: systemTimers, metrics, log }, options, look);
  role.onStop(() => looks.stop());
  role.check("clock", () => (clock.isRight() ? "ok" : "down"));
  metrics.gauge("sluice_clock_skew_seconds", () => clock.skewMs() / 1_000);
  return clock;
}

/** Compares a clock with MySQL's. @throws what the pool throws */
export async function compareOnce(
  pool: Pick<Pool, "use">,
  clock: { observe(skewMs: number, tookMs?: number): void },
): Promise<void> {
  const { skewMs, tookMs } = await skewOf(pool);
  clock.observe(skewMs, tookMs);
}

/** Waiting for a connection doesn't count; a jump of the machine's clock ahead, or its sleep, does. */
function skewOf(pool: Pick<Pool, "use">): Promise<{ skewMs: number; tookMs: number }> {
  return pool.use(async (conn) => {
    const sentMs = systemTimers.monotonicMs();
    const sentAtMs = Date.now();
    const [row] = await conn.query<{ now_ms: number }[]>(
      "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS now_ms",
    );
    const atMs = Date.now();
    const tookMs = Math.max(systemTimers.monotonicMs() - sentMs, atMs - sentAtMs);
    return { skewMs: Number(row?.now_ms) + tookMs / 2 - atMs, tookMs };
  });
}
