// The leases this process holds, in memory, and the state machine of one lease. Every change is made here:
// outside this file a lease is readonly, and each method asserts the invariant.
//
//   take: available −, inFlight + ──► committed: inFlight −, spent +
//     ▲                           ├─► giveBack:  inFlight −, available +   (not stored, for certain)
//   granted: available +          └─► lost:      inFlight −                (outcome unknown; lease dropped)
//
// A lease leaves the table in one of two ways: `end`, when it is given up with nothing under way; `drop`,
// when its state is uncertain, and a new lease under a new epoch takes its place. Either way it is `leaving`
// until its row is known to be deleted, and the row may be deleted once nothing of the lease is under way
// here.
// Invariant: 0 ≤ available, 0 ≤ inFlight, available + inFlight ≤ granted − spent; only the customer's current
// lease has anything available. Bound: LEASES_MAX in the table; as many again leaving.

import assert from "node:assert/strict";
import type { IsGone } from "../core/caller.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { KeyClaim } from "../ledger/idempotency.ts";
import type { LeaseKey } from "../ledger/lease-rows.ts";
import type { NewOtp } from "../ledger/otps.ts";

/** What is stored with a message that rides with its grant (lease-riders.ts). */
export type Rider = {
  readonly record: LaneRecord;
  /** Its key, if it has one, with the answer that names this balance. */
  keyOf(balanceAfter: number | null): KeyClaim | null;
  readonly otp: NewOtp | undefined;
};
export type Waiter = {
  readonly cost: number;
  /** What one message of it costs, at most. */
  readonly unit: number;
  /** On the monotonic clock: until then, credit may still come back from other leases. */
  readonly untilMs: number;
  readonly isGone: IsGone;
  /** Null: it can't be stored together with its grant. */
  readonly rider: Rider | null;
  readonly resolve: (paid: Paid) => void;
  readonly reject: (error: Error) => void;
};
/** Amounts in minor units, times on the monotonic clock. */
export type Lease = LeaseKey & {
  /** taken from the wallet, less what was returned, as far as this process was told */
  readonly granted: number;
  /** of `granted`: what went into messages that are known to be stored */
  readonly spent: number;
  /** can be spent at once */
  readonly available: number;
  /** reserved for messages that are not committed yet */
  readonly inFlight: number;
  /** in the wallet and in other leases, as of the last grant */
  readonly elsewhere: number;
  /** The database is known to have a row for it. */
  readonly held: boolean;
  /** The outcome of a grant is unknown: there may be a row, granted more than `granted` says. */
  readonly doubtful: boolean;
  /** The customer's mode is `strict`: only the exact costs that wait are granted. */
  readonly strict: boolean;
  readonly refilling: boolean;
  readonly waiting: readonly Waiter[];
  /** What the last message cost, as an estimate of what one of this customer usually costs. */
  readonly unit: number;
  /** taken since the last grant, and when that grant was */
  readonly taken: number;
  readonly grantedAtMs: number;
  readonly takenAtMs: number;
  /** Once less than this is available, the lease is refilled ahead of need. */
  readonly low: number;
};
/**
 * The cost of a message, or of all messages of a batch, taken from a lease. `balanceAfter` is the customer's
 * remaining credit, as far as this process knows.
 */
export type Reservation = { readonly lease: Lease; readonly cost: number; readonly balanceAfter: number };

/** A message that was stored and paid for together with its grant. */
export type StoredAlready = { readonly isStored: true; readonly balanceAfter: number };
export type Paid = Reservation | StoredAlready;

/** The result of a grant; `own` is what the row held before it, commits under way included. */
export type Granted = {
  granted: number;
  own: number;
  elsewhere: number;
  strict: boolean;
};

export type LeaseTable = {
  readonly leases: ReadonlyMap<number, Lease>;
  /** Leases that left the table and whose rows must be deleted. */
  readonly leaving: ReadonlySet<Lease>;
  /** Minor units available in all leases, and the number of messages that wait. */
  totals(): { available: number; waiting: number };
  /** The customer's lease; creates an empty one if there is none. */
  of(customerId: number): Lease;
  /** Whether this is still its customer's lease, not dropped or ended. */
  isCurrent(lease: Lease): boolean;

  /** `unit`: what one message of it costs, at most; `cost` unless they are several. */
  take(lease: Lease, cost: number, nowMs: number, unit?: number): Reservation;
  committed(reservation: Reservation): void;
  giveBack(reservation: Reservation): void;
  lost(reservation: Reservation): void;

  wait(lease: Lease, waiter: Waiter): void;
  /** Removes and returns everyone who waits for this lease. */
  takeWaiting(lease: Lease): Waiter[];
  refillBegins(lease: Lease): void;
  refillEnds(lease: Lease): void;
  granted(lease: Lease, grant: Granted, nowMs: number): void;
  /** Call after those who waited were served: sets how far the rest may fall before it counts as low. */
  served(lease: Lease): void;
  /** Records that a grant's outcome is unknown. */
  doubt(lease: Lease): void;

  /** Removes and returns what is available, so that it can be given back while commits go on. */
  empty(lease: Lease): number;
  /** Gives up a lease that has nothing under way. */
  end(lease: Lease): void;
  /** Replaces a lease of uncertain state by an empty one, which inherits its waiters; returns the new one. */
  drop(lease: Lease): Lease;
  /** Up to `max` leaving leases whose rows may be deleted now, because nothing of them is under way here. */
  toEnd(max: number): Lease[];
  /** Their rows are known to be deleted. */
  ended(leases: readonly Lease[]): void;
};

type Own = { -readonly [K in keyof Lease]: Lease[K] };
// The only way to write to a lease, and only this file uses it.
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
  /** Takes it out of the table. If it has a row, or may still get one, that row must be deleted. */
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
    take(lease, cost, nowMs, unit = cost) {
      add(lease, -cost);
      const it = own(lease);
      it.inFlight += cost;
      it.taken += cost;
      it.takenAtMs = nowMs;
      it.unit = unit;
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
      if (it.unit === 0) it.unit = waiter.unit;
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
      // A row that an earlier grant made, whose answer was lost: what it held becomes known only now.
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

/** A lease is low once less than one part in LOW_SHARE is left of what the last grant left in it. */
const LOW_SHARE = 4;

/** Its customer has no credit in this process, and certainly no row. */
export const isCold = (lease: Lease): boolean => !lease.held && !lease.doubtful;

/** Nothing of it is under way, and no message waits for it. */
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
