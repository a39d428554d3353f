// Refilling leases from the wallets: those that somebody waits for at once and under lock, those that run low
// ahead of need and only where the wallet is free. All that need credit at the same moment share one
// transaction.
// Invariant: a waiter is refused with 402 only when wallet and all leases together, read under the wallet's
// lock, hold less than its cost; credit that is elsewhere is asked for, and waited for RECALL_WAIT_MAX_MS.
// Bound: LEASE_BATCH_MAX leases a transaction; what waits is bounded by the commit queue.

import { CallerGoneError } from "../core/caller.ts";
import { insufficientBalance, SluiceError } from "../core/errors.ts";
import { RECALL_STEP_MS } from "../core/limits.ts";
import type { Grant, Want } from "../ledger/grant.ts";
import { LEASE_BATCH_MAX, type LeaseStore } from "../ledger/lease.ts";
import type { Log } from "../platform/log.ts";
import { isConnectionLost } from "../platform/mysql-errors.ts";
import type { Timers } from "../platform/timers.ts";
import type { Lease, LeaseTable } from "./lease-table.ts";

export type Refill = {
  /** Somebody waits for it. */
  now(lease: Lease): void;
  ahead(lease: Lease): void;
  /** No refill of a dropped lease. */
  cancel(lease: Lease): void;
};
export type RefillDeps = {
  store: LeaseStore;
  table: LeaseTable;
  timers: Timers;
  log: Log;
  /** Called in place of LeaseTable.drop, so that who waits is served by the new lease. */
  drop: (lease: Lease) => void;
};

/** Credit for so much time ahead, at the present rate: few refills at speed, little held when slow. */
const AHEAD_S = 4;
const REFILL_RETRIES_MAX = 3;

/** minor units a lease would like to hold */
export const targetOf = (lease: Lease): number => AHEAD_S * Math.max(lease.rate, lease.spentThisTick);

