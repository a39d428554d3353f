// Accepts one message from any door (an entry point, such as the HTTP API): refuses a phone that opted out,
// decides what an express message is promised, prices it, checks the customer's rate limit, reserves its
// credit unless its customer's mode is `async`, then stores and charges it in a group commit. Leaves to the
// doors: the format of requests and answers, authentication, and replays of used idempotency keys
// (idempotency.ts).
// Invariant: if the promise resolves, the message is stored and charged, or stored as unreserved; if it
// rejects, it is neither, except for `outcome_unknown`. A message whose caller is gone before its commit
// begins leaves nothing behind. What is refused does not count against the rate limit.

import { callbackOf, type CallbackWish } from "../core/callback.ts";
import { CallerGoneError, type IsGone } from "../core/caller.ts";
import type { Draft } from "../core/draft.ts";
import { laneSaturated, SluiceError } from "../core/errors.ts";
import { optedOut } from "../core/opt-out.ts";
import { type IdFactory, ulidTimeMs } from "../core/id.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { AcceptedStatus, Encoding, Lane } from "../core/message.ts";
import { cost as costOf } from "../core/money.ts";
import { destinationRefused, type PricePlan, priceOf } from "../core/price-plan.ts";
import type { Customer } from "../customers/customers.ts";
import { type KeptAnswer, type KeyClaim, KeyTakenError } from "../ledger/idempotency.ts";
import type { NewOtp } from "../ledger/otps.ts";
import { type Promised, type PromiseTerms, retryAfterS } from "./express-promise.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { LeaseBook } from "./lease-book.ts";
import type { Paid, Rider } from "./lease-table.ts";
import type { OptOuts } from "./opt-outs.ts";
import type { RateLimits, Rates } from "./rate-limits.ts";

const NO_OTHERS: readonly LaneRecord[] = [];

/** The customer who pays. */
export type Payer = Pick<
  Customer,
  "customerId" | "priceNormal" | "priceExpress" | "currency" | "rateLimit" | "requestLimit" | "resendsUnknown"
> & {
  /** Absent if it wants to be told nothing. */
  webhook?: CallbackWish;
  /** Absent if its own prices hold for all numbers. */
  plan?: PricePlan;
  /** Its messages are accepted without credit (ledger/unreserved.ts); absent for most. */
  isAsync?: true;
};
export type AcceptRequest = {
  payer: Payer;
  draft: Draft;
  /** The lane for an express message to which nothing can be promised; null: it is refused. */
  fallback: "normal" | null;
  /** The most that is promised for an express message; absent: as the lane and the settings say. */
  promiseMaxMs?: number;
  /** The answer stored with the message, for later requests with the same key; null without a key. */
  kept: KeptAnswer<Accepted> | null;
  /** W3C trace context, '' when none */
  traceparent: string;
  isGone: IsGone;
  /** The one-time code that the message brings; its text has the placeholder. */
  otp?: OtpOfMessage;
};
/** `hash` and `sealedCode`: of core/otp-secret.ts; `ttlMs`: for how long it is right. */
export type OtpOfMessage = Pick<NewOtp, "otpId" | "hash"> & { sealedCode: string; ttlMs: number };
export type Accepted = {
  id: string;
  customerId: number;
  lane: Lane;
  encoding: Encoding;
  parts: number;
  /** minor units of `currency` */
  cost: number;
  currency: string;
  /**
   * The customer's remaining credit, as far as this process knows, in minor units; null: nothing was
   * reserved.
   */
  balanceAfter: number | null;
  status: AcceptedStatus;
  /** Express only: the promised time by which an operator has taken it. */
  guaranteedByMs: number | null;
  /** When it is to be sent, if it is scheduled. */
  sendAtMs?: number;
};
export type AcceptMessage = (request: AcceptRequest) => Promise<{ accepted: Accepted; rate: Rates | null }>;
/** What became of express messages to which nothing could be promised. */
export type SaturatedCounts = Record<"refused" | "fallback", (n: number) => void>;
export type AcceptDeps = {
  book: LeaseBook;
  commits: GroupCommit;
  limits: Pick<RateLimits, "take" | "giveBack">;
  optOuts: Pick<OptOuts, "hasNone" | "refused">;
  id: IdFactory;
  /** What can be promised to this customer for an express message. */
  promise: (customerId: number) => Promised;
  saturated: SaturatedCounts;
};

/**
 * The function it returns throws SluiceError: lane_saturated, rate_limited (RateLimitedError),
 * validation_failed, insufficient_balance, spend_cap_reached, credit_elsewhere, overloaded, unavailable,
 * outcome_unknown; also KeyTakenError and CallerGoneError.
 */
