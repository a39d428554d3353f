// Whether this process may spend from its leases: it may for the life of its node, which it renews each
// quarter of its time. Its own monotonic clock decides here, from when the renewal was asked for; MySQL's
// clock decides when others may take the leases back, which is later.
// Invariant: after its time was over, by either clock, a node gives up all it held before it registers anew.

import { SluiceError } from "../core/errors.ts";
import type { NodeStore } from "../ledger/node.ts";
import type { Timers } from "../platform/timers.ts";

export type Heartbeat = {
  /** Nobody can have taken this node's leases. */
  isAlive(): boolean;
  /** Renews when a quarter of the node's time has passed since it last did. @throws the database's error */
  beat(): Promise<void>;
  /** Renews at once; who asks while that is under way shares it. @throws the database's error */
  renew(): Promise<void>;
  /** From here on nothing is spent from its leases, and it is not renewed. */
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
