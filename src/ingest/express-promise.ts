// Which time can be promised for an express message that is accepted now. Pure: lane-watch.ts knows how long
// messages wait, the settings say what is usual and what is the longest. A wait of NOT_TAKEN_WAIT_MS, which a
// sender states while operators take nothing, is beyond any promise.
// Invariant: a promise leaves room for twice the measured wait, because the lane may get slower while the
// message is in it, and for the time-out of a submit, because none starts later than that before the promised
// time (src/sender/dispatch.ts).

import { SUBMIT_TIMEOUT_MS } from "../core/limits.ts";

export type Promised =
  /** An operator will have taken it within this time. */
  | { kind: "promised"; withinMs: number }
  /** It would take this long, which is more than may be promised. */
  | { kind: "saturated"; neededMs: number };
export type PromiseTerms = { usualMs: number; largestMs: number };

/** For what the measured wait can't show: the time since it was measured. */
const SLACK_MS = 500;
/** What is promised beyond the usual is a whole number of seconds. */
const STEP_MS = 1_000;

/** `waitMs`: how long messages of the lane wait at present, from acceptance to an operator. */
export function promiseOf(waitMs: number, { usualMs, largestMs }: PromiseTerms): Promised {
  const neededMs = Math.ceil((2 * waitMs + SUBMIT_TIMEOUT_MS + SLACK_MS) / STEP_MS) * STEP_MS;
  if (neededMs <= usualMs) return { kind: "promised", withinMs: usualMs };
  if (neededMs <= largestMs) return { kind: "promised", withinMs: neededMs };
  return { kind: "saturated", neededMs };
}

/** In how many seconds it is worth asking again, if the lane catches up as fast as time passes. */
export function retryAfterS(neededMs: number, { largestMs }: PromiseTerms): number {
  return Math.min(RETRY_MAX_S, Math.max(1, Math.ceil((neededMs - largestMs) / 2_000)));
}

/** The wait itself may end sooner, for example when a sender is started again. */
const RETRY_MAX_S = 30;
