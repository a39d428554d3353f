// The leases this process holds, in memory, and the machine of one lease. Owner of every change: outside it a
// lease is readonly, and each verb asserts the invariant.
//
//   take: available −, inFlight + ──► committed: inFlight −, spent +
//     ▲                           ├─► giveBack:  inFlight −, available +   (not stored, for certain)
//   granted: available +          └─► lost:      inFlight −                (outcome unknown; lease dropped)
//
// A lease leaves the table in two ways: `end`, when nothing is under way and it is given up; `drop`, when it
// can't be trusted any more, and a new one under a new epoch takes its place. Either way it is `leaving`
// until its row is known to be gone, and its row may go once nothing of it is under way here.
// Invariant: 0 ≤ available, 0 ≤ inFlight, available + inFlight ≤ granted − spent; only the customer's present
// lease has anything available. Bound: LEASES_MAX in the table; as many again leaving.

import assert from "node:assert/strict";
import type { IsGone } from "../core/caller.ts";
import type { LeaseKey } from "../ledger/lease-rows.ts";

export type Waiter = {
  readonly cost: number;
  /** Monotonic: until then the credit may come back from elsewhere. */
  readonly untilMs: number;
  readonly isGone: IsGone;
  readonly resolve: (reservation: Reservation) => void;
  readonly reject: (error: Error) => void;
};
/** Amounts in minor units, times monotonic. */
export type Lease = LeaseKey & {
  /** taken from the wallet, less what was given back, as far as this process was told */
  readonly granted: number;
  /** of that, what went into messages that are known to be stored */
  readonly spent: number;
  /** can be spent at once */
  readonly available: number;
  /** taken for messages that are not committed yet */
  readonly inFlight: number;
  /** in the wallet and in other leases, as of the last grant */
  readonly elsewhere: number;
  /** The database has a row of it. */
  readonly held: boolean;
  /** The outcome of a grant is unknown: there may be a row, with more than `granted`. */
  readonly doubtful: boolean;
  /** The customer's credit is only taken exactly (mode `strict`). */
  readonly strict: boolean;
  readonly refilling: boolean;
  readonly waiting: readonly Waiter[];
  /** The last cost: what one message of this customer usually takes. */
  readonly unit: number;
  /** taken since the last grant, and when that was */
  readonly taken: number;
  readonly grantedAtMs: number;
  readonly takenAtMs: number;
  /** With less than this available it is refilled ahead of need. */
  readonly low: number;
};
/**
 * A message's cost, taken from a lease. `balanceAfter`: what is left to the customer, as this process knows.
 */
export type Reservation = { readonly lease: Lease; readonly cost: number; readonly balanceAfter: number };

/** What a grant brought; `own`: what the row held before it, commits under way included. */
export type Granted = {
  granted: number;
  own: number;
  elsewhere: number;
  strict: boolean;
};

export type LeaseTable = {
  readonly leases: ReadonlyMap<number, Lease>;
  /** Leases whose rows have to go. */
  readonly leaving: ReadonlySet<Lease>;
  /** minor units available in all leases, and how many wait */
  totals(): { available: number; waiting: number };
  /** The customer's lease; an empty one when there is none. */
  of(customerId: number): Lease;
  /** Whether this is still its customer's lease. */
  isCurrent(lease: Lease): boolean;

  take(lease: Lease, cost: number, nowMs: number): Reservation;
  committed(reservation: Reservation): void;
  giveBack(reservation: Reservation): void;
  lost(reservation: Reservation): void;

  wait(lease: Lease, waiter: Waiter): void;
  /** Takes everyone who waits out of the lease. */
  takeWaiting(lease: Lease): Waiter[];
  refillBegins(lease: Lease): void;
  refillEnds(lease: Lease): void;
  granted(lease: Lease, grant: Granted, nowMs: number): void;
  /** Those who waited are served: what is left lasts until it is low. */
  served(lease: Lease): void;
  /** A grant's outcome is unknown. */
  doubt(lease: Lease): void;

  /** Takes out what is available, to be given back while commits go on. */
  empty(lease: Lease): number;
  /** Gives up a lease of which nothing is under way. */
  end(lease: Lease): void;
  /** Replaces a lease that can't be trusted by an empty one, which inherits who waits; returns that one. */
  drop(lease: Lease): Lease;
  /** Leaving leases, at most so many, whose rows may go now: nothing of them is under way here. */
  toEnd(max: number): Lease[];
  /** Their rows are gone, for certain. */
  ended(leases: readonly Lease[]): void;
};

type Own = { -readonly [K in keyof Lease]: Lease[K] };
// Only lease-table.ts changes a lease.
const own = (lease: Lease): Own => lease as Own;

const NOBODY: readonly Waiter[] = [];

