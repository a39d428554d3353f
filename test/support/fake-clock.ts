// Timers that stand still until a test advances them, for code that runs on platform/timers.ts. Only
// microtasks and turns of the event loop run on their own.

import type { Timers } from "../../src/platform/timers.ts";

export type FakeClock = {
  timers: Timers;
  /** Advances the clock and runs everything that becomes due, in order. */
  advance(ms: number): Promise<void>;
  /** How many sleeps wait for the clock, without repeating timers. */
  waiting(): number;
  /** How many turns of the event loop were requested. */
  turns(): number;
};

/** Runs everything that doesn't wait for the clock. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export function createFakeClock(): FakeClock {
  type Due = { atMs: number; everyMs: number | null; run: () => void };
  let nowMs = 0;
  let turns = 0;
  let due: Due[] = [];
  const add = (ms: number, everyMs: number | null, run: () => void): Due => {
    const one = { atMs: nowMs + ms, everyMs, run };
    due.push(one);
    return one;
  };
  const timers: Timers = {
    monotonicMs: () => nowMs,
    sleep: (ms) => new Promise((resolve) => void add(ms, null, resolve)),
    soon(run) {
      turns++;
      setImmediate(run);
    },
    after: (ms, run) => void add(ms, null, run),
    every(ms, run) {
      const one = add(ms, ms, run);
      return () => void (due = due.filter((other) => other !== one));
    },
    random: () => 0.5,
  };
  return {
    timers,
    async advance(ms) {
      for (const endMs = nowMs + ms; ; ) {
        await settle();
        const next = Math.min(...due.map(({ atMs }) => atMs));
        if (next > endMs) return void (nowMs = endMs);
        nowMs = next;
        const now = due.filter(({ atMs }) => atMs === next);
        due = due.filter((one) => one.atMs !== next || one.everyMs !== null);
        for (const one of now) {
          if (one.everyMs !== null) one.atMs += one.everyMs;
          one.run();
        }
      }
    },
    waiting: () => due.filter(({ everyMs }) => everyMs === null).length,
    turns: () => turns,
  };
}
