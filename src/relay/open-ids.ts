// Which ids of a lane a sweep has to look through: those that came since the last one, and those of before
// that were open then, because a message that ended is never queued again. So a message that waits days for
// its retry is looked at alone, not with all that came after it. Pure; the search is in ledger/requeue.ts.
// A process remembers this only for itself. What `sweeps` stores is the lowest open id: where a process that
// remembers nothing begins. It never goes down, unless it is deleted to have all looked through anew: by
// somebody, or by a sweep that finds it ahead of the clock.
// Bound: a range for each window of a look in which something is open, 26,000 in 72 hours.

import type { IdRange } from "../ledger/requeue.ts";

/** No message below `to` is open, except in `open`, which is in order. */
export type Swept = { open: readonly IdRange[]; to: string };

/** The id below which no message is open. */
export const markOf = ({ open, to }: Swept): string => open[0]?.from ?? to;

/** Whether the stored mark was deleted since this was remembered. */
export const isForgotten = (swept: Swept | null, mark: string): boolean =>
  swept !== null && mark < markOf(swept);

/** Whether it goes beyond `latest`, the latest id that a sweep can have come to by the clock of now. */
export const isAhead = (swept: Swept | null, latest: string): boolean => swept !== null && swept.to > latest;

/** What to look through up to `before`; below `mark` nothing is open, whoever found that out. */
export function rangesToLook(swept: Swept | null, mark: string, before: string): IdRange[] {
  const ranges = [...(swept?.open ?? []), { from: swept?.to ?? mark, to: before }];
  return ranges
    .map(({ from, to }) => ({ from: from < mark ? mark : from, to }))
    .filter(({ from, to }) => from < to);
}

/** Adds what a look that began at `lookedFrom` found open; it may go on where the one before was cut. */
export function addOpen(open: IdRange[], found: IdRange, lookedFrom: string): void {
  const last = open.at(-1);
  if (last?.to === lookedFrom) open[open.length - 1] = { from: last.from, to: found.to };
  else open.push(found);
}