export function createLeaseTable(): LeaseTable {
  const leases = new Map<number, Lease>();
  const leaving = new Set<Lease>();
  let available = 0;
  let waiting = 0;
  let epochs = 0;

  const start = (customerId: number): Lease => {
    const lease = emptyLease(customerId, ++epochs);
    leases.set(customerId, lease);
    return lease;
  };
  const add = (lease: Lease, amount: number) => {
    own(lease).available += amount;
    available += amount;
  };
  const isCurrent = (lease: Lease) => leases.get(lease.customerId) === lease;
  /** Out of the table; a row that is there, or may be there by and by, has to go. */
  const leave = (lease: Lease) => {
    add(lease, -lease.available);
    if (lease.held || lease.doubtful || lease.refilling) leaving.add(lease);
  };
  const settle = (lease: Lease, cost: number) => {
    own(lease).inFlight -= cost;
  };

  return {
    leases,
    leaving,
    totals: () => ({ available, waiting }),
    of: (customerId) => leases.get(customerId) ?? start(customerId),
    isCurrent,
    take(lease, cost, nowMs) {
      add(lease, -cost);
      const it = own(lease);
      it.inFlight += cost;
      it.taken += cost;
      it.takenAtMs = nowMs;
      it.unit = cost;
      check(lease);
      return { lease, cost, balanceAfter: lease.available + lease.elsewhere };
    },
    committed({ lease, cost }) {
      settle(lease, cost);
      own(lease).spent += cost;
      check(lease);
    },
    giveBack({ lease, cost }) {
      settle(lease, cost);
      if (isCurrent(lease)) add(lease, cost);
      check(lease);
    },
    lost({ lease, cost }) {
      assert(!isCurrent(lease), "a lease whose commit's outcome is unknown is dropped first");
      settle(lease, cost);
      check(lease);
    },
    wait(lease, waiter) {
      const it = own(lease);
      if (it.unit === 0) it.unit = waiter.cost;
      if (it.waiting === NOBODY) it.waiting = [waiter];
      else (it.waiting as Waiter[]).push(waiter);
      waiting++;
    },
    takeWaiting(lease) {
      const all = lease.waiting;
      waiting -= all.length;
      own(lease).waiting = NOBODY;
      return [...all];
    },
    refillBegins(lease) {
      own(lease).refilling = true;
    },
    refillEnds(lease) {
      own(lease).refilling = false;
    },
    granted(lease, { granted, own: before, elsewhere, strict }, nowMs) {
      const it = own(lease);
      // The row of a lease that holds nothing yet: a grant whose answer was lost made it.
      const more = granted + (lease.held ? 0 : before);
      it.granted += more;
      add(lease, more);
      it.held ||= more > 0;
      it.doubtful = false;
      it.elsewhere = elsewhere;
      it.strict = strict;
      it.taken = 0;
      it.grantedAtMs = nowMs;
      check(lease);
    },
    served(lease) {
      own(lease).low = lease.available / LOW_SHARE;
    },
    doubt(lease) {
      own(lease).doubtful = true;
    },
    empty(lease) {
      const amount = lease.available;
      add(lease, -amount);
      own(lease).granted -= amount;
      check(lease);
      return amount;
    },
    end(lease) {
      assert(isCurrent(lease) && isQuiet(lease), "a lease ends when nothing of it is under way");
      leases.delete(lease.customerId);
      leave(lease);
    },
    drop(lease) {
      assert(isCurrent(lease), "only the present lease is dropped");
      const next = own(start(lease.customerId));
      next.waiting = lease.waiting;
      next.unit = lease.unit;
      own(lease).waiting = NOBODY;
      leave(lease);
      check(lease);
      return next;
    },
    toEnd(max) {
      const some: Lease[] = [];
      for (const lease of leaving) {
        if (some.length >= max) break;
        if (lease.inFlight === 0 && !lease.refilling) some.push(lease);
      }
      return some;
    },
    ended(gone) {
      for (const lease of gone) leaving.delete(lease);
    },
  };
}

/** A lease is low at this part of what its last grant left in it. */
const LOW_SHARE = 4;

/** Nothing of it is under way, and nobody waits for it. */
export const isQuiet = (lease: Lease): boolean =>
  lease.inFlight === 0 && lease.waiting.length === 0 && !lease.refilling;

function check({ available, inFlight, granted, spent }: Lease): void {
  assert(
    available >= 0 && inFlight >= 0 && available + inFlight <= granted - spent,
    "a lease holds no more than it was granted",
  );
}

const emptyLease = (customerId: number, epoch: number): Lease => ({
  customerId,
  epoch,
  granted: 0,
  spent: 0,
  available: 0,
  inFlight: 0,
  elsewhere: 0,
  held: false,
  doubtful: false,
  strict: false,
  refilling: false,
  waiting: NOBODY,
  unit: 0,
  taken: 0,
  grantedAtMs: 0,
  takenAtMs: 0,
  low: 0,
});
