// How long a message has to wait in this sender's lane, as it looks now: from acceptance to the operator's
// answer for those that were taken within RECENT_MS (their 99th percentile), or the age of the oldest that
// still waits here to be claimed, whichever is longer. Only first attempts count: a retry is late because of
// its operators, not because of the lane; nor do held messages, which are late because of their own customer
// or link, of which there are some here.
// Pure; clocks are passed in. Bound: SAMPLES_MAX times.

export type LaneWait = {
  /** A message was taken this long after its acceptance. */
  took(ms: number): void;
  /** `oldestAtMs`: when the oldest message that waits here was accepted; null if none waits. */
  waitMs(oldestAtMs: number | null): number;
};

// Short, so that promises are the usual ones again soon after something that made the lane slow has ended.
const RECENT_MS = 5_000;
// At 400 express messages a second all of RECENT_MS; at higher rates the latest.
const SAMPLES_MAX = 2_000;
const SHARE = 0.99;

export function createLaneWait({
  monotonicMs,
  now,
}: {
  monotonicMs: () => number;
  now: () => number;
}): LaneWait {
  let samples: { atMs: number; ms: number }[] = [];
  return {
    took(ms) {
      samples.push({ atMs: monotonicMs(), ms });
      if (samples.length >= 2 * SAMPLES_MAX) samples = samples.slice(-SAMPLES_MAX);
    },
    waitMs(oldestAtMs) {
      const fromMs = monotonicMs() - RECENT_MS;
      samples = samples.slice(-SAMPLES_MAX).filter(({ atMs }) => atMs > fromMs);
      const sorted = samples.map(({ ms }) => ms).sort((a, b) => a - b);
      const taken = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * SHARE))] ?? 0;
      const waiting = oldestAtMs === null ? 0 : now() - oldestAtMs;
      return Math.max(0, taken, waiting);
    },
  };
}