export function createAcceptMessage(deps: AcceptDeps, terms: PromiseTerms): AcceptMessage {
  const { book, commits, limits, optOuts, id } = deps;
  const wayOf = createWayOf(deps, terms);
  /**
   * Gets both a place in the queue and the credit, or neither, and stores the message. Returns the balance
   * after it; null: no credit is reserved yet.
   */
  const store = async (rider: Rider, isGone: IsGone): Promise<number | null> => {
    const { record, otp } = rider;
    const { customerId, cost, unreserved } = record;
    commits.admit(customerId);
    if (unreserved === true) {
      await commits.store(record, null, rider.keyOf(null), isGone, NO_OTHERS, otp);
      return null;
    }
    let paid: Paid;
    try {
      paid = await book.reserveOrStore(customerId, cost, isGone, rider);
    } catch (error) {
      commits.leave(customerId);
      throw error;
    }
    const { balanceAfter } = paid;
    if ("isStored" in paid) commits.stored(customerId);
    else await commits.store(record, paid, rider.keyOf(balanceAfter), isGone, NO_OTHERS, otp);
    return balanceAfter;
  };

  return async ({ payer, draft: wanted, fallback, promiseMaxMs, kept, traceparent, isGone, otp }) => {
    if (!optOuts.hasNone(payer.customerId) && (await optOuts.refused(payer.customerId, [wanted])).size > 0)
      throw optedOut();
    const { lane, promisedMs: usualMs } = wayOf(wanted, payer.customerId, fallback);
    const promisedMs =
      usualMs === null || promiseMaxMs === undefined ? usualMs : Math.min(usualMs, promiseMaxMs);
    const draft = lane === wanted.lane ? wanted : { ...wanted, lane };
    const rate = limits.take(payer, draft.parts);
    try {
      const record = recordOf(id(), payer, draft, { traceparent, promisedMs });
      if (otp !== undefined) record.sealedCode = otp.sealedCode;
      const keyOf = (balanceAfter: number | null): KeyClaim | null => {
        if (kept === null) return null;
        const answer = kept.answerOf(acceptedOf(record, payer, balanceAfter));
        return { ...kept.key, owner: record.id, status: kept.status, answer };
      };
      const rider = { record, keyOf, otp: otp === undefined ? undefined : newOtp(record, otp) };
      return { accepted: acceptedOf(record, payer, await store(rider, isGone)), rate };
    } catch (error) {
      if (isRefusal(error)) limits.giveBack(payer, draft.parts);
      throw error;
    }
  };
}

/** Whether it is certain that nothing was stored; of an error that nobody foresaw it is not. */
export const isRefusal = (error: unknown): boolean =>
  error instanceof CallerGoneError ||
  error instanceof KeyTakenError ||
  (error instanceof SluiceError && error.code !== "outcome_unknown");

/** The lane by which a message goes, and within which time it is promised; null: it is not. */
export type Way = { lane: Lane; promisedMs: number | null };
const NORMAL: Way = { lane: "normal", promisedMs: null };

/**
 * Decides by which lane messages of a customer go that are accepted now. To one that is sent later the usual
 * time is promised, because nobody knows how long messages will wait then (decision 0018). The function it
 * returns throws SluiceError lane_saturated.
 */
export function createWayOf(
  { promise, saturated }: Pick<AcceptDeps, "promise" | "saturated">,
  terms: PromiseTerms,
): (wanted: Pick<Draft, "lane" | "sendAtMs">, customerId: number, fallback: "normal" | null) => Way {
  const usual: Way = { lane: "express", promisedMs: terms.usualMs };
  return ({ lane, sendAtMs }, customerId, fallback) => {
    if (lane !== "express") return NORMAL;
    if (sendAtMs !== undefined) return usual;
    const made = promise(customerId);
    if (made.kind === "promised") return { lane, promisedMs: made.withinMs };
    saturated[fallback === null ? "refused" : "fallback"](1);
    if (fallback !== null) return NORMAL;
    const seconds = (ms: number) => Math.ceil(ms / 1_000);
    throw laneSaturated(seconds(made.neededMs), seconds(terms.largestMs), retryAfterS(made.neededMs, terms));
  };
}

/**
 * A message as it is stored, at the price of the moment of its id. `promisedMs`: within which time, express
 * only. Its promise and its validity count from its acceptance, or from when it is to be sent. @throws
 * SluiceError validation_failed, if the payer's plan refuses the number
 */
export function recordOf(
  id: string,
  payer: Payer,
  draft: Draft,
  { traceparent, promisedMs }: { traceparent: string; promisedMs: number | null },
): LaneRecord {
  const createdAtMs = ulidTimeMs(id);
  const price = priceOf(payer, draft.lane, draft.phone, createdAtMs);
  if (price === null) throw destinationRefused();
  const { sendAtMs } = draft;
  const fromMs = sendAtMs ?? createdAtMs;
  const callback = draft.told ?? callbackOf(payer.webhook, draft.callbackUrl);
  const record: LaneRecord = {
    id,
    customerId: payer.customerId,
    phone: draft.phone,
    text: draft.text,
    from: draft.from,
    reference: draft.reference,
    lane: draft.lane,
    encoding: draft.encoding,
    parts: draft.parts,
    cost: costOf(draft.parts, price),
    createdAtMs,
    attempt: 0,
    guaranteedByMs: promisedMs === null ? null : fromMs + promisedMs,
    validUntilMs: draft.validForMs === null ? null : fromMs + draft.validForMs,
    traceparent,
    ...(callback === undefined ? {} : { callback }),
  };
  if (sendAtMs !== undefined) record.sendAtMs = sendAtMs;
  if (draft.lane === "express" && payer.resendsUnknown) record.mayResend = true;
  if (payer.isAsync === true) record.unreserved = true;
  return record;
}

const newOtp = (record: LaneRecord, { otpId, hash, ttlMs }: OtpOfMessage): NewOtp => ({
  otpId,
  customerId: record.customerId,
  phone: record.phone,
  messageId: record.id,
  hash,
  expiresAtMs: record.createdAtMs + ttlMs,
});

function acceptedOf(r: LaneRecord, { currency }: Payer, balanceAfter: number | null): Accepted {
  const accepted: Accepted = {
    id: r.id,
    customerId: r.customerId,
    lane: r.lane,
    encoding: r.encoding,
    parts: r.parts,
    cost: r.cost,
    currency,
    balanceAfter,
    status: "queued",
    guaranteedByMs: r.guaranteedByMs,
  };
  if (r.sendAtMs !== undefined) {
    accepted.status = "scheduled";
    accepted.sendAtMs = r.sendAtMs;
  }
  return accepted;
}
