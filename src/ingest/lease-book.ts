// The leases of this process, in memory. Owns the machine of one lease:
//
//   spend ── enough available ──► available −, inFlight +  ── committed ──► inFlight −
//     └───── not enough ──► waits ── refill ──► served in order, or refused: 402, or 503 while the credit is
//                                               held elsewhere
//
// A lease in doubt (its commit's outcome unknown, or fenced by the database) is dropped: a new one under a
// new epoch takes its place and the reaper settles the old one from what was committed. Leaves SQL to
// src/ledger/lease.ts.
// Invariant: available + inFlight ≤ granted − spent of its row. Bound: what waits is bounded by the commit
// queue's own bound.

import { insufficientBalance, SluiceError } from "../core/errors.ts";
import {
  type Grant,
  grantLeases,
  LEASE_BATCH_MAX,
  type LeaseDeps,
  reapLeases,
  type Release,
  releaseLeases,
  renewLeases,
  type Want,
} from "../ledger/lease.ts";
import type { Log } from "../platform/log.ts";
import { isConnectionLost } from "../platform/mysql.ts";
import { sleep } from "../platform/retry.ts";

type Waiter = { cost: number; resolve: (lease: Lease) => void; reject: (error: Error) => void };
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
  waiting: Waiter[];
  refilling: boolean;
  spentThisTick: number;
  rate: number;
  idleTicks: number;
};
export type LeaseBook = {
  /**
   * Takes `cost` from the customer's lease: at once, or when a refill brought it. @throws SluiceError 402 or
   * 503
   */
  spend(customerId: number, cost: number): Lease | Promise<Lease>;
  committed(lease: Lease, cost: number): void;
  /** The message was not stored, for certain. */
  giveBack(lease: Lease, cost: number): void;
  /** The lease can't be trusted any more. */
  drop(lease: Lease): void;
  stats(): { leases: number; available: number; waiting: number };
  /** Returns what is unspent; leases with commits under way are left to the reaper. */
  stop(): Promise<void>;
};

const TICK_MS = 1_000;
/** Credit for so much time ahead, at the present rate: few refills at speed, little held when slow. */
const AHEAD_S = 4;
const IDLE_TICKS = 3;
const REFILL_RETRIES_MAX = 3;

export type LeaseBookOptions = { nodeId: string; leaseTtlMs: number; log: Log };

