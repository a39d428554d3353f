// Waits for what becomes of messages that were accepted: for a door whose answer says whether an operator
// took its message. All waits of a process share one read of the database, each POLL_MS while there is any,
// so their cost hardly grows with their number. Leaves to the door what it answers.
// Invariants: a wait ends, whatever the database does: by an outcome, at its time, or when its caller is
// gone. What may have changed since it was read is returned only while it is fresh.
// Bound: WAITS_MAX requests at once, of a customer a quarter of them; WAIT_MAX_MS each.

import assert from "node:assert/strict";
import { CallerGoneError } from "../../core/caller.ts";
import { SluiceError } from "../../core/errors.ts";
import { DRAIN_MS } from "../../core/limits.ts";
import { settlementOf } from "../../core/message.ts";
import type { Timers } from "../../platform/timers.ts";
import type { Outcome } from "../../reports/outcomes.ts";
import type { Arrival } from "../route.ts";

/** Several are read while a message that goes well is on its way. */
const POLL_MS = 100;
/** With a second each that is as many codes a second; each has a connection open and its id in the read. */
export const WAITS_MAX = 500;
/** So that one whose operators are down leaves places to others. */
export const CUSTOMER_WAITS_MAX = WAITS_MAX / 4;
/** The longest that a client is left without an answer. */
export const WAIT_MAX_MS = 5_000;
/** How old what may still change can be when a wait ends with it; older than that it is not known. */
export const FRESH_MS = 500;
assert(POLL_MS < FRESH_MS && FRESH_MS < WAIT_MAX_MS, "a wait whose reads go well ends with what it read");
/** How long a stopping process still waits; then it has to answer and close (src/main/ingest.ts). */
const STOPPING_MS = 1_500;
assert(STOPPING_MS + POLL_MS < DRAIN_MS / 4, "an answer is written before its process ends");

export type OutcomesDeps = {
  read: (ids: readonly string[]) => Promise<ReadonlyMap<string, Outcome>>;
  timers: Timers;
};
/** @throws CallerGoneError */
export type OutcomeOf = (
  id: string,
  arrival: Pick<Arrival, "isGone" | "isStopping">,
  forMs: number,
) => Promise<Outcome | null>;
export type Outcomes = {
  /**
   * Gives `run` a place among those that wait, and with it a function that returns the outcome of a message:
   * what settled it, or what was read of it in the last FRESH_MS of its time; null: nothing was. @throws
   * SluiceError overloaded, before `run` begins; what `run` throws
   */
  waitIn<T>(customerId: number, run: (outcomeOf: OutcomeOf) => Promise<T>): Promise<T>;
};

type Wait = Pick<Arrival, "isGone" | "isStopping"> & {
  id: string;
  last: Outcome | null;
  /** When the read of `last` began. */
  readAtMs: number;
  isLast: boolean;
  end: () => void;
  reject: (error: Error) => void;
};

const isSettled = (outcome: Outcome | null): boolean =>
  outcome !== null && settlementOf(outcome.status) !== null;

export function createOutcomes({ read, timers }: OutcomesDeps): Outcomes {
  let places = 0;
  const placesOf = new Map<number, number>();
  const waiting = new Set<Wait>();
  let isReading = false;

  const look = (one: Wait, found: Outcome | undefined, readAtMs: number) => {
    if (found !== undefined) {
      one.last = found;
      one.readAtMs = readAtMs;
    }
    if (one.isGone()) {
      waiting.delete(one);
      one.reject(new CallerGoneError());
    } else if (isSettled(one.last)) one.end();
    else if (one.isStopping() && !one.isLast) {
      one.isLast = true;
      timers.after(STOPPING_MS, one.end);
    }
  };
  const readAll = async () => {
    while (waiting.size > 0) {
      const asked = [...waiting];
      const readAtMs = timers.monotonicMs();
      // What can't be read now may be the next time; if it never is, the answer says that it isn't known.
      const found = await read(asked.map(({ id }) => id)).catch(() => new Map<string, Outcome>());
      for (const one of asked) if (waiting.has(one)) look(one, found.get(one.id), readAtMs);
      if (waiting.size > 0) await timers.sleep(POLL_MS);
    }
    isReading = false;
  };
  const outcomeOf: OutcomeOf = (id, { isGone, isStopping }, forMs) =>
    new Promise((resolve, reject) => {
      const end = () => {
        waiting.delete(one);
        const isFresh = timers.monotonicMs() - one.readAtMs <= FRESH_MS;
        resolve(isFresh || isSettled(one.last) ? one.last : null);
      };
      const one: Wait = { id, isGone, isStopping, last: null, readAtMs: 0, isLast: false, end, reject };
      waiting.add(one);
      timers.after(Math.min(forMs, WAIT_MAX_MS), end);
      if (isReading) return;
      isReading = true;
      void readAll();
    });

  return {
    async waitIn(customerId, run) {
      const own = placesOf.get(customerId) ?? 0;
      if (places >= WAITS_MAX || own >= CUSTOMER_WAITS_MAX) throw new SluiceError("overloaded");
      places++;
      placesOf.set(customerId, own + 1);
      try {
        return await run(outcomeOf);
      } finally {
        places--;
        const left = (placesOf.get(customerId) ?? 1) - 1;
        if (left === 0) placesOf.delete(customerId);
        else placesOf.set(customerId, left);
      }
    },
  };
}
