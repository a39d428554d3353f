// Spend caps: how much a customer may spend in a UTC day and in a UTC month, when each ends, and the refusal
// of what a cap has no room for. Pure. Leaves to others: what was spent (src/ledger/spend-caps.ts), and
// keeping grants within the room (src/ledger/grant.ts).
// Invariant: a cap's `left` is all that could still be spent under it, wherever that credit is held.

import { SluiceError } from "./errors.ts";

/** In the order in which they end. */
export const CAP_PERIODS = ["daily", "monthly"] as const;
export type CapPeriod = (typeof CAP_PERIODS)[number];

/** Why a message can't be paid for. */
export const UNPAID_CODES = ["insufficient_balance", "spend_cap_reached"] as const;
export type UnpaidCode = (typeof UNPAID_CODES)[number];

/** One cap at a moment, in minor units. */
export type CapLeft = {
  cap: CapPeriod;
  limit: number;
  /** The limit less what was spent; below 0 after the cap was lowered. */
  left: number;
  /** When the period ends, Unix ms. */
  resetsAtMs: number;
};

/** The bounds of the period that contains this moment, Unix ms; `toMs` is the first moment after it. */
export function periodAt(cap: CapPeriod, atMs: number): { fromMs: number; toMs: number } {
  const at = new Date(atMs);
  const [year, month, day] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()];
  return cap === "daily"
    ? { fromMs: Date.UTC(year, month, day), toMs: Date.UTC(year, month, day + 1) }
    : { fromMs: Date.UTC(year, month), toMs: Date.UTC(year, month + 1) };
}

/** A 402: the wallet could pay `required`, and this cap has no room for it. */
export class SpendCapError extends SluiceError {
  readonly reached: CapLeft;
  constructor(required: number, reached: CapLeft) {
    const { cap, limit, resetsAtMs } = reached;
    const left = Math.max(0, reached.left);
    const resetsAt = new Date(resetsAtMs).toISOString();
    super("spend_cap_reached", {
      detail: `This costs ${required}; ${left} are left of the ${cap} cap of ${limit} until ${resetsAt}.`,
      extra: { required, cap, limit, left, resets_at: resetsAt },
    });
    this.reached = reached;
  }
}
