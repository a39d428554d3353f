// Moves scheduled messages into the outbox when their time has come, in one loop per lane, so that express
// never waits behind normal ones. Every relay does this; SKIP LOCKED shares what is due among them. It needs
// MySQL only: what is due while Kafka is away waits in the outbox like everything else.
// Leaves the move to ledger/schedule.ts, and everything after it to relay.ts and the senders.
// Invariants: with nothing due, a look reads one entry of an index, and now and then another for resumed
// customers; those take turns with each other and with what is due. Bound: CLAIM_ROWS_MAX messages a move,
// and after each a rest of as long as it took: after an outage of the relays, when very many are due, MySQL
// still works for the others half of the time of one connection.

import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import { LANES, type Lane } from "../core/message.ts";
import { moveDue, moveResumed } from "../ledger/schedule.ts";
import type { Pool } from "../platform/mysql.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";

export type ScheduleDeps = PeriodicDeps & { pool: Pool; now: () => number };

/** A message may be late by this and a transaction; a second is promised. */
const EVERY_MS: Record<Lane, number> = { express: 100, normal: 200 };
/** How often it looks for resumed customers, of whom there are few; a second is promised. */
const RESUMED_EVERY_MS = 500;
/** No rest is shorter: then the next look shares nothing with this one. */
const REST_MIN_MS = 5;
const MOVE_MAX_MS = 10_000;

export function startSchedule(deps: ScheduleDeps): Periodic {
  const jobs = LANES.map((lane) => startLane(deps, lane));
  return {
    async stop() {
      await Promise.all(jobs.map((job) => job.stop()));
    },
  };
}

function startLane({ pool, now, ...deps }: ScheduleDeps, lane: Lane): Periodic {
  const { monotonicMs } = deps.timers;
  const moved = deps.metrics.counter("sluice_relay_scheduled_total", { lane });
  const late = deps.metrics.histogram("sluice_relay_scheduled_late_seconds", { lane });
  const options = { name: `schedule-${lane}`, everyMs: EVERY_MS[lane], runMaxMs: MOVE_MAX_MS };
  let after = 0;
  let resumedAtMs = Number.NEGATIVE_INFINITY; // when it last found none
  /** Whether there is a resumed customer. Its messages are late by its suspension, which tells nothing. */
  const resume = async (): Promise<boolean> => {
    if (monotonicMs() - resumedAtMs < RESUMED_EVERY_MS) return false;
    const { customerId, records } = await moveResumed({ pool, now }, lane, after);
    moved(records.length);
    const isLast = customerId === null && after > 0;
    after = customerId ?? 0;
    if (customerId !== null || isLast) return true;
    resumedAtMs = monotonicMs();
    return false;
  };
  return startPeriodic(deps, options, async () => {
    const startedMs = monotonicMs();
    const { records, found } = await moveDue({ pool, now }, lane);
    const atMs = now();
    for (const { sendAtMs = atMs } of records) late(Math.max(0, atMs - sendAtMs) / 1_000);
    moved(records.length);
    const isResuming = await resume();
    const tookMs = monotonicMs() - startedMs;
    return found < CLAIM_ROWS_MAX && !isResuming ? EVERY_MS[lane] : Math.max(REST_MIN_MS, tookMs);
  });
}
