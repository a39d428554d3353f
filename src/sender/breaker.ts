// One operator's circuit breaker. Counts whole batches' answers, not messages one by one. Pure but for its
// own state; the clock is given. States:
//   closed     any number of submits; opens after BAD_MAX bad answers (no connection, lost) with no good one
//              between
//   open       none, until its pause is over; the pause doubles each time a probe fails
//   half-open  one submit in all until its answer is known: good closes, bad opens. A probe that was never
//              submitted ends nothing
// A hang costs a message (`unknown`), which is why the probe is one.

import type { Tally } from "./dispatch.ts";

export type Breaker = {
  /** How many submits the next batch may have here. Ask once a batch, and report what came of it. */
  allow(): number;
  report(tally: Tally): void;
  state(): "closed" | "open" | "half-open";
};

export const BAD_MAX = 20;
export const PAUSE_FIRST_MS = 1_000;
export const PAUSE_MOST_MS = 15_000;
/** A probe nobody reported within this time is forgotten: longer than a submit may take. */
const PROBE_MOST_MS = 10_000;

export function createBreaker(monotonicMs: () => number): Breaker {
  let bad = 0;
  let pauseMs = 0;
  let openUntilMs = 0;
  let probeUntilMs = 0;
  const isOpen = () => pauseMs > 0;
  const open = () => {
    pauseMs = isOpen() ? Math.min(pauseMs * 2, PAUSE_MOST_MS) : PAUSE_FIRST_MS;
    openUntilMs = monotonicMs() + pauseMs;
    probeUntilMs = 0;
  };
  return {
    allow() {
      if (!isOpen()) return Number.POSITIVE_INFINITY;
      const nowMs = monotonicMs();
      if (nowMs < openUntilMs || nowMs < probeUntilMs) return 0;
      probeUntilMs = nowMs + PROBE_MOST_MS;
      return 1;
    },
    report({ good, bad: more }) {
      if (good > 0) {
        bad = 0;
        pauseMs = 0;
        probeUntilMs = 0;
        return;
      }
      bad += more;
      if (isOpen()) {
        if (more > 0 && monotonicMs() >= openUntilMs) open();
        else if (more === 0) probeUntilMs = 0;
      } else if (bad >= BAD_MAX) open();
    },
    state: () => (!isOpen() ? "closed" : monotonicMs() < openUntilMs ? "open" : "half-open"),
  };
}
