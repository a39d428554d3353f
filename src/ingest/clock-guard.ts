// Ids that carry the right time. A message's id says when it was accepted, cuts its partition and dates its
// promise, so none is made while this machine's clock is more than CLOCK_SKEW_MAX_MS from MySQL's; and after
// a jump the factory is made anew, because the old one would go on counting from the furthest time it saw.
// A jump is noticed at once (against the monotonic clock), its end by the next look at MySQL's clock.

import { SluiceError } from "../core/errors.ts";
import { createIdFactory, type IdFactory } from "../core/id.ts";
import { CLOCK_SKEW_MAX_MS } from "../core/limits.ts";

export type ClockGuard = {
  /** Ids of messages. @throws SluiceError unavailable, while the clock is wrong */
  messageId: IdFactory;
  /** Ids of what is inside (grants, releases), which must go on whatever the clock says. */
  entryId: IdFactory;
  /** MySQL's clock was looked at: its time − ours, in ms. */
  observe(skewMs: number): void;
  isRight(): boolean;
};

export function createClockGuard({
  now,
  monotonicMs,
}: {
  now: () => number;
  monotonicMs: () => number;
}): ClockGuard {
  const offset = () => now() - monotonicMs();
  let factory = createIdFactory({ now });
  let expected = offset();
  let skewMs = 0;
  let wasWrong = false;

  const isRight = (): boolean => {
    const offMs = skewMs - (offset() - expected);
    if (Math.abs(offMs) <= CLOCK_SKEW_MAX_MS) return true;
    wasWrong = true;
    return false;
  };
  return {
    isRight,
    entryId() {
      isRight(); // an id made during a jump is what the factory has to be made anew for
      return factory();
    },
    messageId() {
      if (isRight()) return factory();
      throw new SluiceError("unavailable", {
        detail: "This machine's clock is wrong. Nothing was stored; another process may take the message.",
      });
    },
    observe(ms) {
      skewMs = ms;
      expected = offset();
      if (!isRight() || !wasWrong) return;
      wasWrong = false;
      factory = createIdFactory({ now });
    },
  };
}
