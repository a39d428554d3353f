// Refills leases from the wallets: those that a message waits for at once and under lock, those that run low
// ahead of need and only where the wallet is not locked. All that need credit at the same moment share one
// transaction.
// Invariant: a waiting message is refused with 402 only when wallet and all leases together, read under the
// wallet's lock, hold less than its cost, or a spend cap has less left. Credit held elsewhere is recalled,
// and waited for up to RECALL_WAIT_MAX_MS.
// Bound: LEASE_BATCH_MAX leases a transaction; waiters are bounded by the commit queue.

import { CallerGoneError } from "../core/caller.ts";
import { SluiceError } from "../core/errors.ts";
import { RECALL_STEP_MS } from "../core/limits.ts";
import { CommitInDoubtError } from "../ledger/accept.ts";
import { elsewhereOf, type Grant, grantable, refusalOf, type Want } from "../ledger/grant.ts";
import { type LeaseStore, NodeExpiredError } from "../ledger/lease.ts";
import { LEASE_BATCH_MAX } from "../ledger/lease-rows.ts";
import type { Log } from "../platform/log.ts";
import { isConnectionLost } from "../platform/mysql-errors.ts";
import type { Timers } from "../platform/timers.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { targetOf } from "./lease-size.ts";
import { createRiders, type Ride } from "./lease-riders.ts";
import type { Lease, LeaseTable, Waiter } from "./lease-table.ts";

export type Refill = {
  /** Refills a lease that a message waits for. */
  now(lease: Lease): void;
  ahead(lease: Lease): void;
};
export type RefillDeps = {
  store: LeaseStore;
  table: LeaseTable;
  heartbeat: Heartbeat;
  timers: Timers;
  log: Log;
  /** Use this instead of LeaseTable.drop: it also refills the new lease for those who wait. */
  drop: (lease: Lease) => void;
};

const REFILL_RETRIES_MAX = 3;
/** Refills ahead of need have seconds to spare (lease-size.ts); together they cost one transaction. */
export const AHEAD_LINGER_MS = 100;

