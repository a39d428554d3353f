// What leases need with time: rates measured, idle ones returned, held ones renewed, recalled ones given
// back, expired ones of any process reaped. Everything runs on the monotonic clock; expiry itself is MySQL's.
// Invariant: what is being returned can't be spent from any more. Bound: LEASE_BATCH_MAX leases a
// transaction.

import { RECALL_POLL_MS } from "../core/limits.ts";
import { LEASE_BATCH_MAX } from "../ledger/lease.ts";
import type { Timers } from "../platform/timers.ts";
import type { RefillDeps } from "./lease-refill.ts";
import type { Lease } from "./lease-table.ts";

export type Upkeep = {
  /** Ends the timers and returns what is unspent; leases with commits under way are left to the reaper. */
  stop(): Promise<void>;
};

const TICK_MS = 1_000;
const IDLE_TICKS = 3;

export function startUpkeep(
  { store, table, timers, log, drop }: RefillDeps,
  { leaseTtlMs }: { leaseTtlMs: number },
): Upkeep {
  const renewTicks = Math.max(1, Math.floor(leaseTtlMs / 4 / TICK_MS));
  let ticks = 0;

  /** Gives back what is available; a lease with nothing under way ends with it. */
  const release = async (leases: Lease[]) => {
    for (let i = 0; i < leases.length; i += LEASE_BATCH_MAX) {
      const some = leases
        .slice(i, i + LEASE_BATCH_MAX)
        .filter((l) => table.isCurrent(l) && l.held && !l.refilling);
      const releases = some.map((lease) => {
        const ends = lease.inFlight === 0 && lease.waiting.length === 0;
        const { customerId, epoch, available: amount } = lease;
        // From here on nothing can be spent from what is being returned.
        lease.available = 0;
        if (ends) table.forget(lease);
        return { customerId, epoch, amount, ends };
      });
      if (releases.length === 0) continue;
      try {
        await store.release(releases);
      } catch (err) {
        log.warn({ err }, "release failed; the reaper will take these leases back");
        for (const [at, lease] of some.entries()) {
          if (table.isCurrent(lease)) drop(lease);
          else if (releases[at]?.ends) table.leave(lease);
        }
      }
    }
  };

  const tick = async () => {
    ticks++;
    const idle: Lease[] = [];
    for (const lease of table.leases.values()) {
      lease.rate = lease.rate === 0 ? lease.spentThisTick : (lease.rate + lease.spentThisTick) / 2;
      if (lease.rate < 1) lease.rate = 0;
      lease.spentThisTick = 0;
      lease.idleTicks++;
      const quiet = lease.inFlight === 0 && lease.waiting.length === 0 && !lease.refilling;
      if (!quiet || lease.idleTicks < IDLE_TICKS) continue;
      if (lease.held) idle.push(lease);
      else table.forget(lease);
    }
    await release(idle);
    if (ticks % renewTicks === 0) await renew();
    while ((await store.reap()) === LEASE_BATCH_MAX);
  };

  const renew = async () => {
    const goodUntilMs = timers.monotonicMs() + leaseTtlMs;
    const held = [...table.leases.values()].filter((lease) => lease.held);
    await store.renew(table.dropped());
    for (const lease of held) lease.goodUntilMs = Math.max(lease.goodUntilMs, goodUntilMs);
    table.renewed();
  };

  const giveBack = async () => {
    if (table.leases.size === 0) return;
    const wanted = await store.recalled();
    await release(
      wanted.flatMap(({ customerId, epoch }) => {
        const lease = table.leases.get(customerId);
        // With commits under way and nothing left, there is something to return only if one of them fails.
        const holds = lease?.epoch === epoch && (lease.available > 0 || lease.inFlight === 0);
        return holds ? [lease] : [];
      }),
    );
  };

  const jobs = [
    every(timers, TICK_MS, tick, (err) => log.warn({ err }, "lease upkeep failed; it is tried again")),
    every(timers, RECALL_POLL_MS, giveBack, (err) =>
      log.warn({ err }, "recalled leases could not be looked up; it is tried again"),
    ),
  ];
  return {
    async stop() {
      await Promise.all(jobs.map((stop) => stop()));
      await release([...table.leases.values()].filter((l) => l.inFlight === 0));
    },
  };
}

/**
 * Runs `job` at each interval, never twice at once; the function it returns ends that, when the last is done.
 */
function every(
  timers: Timers,
  ms: number,
  job: () => Promise<void>,
  failed: (error: unknown) => void,
): () => Promise<void> {
  let running: Promise<void> | null = null;
  const cancel = timers.every(ms, () => {
    if (running !== null) return;
    running = job()
      .catch(failed)
      .finally(() => {
        running = null;
      });
  });
  return async () => {
    cancel();
    await running;
  };
}
