// Accepts the messages of one request together: one reservation and one commit for all of them, so that a
// crash leaves all or none. If a phone opted out, none is taken: doors leave such messages out before. If
// the wallet can't pay for all, none is taken, or, if the caller wants that, the first ones that it can pay
// for. Leaves to the doors: which of a request's messages can be sent at all (core/batch.ts), and replays of
// used keys.
// Invariant: that of accept-message.ts, for all messages that are taken; those that are not leave nothing.
// Bound: BATCH_MESSAGES_MAX messages; PAYABLE_TRIES_MAX reservations.

import assert from "node:assert/strict";
import type { IsGone } from "../core/caller.ts";
import type { Draft } from "../core/draft.ts";
import { insufficientBalance, SluiceError } from "../core/errors.ts";
import { optedOut } from "../core/opt-out.ts";
import { SpendCapError, type UnpaidCode } from "../core/spend-cap.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { Lane } from "../core/message.ts";
import type { KeptAnswer } from "../ledger/idempotency.ts";
import { type AcceptDeps, createWayOf, isRefusal, type Payer, recordOf } from "./accept-message.ts";
import type { PromiseTerms } from "./express-promise.ts";
import type { Reservation } from "./lease-table.ts";
import type { Rates } from "./rate-limits.ts";

export type BatchRequest = {
  payer: Payer;
  /** At least one, all of one lane, of express all for one time. */
  drafts: readonly Draft[];
  /** The lane for express messages to which nothing can be promised; null: they are refused. */
  fallback: "normal" | null;
  /** Take the first ones if the wallet can't pay for all; otherwise none. */
  partial: boolean;
  /** The answer stored with the messages, for later requests with the same key; null without a key. */
  kept: KeptAnswer<AcceptedBatch> | null;
  /** W3C trace context, '' when none */
  traceparent: string;
  isGone: IsGone;
};
export type AcceptedBatch = {
  /** A ULID of its own, just below those of its messages. */
  id: string;
  lane: Lane;
  /** Of the drafts in order: all of them, or, if the request is `partial`, the first ones. */
  messages: readonly Pick<LaneRecord, "id" | "encoding" | "parts" | "cost" | "sendAtMs">[];
  /** of all of them, minor units of the payer's currency */
  cost: number;
  /**
   * The customer's remaining credit, as far as this process knows, in minor units; null: nothing was
   * reserved.
   */
  balanceAfter: number | null;
  /** Why the drafts after those were not taken. */
  unpaid: UnpaidCode;
  /** Express only: the promised time by which operators have taken them all. */
  guaranteedByMs: number | null;
  /** When they are to be sent, if they are all scheduled for one time. */
  sendAtMs?: number;
};
export type AcceptBatch = (request: BatchRequest) => Promise<{ accepted: AcceptedBatch; rate: Rates | null }>;

/** Others may spend what a 402 said was there: how often the rest is tried. */
const PAYABLE_TRIES_MAX = 8;

/**
 * The function it returns throws SluiceError: lane_saturated, rate_limited (RateLimitedError),
 * validation_failed, insufficient_balance, spend_cap_reached, credit_elsewhere, overloaded, unavailable,
 * outcome_unknown; also KeyTakenError and CallerGoneError.
 */
