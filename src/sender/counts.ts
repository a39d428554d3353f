// What a sender counts about its messages: plain numbers, read at each scrape.

import type { Change } from "../ledger/move.ts";
import { chargeOfChange } from "../ledger/settle-plan.ts";
import { wantedAtMs } from "../core/lane-record.ts";
import { isLate } from "../core/message.ts";
import type { Metrics } from "../platform/metrics.ts";

const KEYS = [
  "read_total",
  "skipped_total",
  "dead_total",
  "sent_total",
  "captured_total",
  "refunded_total",
  "failed_total",
  "expired_total",
  "rejected_total",
  "requeued_total",
  "unknown_total",
  "late_total",
  "reported_total",
  "reaped_total",
  "idle_ended_total",
  "held_total",
  "unheld_total",
] as const;
export type Counts = Record<(typeof KEYS)[number], number> & {
  /** How the promises of express messages ended. */
  promise: Record<"made" | "missed" | "failed", (n: number) => void>;
  /** Time from acceptance, or send_at, to the answer of the operator that accepted the message. */
  taken(seconds: number): void;
};

export function createCounts(metrics: Metrics): Counts {
  const promise = (result: "made" | "missed" | "failed") =>
    metrics.counter("sluice_sender_express_total", { result });
  return Object.assign(metrics.counts("sluice_sender", KEYS), {
    promise: { made: promise("made"), missed: promise("missed"), failed: promise("failed") },
    taken: metrics.histogram("sluice_sender_accepted_to_taken_seconds", {}),
  });
}

/** Counts changes that were stored. */
export function countChanges(counts: Counts, changes: readonly Change[]): void {
  for (const change of changes) {
    const { to, record, takenAtMs } = change;
    const charge = chargeOfChange(change);
    if (charge === "refund") counts.refunded_total++;
    if (charge === "capture") counts.captured_total++;
    if (takenAtMs !== null) counts.taken(Math.max(0, takenAtMs - wantedAtMs(record)) / 1_000);
    if (record.guaranteedByMs !== null) {
      if (takenAtMs !== null) counts.promise[isLate(record, takenAtMs) ? "missed" : "made"](1);
      else if (to === "failed") counts.promise.failed(1);
      else if (to === "expired") counts.promise.missed(1);
    }
    if (to === "sent") counts.sent_total++;
    else if (to === "failed") counts.failed_total++;
    else if (to === "expired") counts.expired_total++;
    else if (to === "rejected") counts.rejected_total++;
    else if (to === "queued") counts.requeued_total++;
    else if (to === "unknown") counts.unknown_total++;
  }
}
