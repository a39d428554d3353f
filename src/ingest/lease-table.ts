// The leases this process holds, in memory, and the machine of one lease:
//
//   reserve ── enough available ──► available −, inFlight +  ── committed ──► inFlight −
//     └─────── not enough ──► waits ── refill ──► served in order, or refused: 402, or 503 while the credit
//                                                 can't be had back in time
//
// A lease that can't be trusted any more (a commit's outcome unknown, fenced by the database, not renewed in
// time) is dropped: a new one under a new epoch takes its place, and the reaper settles the old one from what
// was committed. Invariant: available + inFlight ≤ granted − spent of its row.

import type { IsGone } from "../core/caller.ts";
import type { LeaseKey } from "../ledger/lease.ts";

export type Waiter = {
  cost: number;
  /** Monotonic: until then the credit may come back from elsewhere. */
  untilMs: number;
  isGone: IsGone;
  resolve: (reservation: Reservation) => void;
  reject: (error: Error) => void;
};
export type Lease = {
  readonly customerId: number;
  readonly epoch: number;
  /** minor units that can be spent at once */
  available: number;
  /** spent here, not committed yet */
  inFlight: number;
  /** in the wallet and in other leases, as of the last refill */
  elsewhere: number;
  /** a row of this lease exists in the database */
  held: boolean;
  /** Monotonic: later the row may be reaped, so nothing is spent from it any more. */
  goodUntilMs: number;
  /** The customer's credit is only taken exactly (mode `strict`). */
  strict: boolean;
  waiting: Waiter[];
  refilling: boolean;
  /** The last cost: what one message of this customer usually takes. */
  unit: number;
  spentThisTick: number;
  rate: number;
  idleTicks: number;
};
/**
 * A message's cost, taken from a lease. `balanceAfter`: what is left to the customer, as this process knows.
 */
export type Reservation = { lease: Lease; cost: number; balanceAfter: number };

export type LeaseTable = {
  readonly leases: ReadonlyMap<number, Lease>;
  /** The customer's lease; an empty one when there is none. */
  of(customerId: number): Lease;
  /** Whether this is still its customer's lease. */
  isCurrent(lease: Lease): boolean;
  take(lease: Lease, cost: number): void;
  /** Forgets an empty lease, or one that is being returned. */
  forget(lease: Lease): void;
  /** Replaces it by an empty one, which inherits who waits; returns that one. */
  drop(lease: Lease): Lease;
  /** Dropped leases whose rows are left to the reaper. */
  dropped(): LeaseKey[];
  /** Leaves a row to the reaper. */
  leave(key: LeaseKey): void;
  /** To be called at each renewal: a dropped lease is remembered until it must have been reaped. */
  renewed(): void;
};

/** Renewals after which a dropped lease is reaped for certain: the fourth comes one TTL after the first. */
const DROPPED_RENEWALS_MAX = 16;

export function createLeaseTable(): LeaseTable {
  const leases = new Map<number, Lease>();
  let dropped: (LeaseKey & { renewals: number })[] = [];
  let epochs = 0;

  const start = (customerId: number): Lease => {
    const lease = emptyLease(customerId, ++epochs);
    leases.set(customerId, lease);
    return lease;
  };
  const leave = ({ customerId, epoch }: LeaseKey) => dropped.push({ customerId, epoch, renewals: 0 });
  return {
    leases,
    of: (customerId) => leases.get(customerId) ?? start(customerId),
    isCurrent: (lease) => leases.get(lease.customerId) === lease,
    take(lease, cost) {
      lease.available -= cost;
      lease.inFlight += cost;
      lease.spentThisTick += cost;
      lease.unit = cost;
      lease.idleTicks = 0;
    },
    forget(lease) {
      if (leases.get(lease.customerId) === lease) leases.delete(lease.customerId);
    },
    drop(lease) {
      const next = start(lease.customerId);
      next.waiting = lease.waiting;
      next.rate = lease.rate;
      next.unit = lease.unit;
      lease.waiting = [];
      lease.available = 0;
      leave(lease);
      return next;
    },
    dropped: () => dropped,
    leave,
    renewed() {
      for (const lease of dropped) lease.renewals++;
      dropped = dropped.filter((lease) => lease.renewals < DROPPED_RENEWALS_MAX);
    },
  };
}

const emptyLease = (customerId: number, epoch: number): Lease => ({
  customerId,
  epoch,
  available: 0,
  inFlight: 0,
  elsewhere: 0,
  held: false,
  goodUntilMs: Number.POSITIVE_INFINITY,
  strict: false,
  waiting: [],
  refilling: false,
  unit: 0,
  spentThisTick: 0,
  rate: 0,
  idleTicks: 0,
});