export function createAcceptBatch(deps: AcceptDeps, terms: PromiseTerms): AcceptBatch {
  const { commits, limits, optOuts, id } = deps;
  const wayOf = createWayOf(deps, terms);
  const payFor = createPayFor(deps);

  return async ({ payer, drafts, fallback, partial, kept, traceparent, isGone }) => {
    assert(drafts.length > 0, "a batch has messages");
    const wanted = drafts[0] as Draft;
    const { customerId } = payer;
    if (!optOuts.hasNone(customerId) && (await optOuts.refused(customerId, drafts)).size > 0)
      throw optedOut();
    const { lane, promisedMs } = wayOf(wanted, customerId, fallback);
    let parts = partsOf(drafts);
    const rate = limits.take(payer, parts);
    try {
      const batchId = id();
      const records = drafts.map((draft) =>
        recordOf(id(), payer, { ...draft, lane }, { traceparent, promisedMs }),
      );
      const { paid, reservation, unpaid: why } = await payFor(records, partial, isGone);
      const unpaid = partsOf(records.slice(paid.length));
      if (unpaid > 0) limits.giveBack(payer, unpaid);
      parts -= unpaid;
      const accepted: AcceptedBatch = {
        id: batchId,
        lane,
        messages: paid,
        cost: costOf(paid),
        balanceAfter: reservation === null ? null : reservation.balanceAfter,
        unpaid: why,
        guaranteedByMs: (paid.at(-1) as LaneRecord).guaranteedByMs, // the latest: ids only increase
      };
      const [first, ...others] = paid as [LaneRecord, ...LaneRecord[]];
      const { sendAtMs } = first;
      if (sendAtMs !== undefined && others.every((other) => other.sendAtMs === sendAtMs))
        accepted.sendAtMs = sendAtMs;
      const claim =
        kept === null
          ? null
          : { ...kept.key, owner: first.id, status: kept.status, answer: kept.answerOf(accepted) };
      await commits.store(first, reservation, claim, isGone, others);
      return { accepted, rate };
    } catch (error) {
      if (isRefusal(error)) limits.giveBack(payer, parts);
      throw error;
    }
  };
}

/** `reservation`: null if no credit is reserved yet. */
type Paid = { paid: readonly LaneRecord[]; reservation: Reservation | null; unpaid: UnpaidCode };

/** Gets places in the queue and the credit for all of them, for the first ones if `partial`, or for none. */
function createPayFor({ book, commits }: Pick<AcceptDeps, "book" | "commits">) {
  return async (records: readonly LaneRecord[], partial: boolean, isGone: IsGone): Promise<Paid> => {
    const [first] = records as [LaneRecord];
    let paid = records;
    let unpaid: UnpaidCode = "insufficient_balance";
    commits.admit(first.customerId, paid.length);
    if (first.unreserved === true) return { paid, reservation: null, unpaid };
    try {
      for (let tries = 1; ; tries++) {
        try {
          const cost = costOf(paid);
          const unit = Math.ceil(cost / paid.length);
          const reservation = await book.reserve(first.customerId, cost, isGone, unit);
          return { paid, reservation, unpaid };
        } catch (error) {
          const left = partial ? leftIn(error) : null;
          if (left === null) throw error;
          const most = payable(paid, left.amount);
          if (most === 0) throw left.without(first.cost);
          unpaid = left.code;
          if (tries === PAYABLE_TRIES_MAX) throw new SluiceError("credit_elsewhere", { cause: error });
          commits.leave(first.customerId, paid.length - most);
          paid = paid.slice(0, most);
        }
      }
    } catch (error) {
      commits.leave(first.customerId, paid.length);
      throw error;
    }
  };
}

/** What can still be spent, if that is not enough; `without` says it of a cost. */
type Left = { code: UnpaidCode; amount: number; without: (cost: number) => SluiceError };

/** Null for any error but a 402. */
function leftIn(error: unknown): Left | null {
  if (error instanceof SpendCapError) {
    const { reached } = error;
    const without = (cost: number) => new SpendCapError(cost, reached);
    return { code: "spend_cap_reached", amount: Math.max(0, reached.left), without };
  }
  if (!(error instanceof SluiceError) || error.code !== "insufficient_balance") return null;
  const amount = Number(error.extra.balance);
  return { code: error.code, amount, without: (cost) => insufficientBalance(cost, amount) };
}

/** How many of the first ones this pays for. */
function payable(records: readonly LaneRecord[], balance: number): number {
  let left = balance;
  const at = records.findIndex(({ cost }) => (left -= cost) < 0);
  return at === -1 ? records.length : at;
}

// Prices are such that a message's cost is exact; a sum above that is more than any wallet can hold.
const costOf = (records: readonly LaneRecord[]): number => records.reduce((sum, { cost }) => sum + cost, 0);
const partsOf = (messages: readonly { parts: number }[]): number =>
  messages.reduce((sum, { parts }) => sum + parts, 0);
