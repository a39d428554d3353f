// What a sender counts. Plain numbers, read at each scrape.

import type { Change } from "../ledger/move.ts";
import { chargeOfChange } from "../ledger/settle-plan.ts";
import type { Metrics } from "../platform/metrics.ts";

const KEYS = [
  "read_total",
  "skipped_total",
  "dead_total",
  "sent_total",
  "refunded_total",
  "failed_total",
  "requeued_total",
  "unknown_total",
  "late_total",
  "reaped_total",
  "idle_ended_total",
] as const;
export type Counts = Record<(typeof KEYS)[number], number>;

export const createCounts = (metrics: Metrics): Counts => metrics.counts("sluice_sender", KEYS);

export function countChanges(counts: Counts, changes: readonly Change[]): void {
  for (const change of changes) {
    const { to } = change;
    if (chargeOfChange(change) === "refund") counts.refunded_total++;
    if (to === "sent") counts.sent_total++;
    else if (to === "failed") counts.failed_total++;
    else if (to === "queued") counts.requeued_total++;
    else if (to === "unknown") counts.unknown_total++;
  }
}