export function createRefill({ store, table, heartbeat, timers, log, drop }: RefillDeps): Refill {
  const urgent = new Set<Lease>();
  const ahead = new Set<Lease>();
  const rideOf = createRiders({ store, table, timers, log, refill: (lease) => now(lease) });

  const refill = async (wanting: Lease[], skipLocked: boolean) => {
    if (wanting.length === 0) return;
    for (const lease of wanting) {
      table.refillBegins(lease);
      dismissGone(lease);
    }
    const asked = new Map(wanting.map((lease) => [lease, lease.waiting.length]));
    try {
      const nowMs = timers.monotonicMs();
      const wants = wanting.map((lease) => wantOf(lease, nowMs));
      const ride = rideOf(wanting);
      const grants = await ride.grant(wants, { skipLocked });
      const byCustomer = new Map(grants.map((g) => [g.customerId, g]));
      for (const lease of wanting) {
        table.refillEnds(lease);
        const grant = byCustomer.get(lease.customerId);
        if (grant !== undefined && table.isCurrent(lease))
          settle(lease, grant, asked.get(lease) as number, ride);
      }
      ride.answer();
    } catch (err) {
      // The outcome of the grant is unknown, unless the server itself reported a failure.
      if (err instanceof CommitInDoubtError || isConnectionLost(err)) wanting.forEach(doubt);
      throw err;
    } finally {
      for (const lease of wanting) table.refillEnds(lease);
    }
  };

  const settle = (lease: Lease, grant: Grant, asked: number, ride: Ride) => {
    if (grant.fenced) {
      log.warn({ customer_id: lease.customerId }, "lease was taken back; starting a new one");
      return drop(lease);
    }
    const { granted, own } = grant;
    const terms = { granted, own, elsewhere: elsewhereOf(grant), strict: grant.mode !== "lease" };
    table.granted(lease, terms, timers.monotonicMs());
    const rode = ride.pay(lease);
    const again = serve(lease, grant, asked - rode);
    table.served(lease);
    if (lease.waiting.length === 0) return;
    if (again === "now") now(lease);
    else timers.after(RECALL_STEP_MS, () => void (lease.waiting.length > 0 && now(lease)));
  };

  // A message that arrived while the grant was under way can be served by it but not refused: the wallet may
  // have been read before that request was made, even before the top-up that pays for it.
  const serve = (lease: Lease, grant: Grant, asked: number): "now" | "later" => {
    const nowMs = timers.monotonicMs();
    const mayTake = heartbeat.isAlive();
    let again: "now" | "later" = "later";
    for (const [at, waiter] of table.takeWaiting(lease).entries()) {
      const { cost } = waiter;
      if (waiter.isGone()) waiter.reject(new CallerGoneError());
      else if (mayTake && lease.available >= cost)
        waiter.resolve(table.take(lease, cost, nowMs, waiter.unit));
      else if (at >= asked || !mayTake) {
        table.wait(lease, waiter);
        again = "now";
      } else {
        const refusal = refusalOf(grant, cost);
        if (refusal !== null) waiter.reject(refusal);
        else if (nowMs >= waiter.untilMs) waiter.reject(new SluiceError("credit_elsewhere"));
        else {
          table.wait(lease, waiter);
          // The wallet itself has enough, but others in this grant came first.
          if (grantable(grant) + lease.available >= cost) again = "now";
        }
      }
    }
    return again;
  };

  // No credit is requested or recalled for callers who have left.
  const dismissGone = (lease: Lease) => {
    if (!lease.waiting.some((waiter) => waiter.isGone())) return;
    for (const waiter of table.takeWaiting(lease))
      if (waiter.isGone()) waiter.reject(new CallerGoneError());
      else table.wait(lease, waiter);
  };

  // What an empty lease was given is found by its next grant; a lease already in use is replaced by a new
  // one.
  const doubt = (lease: Lease) => {
    if (!table.isCurrent(lease)) return;
    if (lease.held) drop(lease);
    else table.doubt(lease);
  };

  const loop = (set: Set<Lease>, { skipLocked, lingerMs }: { skipLocked: boolean; lingerMs: number }) => {
    let running = false;
    const run = async () => {
      let failures = 0;
      while (set.size > 0) {
        if (lingerMs > 0) await timers.sleep(lingerMs);
        const wanting = [...set].filter((l) => !l.refilling).slice(0, LEASE_BATCH_MAX);
        if (wanting.length === 0) {
          await timers.sleep(5); // the other loop refills the same leases, maybe over a connection that hangs
          continue;
        }
        for (const lease of wanting) set.delete(lease);
        try {
          if (!heartbeat.isAlive()) await heartbeat.renew();
          await refill(
            wanting.filter((lease) => table.isCurrent(lease)),
            skipLocked,
          );
          failures = 0;
        } catch (err) {
          failures++;
          log.warn({ err, failures }, "refill failed");
          if (err instanceof NodeExpiredError) await heartbeat.renew().catch(() => undefined);
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
  const runUrgent = loop(urgent, { skipLocked: false, lingerMs: 0 });
  const runAhead = loop(ahead, { skipLocked: true, lingerMs: AHEAD_LINGER_MS });

  /** Refuses those whose wait ends by `untilMs`, because the database can't be reached. */
  const refuse = (wanting: Lease[], untilMs: number, cause: unknown) => {
    for (const lease of wanting) {
      const isOver = (waiter: Waiter) => waiter.untilMs <= untilMs;
      for (const waiter of table.takeWaiting(lease))
        if (isOver(waiter)) waiter.reject(new SluiceError("unavailable", { cause }));
        else table.wait(lease, waiter);
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
  };
}

const wantOf = (lease: Lease, nowMs: number): Want => ({
  customerId: lease.customerId,
  epoch: lease.epoch,
  held: lease.held,
  costs: waitingCosts(lease),
  target: Math.max(0, targetOf(lease, nowMs) - lease.available),
  unit: lease.unit,
});

// What the waiting messages still lack: the available credit pays the first of them.
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
