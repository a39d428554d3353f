// Makes sure that ids carry MySQL's time. A message's id says when it was accepted, selects its partition and
// starts its delivery promise, so no id of a message is made while this machine's clock is more than
// CLOCK_SKEW_MAX_MS from MySQL's. After a jump the id factory is replaced, because the old one would keep
// counting from the latest time it saw. The start of a jump is noticed at once (by the monotonic clock), its
// end at the next comparison with MySQL's clock. Leaves the comparison to platform/mysql-clock.ts.

import { SluiceError } from "../core/errors.ts";
import { createIdFactory, type IdFactory } from "../core/id.ts";
import { createMysqlClock } from "../platform/mysql-clock.ts";

export type ClockGuard = {
  /** Makes message ids. @throws SluiceError unavailable, while the clock is wrong */
  messageId: IdFactory;
  /** Makes ids of internal entries (grants, releases), which must continue whatever the clock says. */
  entryId: IdFactory;
  /** MySQL's time, and comparisons with it: see MysqlClock. */
  now: () => number;
  observe(skewMs: number, tookMs?: number): void;
  isRight(): boolean;
};

export function createClockGuard(clocks: { now: () => number; monotonicMs: () => number }): ClockGuard {
  const clock = createMysqlClock(clocks);
  let factory = createIdFactory(clock);
  let wasWrong = false;

  const isRight = (): boolean => {
    if (clock.isRight()) return true;
    wasWrong = true;
    return false;
  };
  return {
    isRight,
    entryId() {
      isRight(); // an id made during a jump means that the factory must be replaced
      return factory();
    },
    messageId() {
      if (isRight()) return factory();
      throw new SluiceError("unavailable", {
        detail: "This machine's clock is wrong. Nothing was stored; another process may take the message.",
      });
    },
    now: () => clock.now(),
    observe(skewMs, tookMs) {
      clock.observe(skewMs, tookMs);
      const isStillWrong = !isRight();
      if (!wasWrong) return;
      wasWrong = isStillWrong;
      factory = createIdFactory(clock);
    },
  };
}
