// An operator's rate in message parts: a token bucket that holds the parts that may go at once (pace.ts). A
// message of more parts than that goes when the bucket is full, and the next ones wait for it. Own code,
// because the clock is a dependency here, and waiting needs to know for how long; the `limiter` package
// reads the system's clock.

import { burstOf } from "../operators/pace.ts";

export type Rate = {
  /** How long until a message of this many parts may go; 0 if now. */
  waitMs(parts: number): number;
  take(parts: number): void;
};

export function createRate(partsPerSecond: number, monotonicMs: () => number): Rate {
  const partMs = 1_000 / partsPerSecond;
  const burst = burstOf(partsPerSecond);
  // The bucket's only state: it lacks (fullAtMs - now) / partMs parts.
  let fullAtMs = Number.NEGATIVE_INFINITY;
  return {
    waitMs: (parts) => Math.max(0, fullAtMs - monotonicMs() - (burst - Math.min(parts, burst)) * partMs),
    take(parts) {
      fullAtMs = Math.max(fullAtMs, monotonicMs()) + parts * partMs;
    },
  };
}
