// Stores messages in the very transaction that grants their credit, so that the first message of a customer
// pays for one transaction, not for two in a row (decision 0033). A message may ride if its customer has no
// lease yet, and if all that wait before it ride too. The others, and those that come back, wait for the
// grant and are stored by the group commit.
// Owns who rides, their place in `waiting` and their answers; leaves the grant itself to lease-refill.ts.
// Invariants: a message that rides waits nowhere else meanwhile; it is answered as stored after COMMIT, or
// once a look has found it; one that certainly was not stored waits again, before all others, and rides no
// more, so that what the database refused is found out by its own commit. Bound: COMMIT_ROWS_MAX messages.
// Crash points: before COMMIT neither credit nor message is stored; after it both are, and the lease is taken
// back with what it has left.

import { SluiceError } from "../core/errors.ts";
import { COMMIT_ROWS_MAX, COMMIT_WAIT_MAX_MS } from "../core/limits.ts";
import { CommitInDoubtError } from "../ledger/accept.ts";
import { elsewhereOf, type Grant, type Want } from "../ledger/grant.ts";
import type { LeaseStore, Riding } from "../ledger/lease.ts";
import type { Log } from "../platform/log.ts";
import { isConnectionLost } from "../platform/mysql-errors.ts";
import { backoffMs } from "../platform/retry.ts";
import type { Timers } from "../platform/timers.ts";
import { isCold, type Lease, type LeaseTable, type Rider, type Waiter } from "./lease-table.ts";

/** The riders of one grant. */
export type Ride = {
  /** Grants, and stores those who ride; throws only if none of them is known to be stored. */
  grant(wants: Want[], options: { skipLocked: boolean }): Promise<Grant[]>;
  /** Takes their credit from the lease, which has been granted it. Returns how many they were. */
  pay(lease: Lease): number;
  /** Answers them all. Call it after `pay`. */
  answer(): void;
};
export type RidersDeps = {
  store: Pick<LeaseStore, "grant" | "isStored">;
  table: LeaseTable;
  timers: Timers;
  log: Log;
  /** Refills a lease that a message waits for. */
  refill: (lease: Lease) => void;
};

type Aboard = { lease: Lease; waiter: Waiter; rider: Rider; balanceAfter: number };

/** Returns a function that begins a ride for the leases that a grant is asked for. */
export function createRiders({ store, table, timers, log, refill }: RidersDeps): (leases: Lease[]) => Ride {
  return (leases) => {
    let aboard: Aboard[] = [];

    const leave = (mayRide: boolean): void => {
      for (const [left, some] of Map.groupBy(aboard, ({ lease }) => lease)) {
        const lease = table.of(left.customerId);
        const behind = table.takeWaiting(lease);
        for (const { waiter } of some) table.wait(lease, mayRide ? waiter : { ...waiter, rider: null });
        for (const waiter of behind) table.wait(lease, waiter);
        // It was dropped meanwhile: nobody has asked for credit for them under the new one.
        if (lease !== left) refill(lease);
      }
      aboard = [];
    };
    const board = (lease: Lease, grant: Grant): void => {
      let left = grant.granted;
      const elsewhere = elsewhereOf(grant);
      let isNext = true;
      for (const waiter of table.takeWaiting(lease)) {
        const { rider, cost } = waiter;
        isNext &&= waiter.isGone() || (rider !== null && cost <= left && aboard.length < COMMIT_ROWS_MAX);
        if (!isNext || rider === null || waiter.isGone()) table.wait(lease, waiter);
        else aboard.push({ lease, waiter, rider, balanceAfter: (left -= cost) + elsewhere });
      }
    };
    // May be called again, when the transaction is repeated.
    const ride = (grants: readonly Grant[]): Riding | null => {
      leave(true);
      const byCustomer = new Map(grants.map((grant) => [grant.customerId, grant]));
      for (const lease of leases) {
        const grant = byCustomer.get(lease.customerId);
        if (grant !== undefined && table.isCurrent(lease) && isCold(lease)) board(lease, grant);
      }
      return aboard.length === 0 ? null : ridingOf(aboard);
    };

    const answer = () => {
      for (const { waiter, balanceAfter } of aboard) waiter.resolve({ isStored: true, balanceAfter });
    };
    const find = async (): Promise<void> => {
      const untilMs = timers.monotonicMs() + COMMIT_WAIT_MAX_MS;
      for (let attempt = 1; ; attempt++) {
        try {
          const { record } = (aboard[0] as Aboard).rider;
          if (await store.isStored(record.id)) return answer();
          const waiting = aboard.map(({ lease }) => lease.customerId);
          leave(false);
          for (const customerId of waiting) refill(table.of(customerId));
          return;
        } catch (err) {
          if (timers.monotonicMs() >= untilMs) return refuse(err);
          log.warn({ err, attempt }, "can't find out whether first messages were stored; trying again");
          await timers.sleep(backoffMs({ firstMs: 10, mostMs: 500 }, attempt, timers.random));
        }
      }
    };
    const refuse = (cause: unknown) => {
      log.error({ err: cause, rows: aboard.length }, "outcome of a commit is unknown");
      for (const { waiter } of aboard) waiter.reject(new SluiceError("outcome_unknown", { cause }));
    };

    return {
      async grant(wants, { skipLocked }) {
        try {
          return await store.grant(wants, { skipLocked, ride });
        } catch (err) {
          if (aboard.length > 0 && err instanceof CommitInDoubtError) {
            void find();
            throw err;
          }
          const isRefused = aboard.length > 0 && !isConnectionLost(err);
          leave(false);
          if (!isRefused) throw err;
          log.debug({ err }, "first messages can't be stored with their grant");
          return store.grant(wants, { skipLocked });
        }
      },
      pay(lease) {
        const own = aboard.filter((one) => one.lease === lease);
        for (const { waiter } of own)
          table.committed(table.take(lease, waiter.cost, timers.monotonicMs(), waiter.unit));
        return own.length;
      },
      answer,
    };
  };
}

function ridingOf(aboard: readonly Aboard[]): Riding {
  const spends = new Map<Lease, number>();
  for (const { lease, waiter } of aboard) spends.set(lease, (spends.get(lease) ?? 0) + waiter.cost);
  return {
    records: aboard.map(({ rider }) => rider.record),
    spends: [...spends].map(([{ customerId, epoch }, amount]) => ({ customerId, epoch, amount })),
    keys: aboard.flatMap(({ rider, balanceAfter }) => rider.keyOf(balanceAfter) ?? []),
    otps: aboard.flatMap(({ rider }) => rider.otp ?? []),
  };
}
