// Periodic maintenance of leases: renews their node, ends idle ones, gives recalled ones back, deletes the
// rows of those that left the table, and takes back expired ones of other processes. A lease is held until
// someone else wants it, so normally nothing here costs anything per lease: a few of them are looked at each
// second. Everything runs on the monotonic clock; expiry itself is decided by MySQL's. Invariant: credit that
// is being given back can no longer be spent. Bound: LEASE_BATCH_MAX leases a transaction.

import { LEASE_IDLE_MS, RECALL_POLL_MS } from "../core/limits.ts";
import { LEASE_BATCH_MAX } from "../ledger/lease-rows.ts";
import type { Timers } from "../platform/timers.ts";
import type { RefillDeps } from "./lease-refill.ts";
import { isQuiet, type Lease } from "./lease-table.ts";

export type Upkeep = {
  /** Ends the longest unused of a few leases, to make room for another. False: all of them are in use. */
  makeRoom(): boolean;
  /**
   * Stops the timers and gives up the node with its leases. Resolves by `untilMs` on the monotonic clock,
   * even if the database hangs; the leases that are left then are reaped by other processes.
   */
  stop(untilMs: number): Promise<void>;
};

const TICK_MS = 1_000;
/** The whole table is visited in this many ticks. */
const ROUND_TICKS = 300;
const ROOM_LOOKS_MAX = 64;

export function startUpkeep({ store, table, heartbeat, timers, log, drop }: RefillDeps): Upkeep {
  let round = table.leases.values();
  const stopping = new AbortController();

  /** The next lease to look at; starts again from the first after the last. */
  const nextLease = (): Lease | undefined => {
    const next = round.next();
    if (next.done !== true) return next.value;
    round = table.leases.values();
    return round.next().value;
  };
  const endIdle = () => {
    const idleSinceMs = timers.monotonicMs() - LEASE_IDLE_MS;
    for (let looks = Math.ceil(table.leases.size / ROUND_TICKS); looks > 0; looks--) {
      const lease = nextLease();
      if (lease !== undefined && isQuiet(lease) && lease.takenAtMs <= idleSinceMs) table.end(lease);
    }
  };

  let ending: Promise<void> | null = null;
  /** Deletes the rows of leases that left the table. What gets no answer is tried again at the next tick. */
  const endRows = () => {
    ending ??= endAllRows().finally(() => {
      ending = null;
    });
    return ending;
  };
  const endAllRows = async () => {
    while (!stopping.signal.aborted) {
      const some = table.toEnd(LEASE_BATCH_MAX);
      if (some.length === 0) return;
      await store.end(some);
      table.ended(some);
    }
  };

  /** These leases have commits under way: what is available is returned, the rest belongs to the commits. */
  const giveBack = async (leases: Lease[]) => {
    const returns = leases.map((lease) => ({
      customerId: lease.customerId,
      epoch: lease.epoch,
      amount: table.empty(lease),
    }));
    if (returns.length === 0) return;
    try {
      await store.giveBack(returns);
    } catch (err) {
      log.warn({ err }, "unspent credit could not be returned; ending the leases instead");
      for (const lease of leases) drop(lease);
    }
  };
  const answerRecalls = async () => {
    if (table.leases.size === 0) return;
    const recalled = (await store.recalled()).flatMap(({ customerId, epoch }) => {
      const lease = table.leases.get(customerId);
      return lease?.epoch === epoch && !lease.refilling ? [lease] : [];
    });
    if (recalled.length === 0) return;
    const [quiet, busy] = [recalled.filter(isQuiet), recalled.filter((lease) => !isQuiet(lease))];
    for (const lease of quiet) table.end(lease);
    // A lease with nothing available has nothing to return, unless a commit fails.
    await giveBack(busy.filter((lease) => lease.available > 0).slice(0, LEASE_BATCH_MAX));
    await endRows();
  };

  const jobs = [
    every(timers, TICK_MS, heartbeat.beat, (err) => log.warn({ err }, "the leases could not be renewed")),
    every(
      timers,
      TICK_MS,
      async () => {
        endIdle();
        await endRows();
        await store.reap(stopping.signal);
      },
      (err) => log.warn({ err }, "lease upkeep failed; trying again"),
    ),
    every(timers, RECALL_POLL_MS, answerRecalls, (err) =>
      log.warn({ err }, "recalled leases could not be returned; trying again"),
    ),
  ];
  return {
    makeRoom() {
      let oldest: Lease | null = null;
      for (let looks = 0; looks < ROOM_LOOKS_MAX; looks++) {
        const lease = nextLease();
        if (lease === undefined || !isQuiet(lease)) continue;
        if (oldest === null || lease.takenAtMs < oldest.takenAtMs) oldest = lease;
      }
      if (oldest !== null) table.end(oldest);
      return oldest !== null;
    },
    async stop(untilMs) {
      stopping.abort();
      const late = new AbortController();
      const leave = async () => {
        await Promise.all(jobs.map((stop) => stop()));
        await heartbeat.stop();
        await store.retire(late.signal);
      };
      const timeIsUp = timers.sleep(Math.max(0, untilMs - timers.monotonicMs())).then(() => {
        throw new Error("out of time");
      });
      // Whichever settles later is not waited for.
      await Promise.race([leave(), timeIsUp]).catch((err: unknown) =>
        log.warn({ err }, "leases are left for other processes to reap once this node expires"),
      );
      late.abort();
    },
  };
}

/** Runs `job` at each interval, never two at once. The returned function stops it and awaits the last run. */
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
