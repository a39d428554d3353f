// The state machine of a message: its statuses, lanes and moves, the numbers that order them, and what each
// move does with the money. Every role follows these tables, and so do the SQL that moves a message
// (src/ledger/move.ts), reconcile and docs/reference/message.md.
// Leaves to others: who makes a move, and how it is stored.
// Invariants: a final status is never left; the sequence grows with every move; a message's money is settled
// by exactly one move, the first that takes it out of `reserved`; one of which nothing is reserved yet moves
// no money but by its claim.

import assert from "node:assert/strict";
import { MESSAGE_ATTEMPTS_MAX } from "./limits.ts";

export const STATUSES = [
  "scheduled",
  "queued",
  "sending",
  "unknown",
  "sent",
  "delivered",
  "undelivered",
  "failed",
  "rejected",
  "expired",
  "canceled",
] as const;
export type Status = (typeof STATUSES)[number];

export const LANES = ["normal", "express"] as const;
/** A message's lane; the API calls it `type`. */
export type Lane = (typeof LANES)[number];

export type Encoding = "gsm7" | "ucs2";

// ---- moves ----

type Row = {
  /** Orders the statuses within one attempt: every move goes to a higher rank. */
  rank: 0 | 1 | 2 | 3 | 4 | 5;
  /** The statuses that may follow within the attempt. */
  to: readonly Status[];
  /** Whether the message may be requeued under its next attempt, which is the only way back. */
  requeues: boolean;
};

const ends = { rank: 5, to: [], requeues: false } as const;

// A delivery report can overtake the settlement of its own submit, so `sending` may go straight to delivered
// or undelivered. `queued` may end directly when its record can never be produced or is too late, or when
// nothing is reserved for it and nobody can pay, and is requeued when its record was lost.
const MACHINE: Record<Status, Row> = {
  scheduled: { rank: 0, to: ["queued", "failed", "rejected", "expired", "canceled"], requeues: false },
  queued: { rank: 1, to: ["sending", "failed", "rejected", "expired"], requeues: true },
  sending: {
    rank: 2,
    to: ["unknown", "sent", "delivered", "undelivered", "failed", "expired"],
    requeues: true,
  },
  unknown: { rank: 3, to: ["sent", "delivered", "undelivered", "failed"], requeues: false },
  sent: { rank: 4, to: ["delivered", "undelivered"], requeues: false },
  delivered: ends,
  undelivered: ends,
  failed: ends,
  rejected: ends,
  expired: ends,
  canceled: ends,
};

/** The statuses with which an accepted message can begin. */
export const ACCEPTED = ["queued", "scheduled"] as const satisfies readonly Status[];
export type AcceptedStatus = (typeof ACCEPTED)[number];

/** A move; `from` is null at acceptance. A requeue also changes the attempt, see `attemptAfter`. */
export type Move = { from: Status | null; to: Status };

/** Whether `to` may follow `from`. */
export function canMove(from: Status | null, to: Status): boolean {
  if (from === null) return (ACCEPTED as readonly Status[]).includes(to);
  return MACHINE[from].to.includes(to) || (to === "queued" && MACHINE[from].requeues);
}

/**
 * The attempt (0-based) after a move that began at `attempt`: the next one if the message is queued again.
 */
export function attemptAfter({ from, to }: Move, attempt: number): number {
  return to === "queued" && from !== null && MACHINE[from].requeues ? attempt + 1 : attempt;
}

/**
 * Orders the changes of one message without a clock: 6 numbers per attempt (0-based), one for each rank. It
 * grows with every move, whoever makes it, so no two events of a message have the same number.
 */
export function sequenceOf(attempt: number, status: Status): number {
  return SEQUENCES_AN_ATTEMPT * attempt + MACHINE[status].rank;
}

const SEQUENCES_AN_ATTEMPT = 6;
// The largest value of messages.sequence and of its column in messages_log.
const SEQUENCE_MAX = 65_535;
assert(sequenceOf(MESSAGE_ATTEMPTS_MAX, "failed") <= SEQUENCE_MAX, "the sequences of all attempts fit");
for (const { to, rank } of Object.values(MACHINE))
  assert(
    to.every((status) => MACHINE[status].rank > rank),
    "a move goes to a higher rank",
  );

