// The changes that a message has made, as its row and ClickHouse show them: for the verdicts on what its
// customer was told. Pure.

import type { Evidence, MessageRow, WebhookCall } from "./evidence.ts";

export type Change = Omit<WebhookCall, "event">;

const SEQUENCES_AN_ATTEMPT = 6;

/** Messages that were `sent` at some time, by what ClickHouse was told. */
export const everSent = ({ clickhouse }: Evidence): ReadonlySet<string> =>
  new Set(clickhouse.statuses.filter(({ wasSent }) => wasSent === 1).map(({ id }) => id));

/** The changes that a message has certainly made; of those in one list, one. `sent`: everSent. */
export function changesOf(
  { id: message, status, attempt, sequence, later }: MessageRow,
  sent: ReadonlySet<string>,
): Change[][] {
  const change = (of: number, rank: number, to: string): Change => ({
    message,
    status: to,
    sequence: SEQUENCES_AN_ATTEMPT * of + rank,
  });
  const scheduled = later === 1 ? [[change(0, 0, "scheduled")]] : [];
  // Only a scheduled message is canceled.
  const attempts = status === "canceled" ? 0 : attempt + 1;
  const queued = Array.from({ length: attempts }, (_, of) => [change(of, 1, "queued")]);
  // Only what was taken, or may have been, ends by a report.
  const isReported = status === "delivered" || status === "undelivered";
  const either = sent.has(message) ? [] : [change(attempt, 3, "unknown")];
  const taken = isReported ? [[change(attempt, 4, "sent"), ...either]] : [];
  return [...scheduled, ...queued, ...taken, [{ message, status, sequence }]];
}
