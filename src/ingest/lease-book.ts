// Credit for the hot path: reserves a message's cost from its customer's lease, at once if it holds enough.
// Owns the rules of spending. The state machine of a lease is in lease-table.ts, how long a lease may be
// spent from in heartbeat.ts, refills in lease-refill.ts, and periodic maintenance in lease-upkeep.ts.
// Invariant: each reservation ends in exactly one of `committed`, `giveBack` and `lost`.

import { type IsGone, neverGone } from "../core/caller.ts";
import { SluiceError } from "../core/errors.ts";
import { LEASES_MAX, RECALL_WAIT_MAX_MS } from "../core/limits.ts";
import type { LeaseStore } from "../ledger/lease.ts";
import type { Log } from "../platform/log.ts";
import type { Timers } from "../platform/timers.ts";
import { createHeartbeat } from "./heartbeat.ts";
import { createRefill } from "./lease-refill.ts";
import {
  createLeaseTable,
  type Lease,
  type Paid,
  type Reservation,
  type Rider,
  type Waiter,
} from "./lease-table.ts";
import { startUpkeep } from "./lease-upkeep.ts";

export type LeaseBook = {
  /**
   * Takes `cost` (minor units) from the customer's lease: at once, or after a refill. `unit`: what one
   * message of it costs, at most; `cost` unless it is for several. @throws SluiceError insufficient_balance
   * (402) or a 503; CallerGoneError, when the caller left while it waited
   */
  reserve(
    customerId: number,
    cost: number,
    isGone?: IsGone,
    unit?: number,
  ): Reservation | Promise<Reservation>;
  /** The same for one message, which may be stored by the transaction that grants its credit. */
  reserveOrStore(customerId: number, cost: number, isGone: IsGone, rider: Rider): Reservation | Promise<Paid>;
  committed(reservation: Reservation): void;
  /** The message was certainly not stored: its credit returns to the lease. */
  giveBack(reservation: Reservation): void;
  /** The outcome is unknown, or the lease was taken back: the lease is dropped. */
  lost(reservation: Reservation): void;
  stats(): { leases: number; available: number; waiting: number };
  /**
   * Call it when nothing is reserved any more: returns the leases, keeping only what was really spent.
   * Resolves by `untilMs` on the monotonic clock; what is left then is reaped by other processes.
   */
  stop(untilMs: number): Promise<void>;
};

export function createLeaseBook(
  { store, timers, log }: { store: LeaseStore; timers: Timers; log: Log },
  options: { leaseTtlMs: number; leasesMax?: number },
): LeaseBook {
  const { leasesMax = LEASES_MAX } = options;
  const table = createLeaseTable();
  let stopped = false;

  const drop = (lease: Lease) => {
    if (!table.isCurrent(lease)) return;
    const next = table.drop(lease);
    if (next.waiting.length > 0) refill.now(next);
  };
  const onExpired = () => {
    let dropped = 0;
    for (const lease of table.leases.values()) {
      // An empty lease that never asked for credit has nothing that could have been taken back.
      if (!lease.held && !lease.doubtful && !lease.refilling) continue;
      drop(lease);
      dropped++;
    }
    if (dropped > 0)
      log.warn({ leases: dropped }, "this process's node expired; dropping its leases and registering again");
  };
  const heartbeat = createHeartbeat({ store, timers, onExpired }, options);
  const refill = createRefill({ store, table, heartbeat, timers, log, drop });
  const upkeep = startUpkeep({ store, table, heartbeat, timers, log, drop });

  const pay = (
    customerId: number,
    { cost, unit, isGone, rider }: Pick<Waiter, "cost" | "unit" | "isGone" | "rider">,
  ): Reservation | Promise<Paid> => {
    if (stopped) throw new SluiceError("unavailable", { detail: "The process is stopping." });
    if (table.leases.size >= leasesMax && !table.leases.has(customerId) && !upkeep.makeRoom())
      throw new SluiceError("overloaded");
    const lease = table.of(customerId);
    const mayTake = lease.available >= cost && lease.waiting.length === 0 && !lease.strict;
    if (mayTake && heartbeat.isAlive()) {
      const reservation = table.take(lease, cost, timers.monotonicMs(), unit);
      if (lease.available < lease.low && !lease.refilling) refill.ahead(lease);
      return reservation;
    }
    const untilMs = timers.monotonicMs() + RECALL_WAIT_MAX_MS;
    return new Promise((resolve, reject) => {
      table.wait(lease, { cost, unit, untilMs, isGone, rider, resolve, reject });
      refill.now(lease);
    });
  };

  return {
    // Nothing is stored for those that don't ride.
    reserve: (customerId, cost, isGone = neverGone, unit = cost) =>
      pay(customerId, { cost, unit, isGone, rider: null }) as Reservation | Promise<Reservation>,
    reserveOrStore: (customerId, cost, isGone, rider) => pay(customerId, { cost, unit: cost, isGone, rider }),
    committed: table.committed,
    giveBack: table.giveBack,
    lost(reservation) {
      drop(reservation.lease);
      table.lost(reservation);
    },
    stats: () => ({ leases: table.leases.size, ...table.totals() }),
    async stop(untilMs) {
      stopped = true;
      await upkeep.stop(untilMs);
    },
  };
}
