// What a message may be and become: its statuses, lanes and moves, the numbers that order them, and what each
// move does with the money. One table of each; every role, the SQL that moves a message
// (src/ledger/move.ts), reconcile and docs/reference/message.md follow them.
// Leaves to others: who makes a move, and how it is stored.
// Invariants: a final status is never left; along every move the sequence grows; a message's money is settled
// by one move, the first that leaves `reserved`.

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
/** The lane of a message; the API calls it `type`. */
export type Lane = (typeof LANES)[number];

export type Encoding = "gsm7" | "ucs2";

// ---- moves ----

type Row = {
  /** Orders the statuses of one attempt: every move within it goes to a higher one. */
  rank: 0 | 1 | 2 | 3 | 4 | 5;
  /** What may follow within the attempt. */
  to: readonly Status[];
  /** Whether the message may be queued again, under its next attempt: the only way back. */
  requeues: boolean;
};

const ends = { rank: 5, to: [], requeues: false } as const;

// A report can overtake the settlement of its own submit, so `sending` may go straight to delivered or
// undelivered. `queued` may end by itself when its record can never be produced or is too late, and is queued
// again when its record was lost.
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

/** What acceptance stores a message as. */
export const ACCEPTED = ["queued", "scheduled"] as const satisfies readonly Status[];
export type AcceptedStatus = (typeof ACCEPTED)[number];

/**
 * A move: `from` null is acceptance. A message queued again changes its attempt with it, see `attemptAfter`.
 */
export type Move = { from: Status | null; to: Status };

/** Whether `to` may follow `from`. */
export function canMove(from: Status | null, to: Status): boolean {
  if (from === null) return (ACCEPTED as readonly Status[]).includes(to);
  return MACHINE[from].to.includes(to) || (to === "queued" && MACHINE[from].requeues);
}

/** The attempt (0-based) of a message that moved at `attempt`: the next one when it is queued again. */
export function attemptAfter({ from, to }: Move, attempt: number): number {
  return to === "queued" && from !== null && MACHINE[from].requeues ? attempt + 1 : attempt;
}

/**
 * Orders what happened to one message without a clock: 6 numbers an attempt (0-based), one a rank. It grows
 * along every move, whoever makes it, so no two events of a message have one number.
 */
export function sequenceOf(attempt: number, status: Status): number {
  return SEQUENCES_AN_ATTEMPT * attempt + MACHINE[status].rank;
}

const SEQUENCES_AN_ATTEMPT = 6;
// messages.sequence and the column of messages_log.
const SEQUENCE_MAX = 65_535;
assert(sequenceOf(MESSAGE_ATTEMPTS_MAX, "failed") <= SEQUENCE_MAX, "the sequences of all attempts fit");
for (const { to, rank } of Object.values(MACHINE))
  assert(
    to.every((status) => MACHINE[status].rank > rank),
    "a move goes to a higher rank",
  );

/**
 * The status that events have told of a message at `status`: to be `sending` is none, it is the `queued`
 * before.
 */
export const toldStatus = (status: Status): Status => (status === "sending" ? "queued" : status);

/** What `toldStatus` is behind: subtracted from a message's sequence it gives that of its newest event. */
export const untoldSequences = (status: Status): number =>
  MACHINE[status].rank - MACHINE[toldStatus(status)].rank;

// ---- money ----

/** What a move does with the cost of its message. */
export type Charge = "reserve" | "capture" | "refund";

type Charging = {
  when: string;
  to: readonly Status[];
  /** For express messages that an operator took after `guaranteed_by`. */
  late?: true;
  charge: Charge | null;
};

/** The first row that fits a move decides; money that is settled never moves again. */
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
  { when: "it was submitted and the answer is lost", to: ["unknown"], charge: null },
  { when: "it is on its way", to: ["scheduled", "queued", "sending"], charge: null },
];

// The same as a table by status: looked up for each message.
type Settled = Exclude<Charge, "reserve"> | null;
const chargeAt = (status: Status, late: boolean): Settled => {
  const row = CHARGING.find(({ to, late: onlyLate = false }) => to.includes(status) && (late || !onlyLate));
  assert(row !== undefined && row.charge !== "reserve", `${status} has a row in the table of charges`);
  return row.charge;
};
const CHARGE = Object.fromEntries(
  STATUSES.map((status) => [status, { inTime: chargeAt(status, false), late: chargeAt(status, true) }]),
) as Record<Status, { inTime: Settled; late: Settled }>;

/** What has become of the reserved cost of a message that is at `status`; null: it is still reserved. */
export function settlementOf(status: Status, late = false): "capture" | "refund" | null {
  return late ? CHARGE[status].late : CHARGE[status].inTime;
}

/** What this move does with the money. `late`: see `isLate`. */
export function chargeOf(move: Move & { from: null }, late: boolean): "reserve";
export function chargeOf(move: Move, late: boolean): Charge | null;
export function chargeOf({ from, to }: Move, late: boolean): Charge | null {
  if (from === null) return "reserve";
  if (settlementOf(from) !== null) return null;
  return settlementOf(to, late);
}

/** Whether an operator took an express message after the time that was promised. */
export function isLate(message: { guaranteedByMs: number | null }, takenAtMs: number | null): boolean {
  return message.guaranteedByMs !== null && takenAtMs !== null && takenAtMs > message.guaranteedByMs;
}

// ---- names ----

/**
 * Statuses that nothing follows. `sent` is captured but still waits for its delivery report; `unknown` for
 * anything.
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
