// What a message may be and become: its statuses, lanes, moves, and what each status does with the money.
// Leaves to others: who makes a move (ingest, relay, sender, reports) and how it is stored.
// Invariant: a final status is never left, and no message is both captured and refunded.

export const STATUSES = [
  "scheduled",
  "queued",
  "sending",
  "sent",
  "delivered",
  "undelivered",
  "failed",
  "rejected",
  "expired",
  "canceled",
  "unknown",
] as const;
export type Status = (typeof STATUSES)[number];

export const LANES = ["normal", "express"] as const;
/** The lane of a message; the API calls it `type`. */
export type Lane = (typeof LANES)[number];

export type Encoding = "gsm7" | "ucs2";

/**
 * Statuses that nothing follows. `sent` is captured but still waits for its delivery report; `unknown` for
 * anything.
 */
export const FINAL = ["delivered", "undelivered", "failed", "rejected", "expired", "canceled"] as const;
export type FinalStatus = (typeof FINAL)[number];

// The whole machine, one row a status. A report can overtake the settlement of its own submit, so `sending`
// may go straight to delivered or undelivered; `queued` may end by itself when its record can never be
// produced or is too late.
const MOVES: Record<Status, readonly Status[]> = {
  scheduled: ["queued", "failed", "rejected", "expired", "canceled"],
  queued: ["sending", "failed", "rejected", "expired"],
  sending: ["queued", "sent", "delivered", "undelivered", "failed", "expired", "unknown"],
  unknown: ["sent", "delivered", "undelivered", "failed"],
  sent: ["delivered", "undelivered"],
  delivered: [],
  undelivered: [],
  failed: [],
  rejected: [],
  expired: [],
  canceled: [],
};

// product.md, "Charging": taken by an operator is captured, ended before that is refunded, the rest stays
// reserved.
const SETTLEMENT: Record<Status, "capture" | "refund" | null> = {
  scheduled: null,
  queued: null,
  sending: null,
  unknown: null,
  sent: "capture",
  delivered: "capture",
  undelivered: "capture",
  failed: "refund",
  rejected: "refund",
  expired: "refund",
  canceled: "refund",
};

/**
 * Whether `to` may follow `from`. `sending → queued` also needs a higher attempt, which the caller's SQL
 * checks.
 */
export function canMove(from: Status, to: Status): boolean {
  return MOVES[from].includes(to);
}

/** What reaching `status` does with the reserved cost; null leaves it reserved. */
export function settlementOf(status: Status): "capture" | "refund" | null {
  return SETTLEMENT[status];
}

export function isFinal(status: Status): status is FinalStatus {
  return (FINAL as readonly Status[]).includes(status);
}

export function isStatus(value: unknown): value is Status {
  return typeof value === "string" && Object.hasOwn(MOVES, value);
}

export function isLane(value: unknown): value is Lane {
  return value === "normal" || value === "express";
}

// Sequence orders the events of one message without a clock: ClickHouse keeps the row with the highest. Two
// numbers an attempt (0-based) keep a retry above everything the attempt before it can produce. A scheduled
// message is at 0.
export const SCHEDULED_SEQUENCE = 0;

/** Sequence of `queued` at this attempt: 1, 3, 5 … */
export function queuedSequence(attempt: number): number {
  return 2 * attempt + 1;
}

/** Sequence of `sending` at this attempt: 2, 4, 6 … (stored, never sent as an event). */
export function sendingSequence(attempt: number): number {
  return 2 * attempt + 2;
}

/** Sequence of the attempt's outcome: sent, failed, unknown, or queued again at the next attempt. */
export function outcomeSequence(attempt: number): number {
  return 2 * attempt + 3;
}

/** Sequence of whatever follows an `unknown` (or a report that follows `sent`) of this attempt. */
export function lateSequence(attempt: number): number {
  return 2 * attempt + 4;
}