export function createLeaseBook(deps: LeaseDeps, { nodeId, leaseTtlMs, log }: LeaseBookOptions): LeaseBook {
  const leases = new Map<number, Lease>();
  const urgent = new Set<Lease>();
  const ahead = new Set<Lease>();
  let dropped: (Release & { ticks: number })[] = [];
  let epochs = 0;
  let stopped = false;
  let ticks = 0;

  const leaseOf = (customerId: number): Lease => {
    let lease = leases.get(customerId);
    if (lease === undefined) {
      lease = emptyLease(customerId, ++epochs);
      leases.set(customerId, lease);
    }
    return lease;
  };

  const take = (lease: Lease, cost: number) => {
    lease.available -= cost;
    lease.inFlight += cost;
    lease.spentThisTick += cost;
    lease.idleTicks = 0;
  };

  const spend = (customerId: number, cost: number): Lease | Promise<Lease> => {
    const lease = leaseOf(customerId);
    if (lease.waiting.length === 0 && lease.available >= cost) {
      take(lease, cost);
      if (lease.available < targetOf(lease) / 2 && !lease.refilling && lease.rate > 0) ask(ahead, lease);
      return lease;
    }
    return new Promise((resolve, reject) => {
      lease.waiting.push({ cost, resolve, reject });
      ask(urgent, lease);
    });
  };

  const ask = (set: Set<Lease>, lease: Lease) => {
    set.add(lease);
    if (set === urgent) runUrgent();
    else runAhead();
  };

  const drop = (lease: Lease) => {
    if (leases.get(lease.customerId) !== lease) return;
    const next = emptyLease(lease.customerId, ++epochs);
    next.waiting = lease.waiting;
    next.rate = lease.rate;
    lease.waiting = [];
    lease.available = 0;
    leases.set(lease.customerId, next);
    urgent.delete(lease);
    ahead.delete(lease);
    dropped.push({ customerId: lease.customerId, epoch: lease.epoch, amount: 0, ticks: 0 });
    if (next.waiting.length > 0) ask(urgent, next);
  };

  const refill = async (wanting: Lease[], skipLocked: boolean) => {
    for (const lease of wanting) lease.refilling = true;
    try {
      const grants = await grantLeases(deps, nodeId, wanting.map(wantOf), { ttlMs: leaseTtlMs, skipLocked });
      const byCustomer = new Map(grants.map((g) => [g.customerId, g]));
      for (const lease of wanting) {
        lease.refilling = false;
        const grant = byCustomer.get(lease.customerId);
        if (grant !== undefined && leases.get(lease.customerId) === lease) settle(lease, grant);
      }
    } finally {
      for (const lease of wanting) lease.refilling = false;
    }
  };

  const settle = (lease: Lease, grant: Grant) => {
    if (grant.fenced) {
      log.warn({ customer_id: lease.customerId }, "lease was taken back; starting a new one");
      return drop(lease);
    }
    lease.available += grant.granted;
    lease.elsewhere = grant.balance + grant.elsewhere;
    if (grant.granted > 0) lease.held = true;
    const waiting = lease.waiting;
    lease.waiting = [];
    for (const waiter of waiting) {
      if (lease.available >= waiter.cost) {
        take(lease, waiter.cost);
        waiter.resolve(lease);
      } else if (grant.balance + lease.available >= waiter.cost) {
        lease.waiting.push(waiter);
      } else {
        const all = lease.available + lease.elsewhere;
        waiter.reject(
          all < waiter.cost ? insufficientBalance(waiter.cost, all) : new SluiceError("credit_elsewhere"),
        );
      }
    }
    if (lease.waiting.length > 0) ask(urgent, lease);
  };

  const loop = (set: Set<Lease>, skipLocked: boolean) => {
    let running = false;
    return () => {
      if (running) return;
      running = true;
      void (async () => {
        // Requests parsed in this turn of the event loop join the first refill.
        await new Promise((resolve) => setImmediate(resolve));
        let failures = 0;
        while (set.size > 0) {
          const wanting = [...set].filter((l) => !l.refilling).slice(0, LEASE_BATCH_MAX);
          if (wanting.length === 0) {
            await sleep(1); // the other loop refills the same leases
            continue;
          }
          for (const lease of wanting) set.delete(lease);
          try {
            await refill(wanting, skipLocked);
            failures = 0;
          } catch (err) {
            failures++;
            log.warn({ err, failures }, "refill failed");
            // The grant may have been committed all the same: its row is for the reaper, and a new lease asks
            // again.
            if (isConnectionLost(err)) for (const lease of wanting) drop(lease);
            if (skipLocked) continue;
            const still = wanting.flatMap((lease) => leases.get(lease.customerId) ?? []);
            if (failures > REFILL_RETRIES_MAX) {
              for (const lease of still) set.delete(lease);
              refuse(still, err);
            } else {
              for (const lease of still) if (lease.waiting.length > 0) set.add(lease);
              await sleep(50 * failures);
            }
          }
        }
        running = false;
        if (set.size > 0) (skipLocked ? runAhead : runUrgent)();
      })();
    };
  };
  const runUrgent = loop(urgent, false);
  const runAhead = loop(ahead, true);

  const refuse = (wanting: Lease[], cause: unknown) => {
    for (const lease of wanting) {
      const waiting = lease.waiting;
      lease.waiting = [];
      for (const waiter of waiting) waiter.reject(new SluiceError("unavailable", { cause }));
    }
  };

  const release = async (idle: Lease[]) => {
    for (let i = 0; i < idle.length; i += LEASE_BATCH_MAX) {
      const some = idle
        .slice(i, i + LEASE_BATCH_MAX)
        .filter((l) => l.held && !l.refilling && l.inFlight === 0 && l.waiting.length === 0);
      if (some.length === 0) continue;
      const releases = some.map((l) => ({ customerId: l.customerId, epoch: l.epoch, amount: l.available }));
      for (const lease of some) {
        // From here on the lease is another one, so nothing can be spent from what is being returned.
        lease.available = 0;
        if (leases.get(lease.customerId) === lease) leases.delete(lease.customerId);
      }
      try {
        await releaseLeases(deps, nodeId, releases);
      } catch (err) {
        log.warn({ err }, "release failed; the reaper will take these leases back");
        for (const r of releases) dropped.push({ ...r, ticks: 0 });
      }
    }
  };

  const tick = async () => {
    ticks++;
    const idle: Lease[] = [];
    for (const lease of leases.values()) {
      lease.rate = lease.rate === 0 ? lease.spentThisTick : (lease.rate + lease.spentThisTick) / 2;
      if (lease.rate < 1) lease.rate = 0;
      lease.spentThisTick = 0;
      lease.idleTicks++;
      const quiet = lease.inFlight === 0 && lease.waiting.length === 0 && !lease.refilling;
      if (!quiet || lease.idleTicks < IDLE_TICKS) continue;
      if (lease.held) idle.push(lease);
      else leases.delete(lease.customerId);
    }
    await release(idle);
    if (ticks % Math.max(1, Math.floor(leaseTtlMs / 4 / TICK_MS)) === 0) {
      await renewLeases(deps.pool, nodeId, leaseTtlMs, dropped);
      for (const d of dropped) d.ticks++;
      dropped = dropped.filter((d) => d.ticks < 16); // long reaped by then
    }
    while ((await reapLeases(deps)) === LEASE_BATCH_MAX);
  };
  const timer = setInterval(() => {
    if (ticking !== null) return;
    ticking = tick()
      .catch((err: unknown) => log.warn({ err }, "lease upkeep failed; it is tried again"))
      .finally(() => {
        ticking = null;
      });
  }, TICK_MS);
  let ticking: Promise<void> | null = null;

  return {
    spend: (customerId, cost) => {
      if (stopped) throw new SluiceError("unavailable", { detail: "The process is stopping." });
      return spend(customerId, cost);
    },
    committed(lease, cost) {
      lease.inFlight -= cost;
    },
    giveBack(lease, cost) {
      lease.inFlight -= cost;
      if (leases.get(lease.customerId) === lease) lease.available += cost;
    },
    drop,
    stats() {
      let available = 0;
      let waiting = 0;
      for (const lease of leases.values()) {
        available += lease.available;
        waiting += lease.waiting.length;
      }
      return { leases: leases.size, available, waiting };
    },
    async stop() {
      stopped = true;
      clearInterval(timer);
      await ticking;
      await release([...leases.values()].filter((l) => l.inFlight === 0));
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
  waiting: [],
  refilling: false,
  spentThisTick: 0,
  rate: 0,
  idleTicks: 0,
});

const targetOf = (lease: Lease): number => AHEAD_S * Math.max(lease.rate, lease.spentThisTick);

const wantOf = (lease: Lease): Want => ({
  customerId: lease.customerId,
  epoch: lease.epoch,
  held: lease.held,
  costs: waitingCosts(lease),
  target: Math.max(0, targetOf(lease) - lease.available),
});

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
