// When a report is tried again whose message isn't found, or can't end yet: after a second, then when it is
// about twice as old, so that what an answer held up for x s is settled within 2x s; at last when its time is
// over. Pure.
// Invariant: reports of about one age have the same delay, so those that are put back together share rows. Of
// a report that is late already the next try is later still: however many wait, they can't keep the dlr role
// from new ones by being tried ever again. Bound: 24 tries of a report.

import { REPORT_TTL_MS } from "../core/limits.ts";

const LEAST_MS = 1_000;
/** A message may become the only one that a report can be about for as long as others are `unknown`. */
const MOST_MS = 4 * 3_600_000;
const LAST_WITHIN_MS = 60_000;

/** The delay before a report of this age, less than REPORT_TTL_MS, is tried again. */
export function againAfterMs(ageMs: number): number {
  const doubled = LEAST_MS * 2 ** Math.floor(Math.log2(Math.max(1, ageMs / LEAST_MS)));
  const leftMs = Math.ceil((REPORT_TTL_MS - ageMs) / LAST_WITHIN_MS) * LAST_WITHIN_MS;
  return Math.min(doubled, MOST_MS, leftMs);
}
