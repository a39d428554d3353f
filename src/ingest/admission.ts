// Decides how many messages may wait in this process, and how many of one customer, so that past what the
// database takes, accepted messages still commit in time and others are refused. By their number while waits
// are short; and once messages have waited longer than WAIT_MAX_MS for STANDING_MS, by time: then only as
// many may wait as were answered lately in WAIT_MAX_MS, until nobody has been refused for as long.
// Of what is free, a customer may have as much as all others together leave free: one alone gets half of the
// places, two a third each, and there is always room for another one (dynamic thresholds, Choudhury and
// Hahne 1998). Owns no queue and no timer; leaves whose message is stored next to fair-queue.ts.
// Invariants: a queue that was filled at once and drains is not refused to anybody; whoever has far less
// waiting than its equal part of the places is let in, even while a flood of another still drains. Bound:
// QUEUE_ROWS_MAX messages, whatever the times are.

import { SluiceError } from "../core/errors.ts";
import { COMMIT_ROWS_MAX, QUEUE_ROWS_MAX } from "../core/limits.ts";

/**
 * How long messages may wait. Clients whose connections each wait for their answers slow themselves down, at
 * no cost: at the rates that were measured, 10,000 of them wait for a second. A request that is refused
 * instead comes again, and costs a third of what it takes to accept it.
 */
export const WAIT_MAX_MS = 2_000;
/** Bursts end sooner. */
export const STANDING_MS = 1_000;
/** Commits stay full however slow they are: a full one for each connection, and one that follows. */
export const PLACES_MIN = 4 * COMMIT_ROWS_MAX;
/** Over how long what is answered is counted. */
const RATE_SPAN_MS = 250;
/** Weight of the latest span in the moving average. */
const SMOOTHING = 0.5;

/** Whether there is room for what customers send. */
export type Room = Pick<Admission, "isTight" | "refuses">;
export type Admission = {
  /**
   * Takes a place for each of the messages (1). @throws SluiceError overloaded, when not that many are free
   * for this customer
   */
  admit(customerId: number, messages?: number): void;
  /** Gives places back (1). */
  leave(customerId: number, messages?: number): void;
  /** Whether anybody might be refused now. */
  isTight(): boolean;
  /** Whether a message of this customer would be refused now; it counts as refused. */
  refuses(customerId: number): boolean;
  /** So many messages were answered, of which the first to come had waited so long. */
  answered(messages: number, waitedMs: number): void;
  /** Number of messages admitted and not answered yet. */
  admitted(): number;
};

export function createAdmission(monotonicMs: () => number): Admission {
  let admitted = 0;
  const shares = new Map<number, number>();
  /** Since when all waits are long; null: the last one was not. */
  let longSinceMs: number | null = null;
  let isOverloaded = false;
  let refusedAtMs = Number.NEGATIVE_INFINITY;
  /** Answers in the span that began then, and what was answered lately in a millisecond. */
  let spanMs = Number.NEGATIVE_INFINITY;
  let answers = 0;
  let perMs = 0;
  let places = QUEUE_ROWS_MAX;

  // Nobody has more than all together.
  const isTight = (): boolean => 2 * admitted >= places;
  const isFull = (customerId: number, messages: number): boolean => {
    if (admitted + messages > QUEUE_ROWS_MAX) return true;
    if (!isTight()) return false;
    const share = shares.get(customerId) ?? 0;
    const free = places - admitted;
    if (share < free) return false;
    return share >= Math.floor(places / (2 * (shares.size + 1)));
  };
  const refuses = (customerId: number, messages: number): boolean => {
    if (!isFull(customerId, messages)) return false;
    refusedAtMs = monotonicMs();
    return true;
  };
  const count = (messages: number, nowMs: number): void => {
    answers += messages;
    const tookMs = nowMs - spanMs;
    if (tookMs < RATE_SPAN_MS) return;
    // A longer span began before a pause.
    if (tookMs < 2 * RATE_SPAN_MS) perMs += (answers / tookMs - perMs) * (perMs === 0 ? 1 : SMOOTHING);
    answers = 0;
    spanMs = nowMs;
  };

  return {
    admit(customerId, messages = 1) {
      if (refuses(customerId, messages)) throw new SluiceError("overloaded");
      admitted += messages;
      shares.set(customerId, (shares.get(customerId) ?? 0) + messages);
    },
    leave(customerId, messages = 1) {
      admitted -= messages;
      const share = (shares.get(customerId) ?? messages) - messages;
      if (share === 0) shares.delete(customerId);
      else shares.set(customerId, share);
    },
    isTight,
    refuses: (customerId) => refuses(customerId, 1),
    answered(messages, waitedMs) {
      const nowMs = monotonicMs();
      count(messages, nowMs);
      if (waitedMs <= WAIT_MAX_MS) longSinceMs = null;
      else longSinceMs ??= nowMs;
      if (!isOverloaded && longSinceMs !== null && nowMs - longSinceMs >= STANDING_MS) {
        isOverloaded = true;
        refusedAtMs = nowMs;
      } else if (isOverloaded && longSinceMs === null && nowMs - refusedAtMs >= STANDING_MS) {
        isOverloaded = false;
      }
      places = isOverloaded
        ? Math.min(QUEUE_ROWS_MAX, Math.max(PLACES_MIN, Math.floor(perMs * WAIT_MAX_MS)))
        : QUEUE_ROWS_MAX;
    },
    admitted: () => admitted,
  };
}