export function createRefill(deps: RefillDeps, { leaseTtlMs }: { leaseTtlMs: number }): Refill {
  const { store, table, timers, log, drop } = deps;
  const urgent = new Set<Lease>();
  const ahead = new Set<Lease>();

  const refill = async (wanting: Lease[], skipLocked: boolean) => {
    for (const lease of wanting) {
      lease.refilling = true;
      dismissGone(lease);
    }
    const startedMs = timers.monotonicMs();
    const asked = new Map(wanting.map((lease) => [lease, lease.waiting.length]));
    try {
      const grants = await store.grant(wanting.map(wantOf), { skipLocked });
      const byCustomer = new Map(grants.map((g) => [g.customerId, g]));
      for (const lease of wanting) {
        lease.refilling = false;
        const grant = byCustomer.get(lease.customerId);
        if (grant === undefined || !table.isCurrent(lease)) continue;
        if (grant.granted > 0) {
          lease.held = true;
          lease.goodUntilMs = startedMs + leaseTtlMs;
        }
        settle(lease, grant, asked.get(lease) as number);
      }
    } finally {
      for (const lease of wanting) lease.refilling = false;
    }
  };

  // Who came while the grant was under way can be served by it, but not refused: the wallet may have been
  // read before their request was made, even before the top-up that pays for it.
  const settle = (lease: Lease, grant: Grant, asked: number) => {
    if (grant.fenced) {
      log.warn({ customer_id: lease.customerId }, "lease was taken back; starting a new one");
      return drop(lease);
    }
    lease.available += grant.granted;
    lease.strict = grant.mode === "strict";
    // A strict customer's other leases hold nothing but what is being committed.
    lease.elsewhere = grant.balance + (lease.strict ? 0 : grant.elsewhere);
    const nowMs = timers.monotonicMs();
    const waiting = lease.waiting;
    lease.waiting = [];
    let soon = false;
    for (const [at, waiter] of waiting.entries()) {
      const { cost } = waiter;
      if (waiter.isGone()) waiter.reject(new CallerGoneError());
      else if (lease.available >= cost) {
        table.take(lease, cost);
        waiter.resolve({ lease, cost, balanceAfter: lease.available + lease.elsewhere });
      } else if (at >= asked) {
        lease.waiting.push(waiter);
        soon = true;
      } else if (grant.total < cost) waiter.reject(insufficientBalance(cost, grant.total));
      else if (nowMs >= waiter.untilMs) waiter.reject(new SluiceError("credit_elsewhere"));
      else {
        lease.waiting.push(waiter);
        // The wallet itself has enough: others of this grant came first.
        soon ||= grant.balance + lease.available >= cost;
      }
    }
    if (lease.waiting.length === 0) return;
    if (soon) now(lease);
    else timers.after(RECALL_STEP_MS, () => void (lease.waiting.length > 0 && now(lease)));
  };

  const loop = (set: Set<Lease>, skipLocked: boolean) => {
    let running = false;
    const run = async () => {
      let failures = 0;
      while (set.size > 0) {
        const wanting = [...set].filter((l) => !l.refilling).slice(0, LEASE_BATCH_MAX);
        if (wanting.length === 0) {
          await timers.sleep(5); // the other loop refills the same leases, maybe on a line that hangs
          continue;
        }
        for (const lease of wanting) set.delete(lease);
        try {
          await refill(wanting, skipLocked);
          failures = 0;
        } catch (err) {
          failures++;
          log.warn({ err, failures }, "refill failed");
          // The grant may have been committed all the same: its row is for the reaper, a new lease asks
          // again.
          if (isConnectionLost(err)) for (const lease of wanting) if (table.isCurrent(lease)) drop(lease);
          if (skipLocked) continue;
          const still = wanting.flatMap((lease) => table.leases.get(lease.customerId) ?? []);
          refuse(still, failures > REFILL_RETRIES_MAX ? Number.POSITIVE_INFINITY : timers.monotonicMs(), err);
          for (const lease of still)
            if (lease.waiting.length > 0) set.add(lease);
            else set.delete(lease);
          await timers.sleep(50 * failures);
        }
      }
      running = false;
    };
    return () => {
      if (running) return;
      running = true;
      // Requests parsed in this turn of the event loop join the first refill.
      timers.soon(() => void run());
    };
  };
  const runUrgent = loop(urgent, false);
  const runAhead = loop(ahead, true);

  /** Tells those who have waited long enough by `untilMs` that the database can't be reached. */
  const refuse = (wanting: Lease[], untilMs: number, cause: unknown) => {
    for (const lease of wanting) {
      const waiting = lease.waiting;
      lease.waiting = waiting.filter((waiter) => waiter.untilMs > untilMs);
      for (const waiter of waiting)
        if (waiter.untilMs <= untilMs) waiter.reject(new SluiceError("unavailable", { cause }));
    }
  };
  const now = (lease: Lease) => {
    urgent.add(lease);
    runUrgent();
  };
  return {
    now,
    ahead(lease) {
      ahead.add(lease);
      runAhead();
    },
    cancel(lease) {
      urgent.delete(lease);
      ahead.delete(lease);
    },
  };
}

const wantOf = (lease: Lease): Want => ({
  customerId: lease.customerId,
  epoch: lease.epoch,
  held: lease.held,
  costs: waitingCosts(lease),
  target: Math.max(0, targetOf(lease) - lease.available),
  unit: lease.unit,
});

// No credit is asked for, or called back, for those who have left.
function dismissGone(lease: Lease): void {
  const gone = new Set(lease.waiting.filter((waiter) => waiter.isGone()));
  if (gone.size === 0) return;
  lease.waiting = lease.waiting.filter((waiter) => !gone.has(waiter));
  for (const waiter of gone) waiter.reject(new CallerGoneError());
}

// What is available serves the first of them; the grant has to bring the rest.
function waitingCosts(lease: Lease): number[] {
  let left = lease.available;
  const costs: number[] = [];
  for (const { cost } of lease.waiting) {
    if (left >= cost) left -= cost;
    else {
      costs.push(cost - left);
      left = 0;
    }
  }
  return costs;
}
