// One operator's circuit breaker. Counts the answers of whole batches, not single messages. Pure except for
// its own state; the clock is passed in. States:
//   closed     any number of submits; opens after BAD_MAX bad answers (no connection, lost) with no good one
//              in between
//   open       no submits until its pause is over; the pause doubles each time a probe fails
//   half-open  one submit in total until its answer is known: a good one closes, a bad one opens; a probe
//              that was never submitted changes nothing
// A hanging submit costs a message (`unknown`), so there is only one probe.

import type { Tally } from "./dispatch.ts";

export type Breaker = {
  /** How many submits the next batch may make. Call it once per batch, and report the batch's answers. */
  allow(): number;
  report(tally: Tally): void;
  state(): "closed" | "open" | "half-open";
};

export const BAD_MAX = 20;
export const PAUSE_FIRST_MS = 1_000;
export const PAUSE_MOST_MS = 15_000;
/** A probe that was not reported within this time, longer than a submit may take, is forgotten. */
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
