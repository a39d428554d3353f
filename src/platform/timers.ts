// Time and chance, as dependencies: what runs on them can be run by a simulator under a seed. Everything here
// is monotonic; wall time is `now`, which only stamps rows and ids.

import { sleep } from "./retry.ts";

export type Timers = {
  /** Milliseconds that only grow, from any origin; no clock change moves them. */
  monotonicMs(): number;
  sleep(ms: number): Promise<void>;
  /** Runs in the next turn of the event loop, when all that has arrived by now is parsed. */
  soon(run: () => void): void;
  after(ms: number, run: () => void): void;
  /** Until the function it returns is called. */
  every(ms: number, run: () => void): () => void;
  /** From 0 up to 1. */
  random(): number;
};

export const systemTimers: Timers = {
  monotonicMs: () => performance.now(),
  sleep,
  soon: (run) => void setImmediate(run),
  after: (ms, run) => void setTimeout(run, ms),
  every(ms, run) {
    const timer = setInterval(run, ms);
    return () => clearInterval(timer);
  },
  random: () => Math.random(),
};
