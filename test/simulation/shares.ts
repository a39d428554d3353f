// Adds up the reports of the processes that share a range of seeds.

import type { Result } from "./simulate.ts";

export type Share = {
  seed: number;
  events: number;
  broken: Pick<Result, "seed" | "violation" | "trace"> | null;
};

export function totals(seeds: number) {
  const startedMs = performance.now();
  let done = 0;
  let events = 0;
  let broken = 0;
  return {
    add(share: Share) {
      done++;
      events += share.events;
      if (share.broken !== null) broken++;
    },
    broken: () => broken,
    isWhole: () => done === seeds,
    line() {
      const seconds = (performance.now() - startedMs) / 1_000;
      return (
        `${done} of ${seeds} seeds, ${broken} broken, ${(events / 1e6).toFixed(1)} M events, ` +
        `${seconds.toFixed(1)} s, ${(done / seconds).toFixed(1)} seeds/s`
      );
    },
  };
}
