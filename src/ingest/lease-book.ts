// Credit for the hot path: reserves a message's cost from its customer's lease, at once when there is enough.
// Owns the rules of spending; the machine of a lease is in lease-table.ts, refilling in lease-refill.ts, and
// what leases need with time in lease-upkeep.ts.
// Invariant: each reservation ends in exactly one of `committed`, `giveBack` or `drop` of its lease.

import { type IsGone, neverGone } from "../core/caller.ts";
import { SluiceError } from "../core/errors.ts";
import { RECALL_WAIT_MAX_MS } from "../core/limits.ts";
import type { LeaseStore } from "../ledger/lease.ts";
import type { Log } from "../platform/log.ts";
import type { Timers } from "../platform/timers.ts";
import { createRefill, targetOf } from "./lease-refill.ts";
import { createLeaseTable, type Lease, type Reservation } from "./lease-table.ts";
import { startUpkeep } from "./lease-upkeep.ts";

export type LeaseBook = {
  /**
   * Takes `cost` from the customer's lease: at once, or when a refill brought it. @throws SluiceError 402 or
   * 503; CallerGoneError, when its caller left while it waited
   */
  reserve(customerId: number, cost: number, isGone?: IsGone): Reservation | Promise<Reservation>;
  committed(reservation: Reservation): void;
  /** The message was not stored, for certain. */
  giveBack(reservation: Reservation): void;
  /** The lease can't be trusted any more. */
  drop(lease: Lease): void;
  stats(): { leases: number; available: number; waiting: number };
  /** Returns what is unspent; leases with commits under way are left to the reaper. */
  stop(): Promise<void>;
};

export function createLeaseBook(
  { store, timers, log }: { store: LeaseStore; timers: Timers; log: Log },
  options: { leaseTtlMs: number },
): LeaseBook {
  const table = createLeaseTable();
  let stopped = false;

  const drop = (lease: Lease) => {
    if (!table.isCurrent(lease)) return;
    refill.cancel(lease);
    const next = table.drop(lease);
    if (next.waiting.length > 0) refill.now(next);
  };
  const refill = createRefill({ store, table, timers, log, drop }, options);
  const upkeep = startUpkeep({ store, table, timers, log, drop }, options);

  /** The customer's lease, unless it wasn't renewed in time (the process was paused, or MySQL was away). */
  const leaseOf = (customerId: number): Lease => {
    const lease = table.of(customerId);
    if (timers.monotonicMs() < lease.goodUntilMs) return lease;
    drop(lease);
    return table.of(customerId);
  };

  return {
    reserve(customerId, cost, isGone = neverGone) {
      if (stopped) throw new SluiceError("unavailable", { detail: "The process is stopping." });
      const lease = leaseOf(customerId);
      if (lease.waiting.length === 0 && lease.available >= cost && !lease.strict) {
        table.take(lease, cost);
        if (lease.available < targetOf(lease) / 2 && !lease.refilling && lease.rate > 0) refill.ahead(lease);
        return { lease, cost, balanceAfter: lease.available + lease.elsewhere };
      }
      const untilMs = timers.monotonicMs() + RECALL_WAIT_MAX_MS;
      return new Promise((resolve, reject) => {
        lease.waiting.push({ cost, untilMs, isGone, resolve, reject });
        refill.now(lease);
      });
    },
    committed({ lease, cost }) {
      lease.inFlight -= cost;
    },
    giveBack({ lease, cost }) {
      lease.inFlight -= cost;
      if (table.isCurrent(lease)) lease.available += cost;
    },
    drop,
    stats() {
      let available = 0;
      let waiting = 0;
      for (const lease of table.leases.values()) {
        available += lease.available;
        waiting += lease.waiting.length;
      }
      return { leases: table.leases.size, available, waiting };
    },
    async stop() {
      stopped = true;
      await upkeep.stop();
    },
  };
}
