// Time and randomness as dependencies, so that a simulator can run the same code under a seed. Everything
// here is monotonic; the time of day is `now`, by which promises are kept and rows and ids are stamped, in
// most roles MySQL's (mysql-clock.ts).

import { sleep } from "./retry.ts";

export type Timers = {
  /** Milliseconds from any origin that only increase; unaffected by changes of the clock. */
  monotonicMs(): number;
  sleep(ms: number): Promise<void>;
  /** Runs in the next turn of the event loop, when everything that has arrived by now is parsed. */
  soon(run: () => void): void;
  after(ms: number, run: () => void): void;
  /** Runs repeatedly until the returned function is called. */
  every(ms: number, run: () => void): () => void;
  /** At least 0 and below 1. */
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
