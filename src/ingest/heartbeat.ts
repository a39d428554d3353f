// Decides whether this process may spend from its leases: it may while its node's lifetime lasts, which it
// renews when a quarter of it has passed. Here the process's monotonic clock decides, counted from the moment
// the renewal was requested; for others, who may take the leases back, MySQL's clock decides, which is later.
// Invariant: once its lifetime is over by either clock, a node gives up all its leases before it registers
// again.

import { SluiceError } from "../core/errors.ts";
import type { NodeStore } from "../ledger/node.ts";
import type { Timers } from "../platform/timers.ts";

export type Heartbeat = {
  /** True while nobody else can have taken this node's leases. */
  isAlive(): boolean;
  /** Renews if a quarter of the lifetime has passed since the last renewal. @throws the database's error */
  beat(): Promise<void>;
  /** Renews at once; callers share a renewal that is under way. @throws the database's error */
  renew(): Promise<void>;
  /** From here on nothing is spent from the leases, and the node is not renewed. */
  stop(): Promise<void>;
};

export function createHeartbeat(
  {
    store,
    timers,
    onExpired,
  }: { store: NodeStore; timers: Timers /** Gives up every lease. */; onExpired: () => void },
  { leaseTtlMs }: { leaseTtlMs: number },
): Heartbeat {
  let aliveUntilMs = Number.NEGATIVE_INFINITY;
  let renewedAtMs = Number.NEGATIVE_INFINITY;
  let underWay: Promise<void> | null = null;
  let stopped = false;

  const renewOnce = async () => {
    const startedMs = timers.monotonicMs();
    if (!(await store.renew())) {
      aliveUntilMs = Number.NEGATIVE_INFINITY;
      onExpired();
      await store.register();
    }
    aliveUntilMs = startedMs + leaseTtlMs;
    renewedAtMs = startedMs;
  };
  const renew = () => {
    if (stopped)
      return Promise.reject(new SluiceError("unavailable", { detail: "The process is stopping." }));
    underWay ??= renewOnce().finally(() => {
      underWay = null;
    });
    return underWay;
  };
  return {
    isAlive: () => !stopped && timers.monotonicMs() < aliveUntilMs,
    beat: async () => {
      if (timers.monotonicMs() - renewedAtMs >= leaseTtlMs / 4) await renew();
    },
    renew,
    async stop() {
      stopped = true;
      await underWay?.catch(() => undefined);
    },
  };
}