/**
 * The latest status that events have reported for a message at `status`. `sending` is never reported, so that
 * is the `queued` before it.
 */
export const eventStatus = (status: Status): Status => (status === "sending" ? "queued" : status);

/** Subtract this from a message's sequence to get the sequence of its latest event. */
export const sequencesSinceEvent = (status: Status): number =>
  MACHINE[status].rank - MACHINE[eventStatus(status)].rank;

// ---- money ----

/** What a move does with the cost of its message. */
export type Charge = "reserve" | "capture" | "refund";

type Charging = {
  when: string;
  to: readonly Status[];
  /** For express messages that an operator accepted after `guaranteed_by`. */
  late?: true;
  charge: Charge | null;
};

/** The first row that fits a move decides. Money that is settled never moves again. */
export const CHARGING: readonly Charging[] = [
  {
    when: "an operator took it after `guaranteed_by` (express)",
    to: ["sent", "delivered", "undelivered"],
    late: true,
    charge: "refund",
  },
  { when: "an operator took it", to: ["sent", "delivered", "undelivered"], charge: "capture" },
  {
    when: "it ended before an operator took it",
    to: ["failed", "rejected", "expired", "canceled"],
    charge: "refund",
  },
  { when: "it was submitted, but the answer was lost", to: ["unknown"], charge: null },
  { when: "it is on its way", to: ["scheduled", "queued", "sending"], charge: null },
];

// The same table by status, because it is looked up for each message.
type Settled = Exclude<Charge, "reserve"> | null;
const chargeAt = (status: Status, late: boolean): Settled => {
  const row = CHARGING.find(({ to, late: onlyLate = false }) => to.includes(status) && (late || !onlyLate));
  assert(row !== undefined && row.charge !== "reserve", `${status} has a row in the table of charges`);
  return row.charge;
};
const CHARGE = Object.fromEntries(
  STATUSES.map((status) => [status, { inTime: chargeAt(status, false), late: chargeAt(status, true) }]),
) as Record<Status, { inTime: Settled; late: Settled }>;

/** What became of the reserved cost of a message at `status`; null: it is still reserved. */
export function settlementOf(status: Status, late = false): "capture" | "refund" | null {
  return late ? CHARGE[status].late : CHARGE[status].inTime;
}

/** What this move does with the money; null: nothing. For `late`, see `isLate`. */
export function chargeOf(move: Move & { from: null }, late: boolean): "reserve";
export function chargeOf(move: Move, late: boolean): Charge | null;
export function chargeOf({ from, to }: Move, late: boolean): Charge | null {
  if (from === null) return "reserve";
  if (settlementOf(from) !== null) return null;
  return settlementOf(to, late);
}

/**
 * The statuses of unreserved messages: nothing was reserved for them at their acceptance, because their
 * customer's mode is `async`, and they wait for their first claim, or ended without one.
 */
export const UNRESERVED: readonly Status[] = [
  "scheduled",
  "queued",
  "failed",
  "rejected",
  "expired",
  "canceled",
];

/**
 * What this move does with the money of an unreserved message; null: nothing. It is reserved by its claim.
 */
export function chargeOfUnreserved({ from, to }: Move): "reserve" | null {
  assert(from === null || (UNRESERVED.includes(from) && !isFinal(from)), `what is ${from} has a reserve`);
  if (from === "queued" && to === "sending") return "reserve";
  assert(UNRESERVED.includes(to), `what becomes ${to} has a reserve`);
  return null;
}

/** Whether an operator accepted an express message after the promised time. */
export function isLate(message: { guaranteedByMs: number | null }, takenAtMs: number | null): boolean {
  return message.guaranteedByMs !== null && takenAtMs !== null && takenAtMs > message.guaranteedByMs;
}

// ---- names ----

/**
 * Statuses that nothing follows. Not `sent`: it is captured but still waits for its delivery report. Not
 * `unknown` either: its outcome is still to come.
 */
export const FINAL = STATUSES.filter((status) => isFinal(status));

export function isFinal(status: Status): boolean {
  return MACHINE[status].rank === ends.rank;
}

export function isStatus(value: unknown): value is Status {
  return typeof value === "string" && Object.hasOwn(MACHINE, value);
}

export function isLane(value: unknown): value is Lane {
  return value === "normal" || value === "express";
}
