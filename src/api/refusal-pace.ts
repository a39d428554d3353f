// Decides how many requests for which there is no room are refused at once. A refused request usually comes
// again at once, and costs a third of what it takes to accept it; so where this process has no time left,
// refusals would take it from what is accepted, until nothing is. Then refusals wait, and with them the
// connections on which they would come again. Whether time is left is told by how late a timer is.
// Invariants: refusals are answered in the order in which they came; while timers are in time, at most a
// period late. Bound: one callback a connection.

import type { Timers } from "../platform/timers.ts";

/** Null: now. Otherwise resolves when it may be refused. */
export type RefusalPace = () => Promise<void> | null;

export const PERIOD_MS = 20;
/** With 20, refusals still took half of the time of what was accepted. */
export const LATE_MS = 5;
/** Refusals a period: 1,000 and 100,000 a second. */
export const LEAST = 20;
export const MOST = 2_000;
const GROWTH = 1.5;

export function createRefusalPace({
  monotonicMs,
  after,
}: Pick<Timers, "monotonicMs" | "after">): RefusalPace {
  const waiting: (() => void)[] = [];
  let isPeriod = false;
  let most = 5 * LEAST;
  let used = 0;

  const begin = (): void => {
    isPeriod = true;
    const dueMs = monotonicMs() + PERIOD_MS;
    after(PERIOD_MS, () => {
      if (monotonicMs() - dueMs > LATE_MS) most = Math.max(LEAST, Math.floor(most / 2));
      else if (used >= most) most = Math.min(MOST, Math.floor(most * GROWTH));
      isPeriod = false;
      const next = waiting.splice(0, most);
      used = next.length;
      if (used > 0) begin();
      for (const refuse of next) refuse();
    });
  };

  return () => {
    if (!isPeriod) {
      used = 0;
      begin();
    }
    if (used < most && waiting.length === 0) {
      used++;
      return null;
    }
    return new Promise((resolve) => waiting.push(resolve));
  };
}
