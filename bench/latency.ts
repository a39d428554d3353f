// Summarizes a run's latencies: percentiles of all of them, and a histogram that shows what percentiles hide,
// such as a second peak at 100 ms.

import { round } from "./harness.ts";

const BOUNDS_MS = [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 500, 1_000] as const;

export type Latency = {
  p50_ms: number;
  p99_ms: number;
  p999_ms: number;
  max_ms: number;
  /**
   * How many took at most this many ms, but more than the previous bound; `more`: longer than the last bound.
   */
  histogram: Record<string, number>;
};

/** `sorted`: milliseconds, ascending. */
export function latencyOf(sorted: Float64Array): Latency {
  const histogram: Record<string, number> = {};
  let at = 0;
  for (const boundMs of BOUNDS_MS) {
    const from = at;
    while (at < sorted.length && (sorted[at] as number) <= boundMs) at++;
    if (at > from) histogram[`${boundMs} ms`] = at - from;
  }
  if (at < sorted.length) histogram.more = sorted.length - at;
  return {
    p50_ms: round(percentile(sorted, 0.5)),
    p99_ms: round(percentile(sorted, 0.99)),
    p999_ms: round(percentile(sorted, 0.999)),
    max_ms: round(percentile(sorted, 1)),
    histogram,
  };
}

export function percentile(sorted: Float64Array, share: number): number {
  return sorted.length === 0
    ? 0
    : (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number);
}
