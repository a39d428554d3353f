// What a sender counts. Plain numbers, read at each scrape.

import type { Change } from "../ledger/settle-plan.ts";
import type { Metrics } from "../platform/metrics.ts";

const DOCS = {
  read_total: "records read",
  skipped_total: "records whose message wasn't queued at their attempt: delivered twice, or ended",
  dead_total: "records that can't be read, sent to sms.dlq",
  sent_total: "messages an operator took",
  refunded_total: "messages refunded, late express ones included",
  failed_total: "messages that ended unsent",
  requeued_total: "messages to be tried again later",
  unknown_total: "messages whose answer was lost",
  late_total: "outcomes that came after their claim had expired",
  reaped_total: "messages whose claim expired",
  idle_ended_total: "transactions of processes that sleep, ended to free their locks",
} as const;
export type Counts = Record<keyof typeof DOCS, number>;

export const createCounts = (metrics: Metrics): Counts => metrics.counts("sluice_sender", DOCS);

export function countChanges(counts: Counts, changes: readonly Change[]): void {
  for (const { to, money } of changes) {
    if (money === "refund") counts.refunded_total++;
    if (to === "sent") counts.sent_total++;
    else if (to === "failed") counts.failed_total++;
    else if (to === "queued") counts.requeued_total++;
    else if (to === "unknown") counts.unknown_total++;
  }
}
