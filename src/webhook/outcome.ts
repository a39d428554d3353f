// What an answer means for its delivery: acknowledged, tried again later, or over; and how long until the
// next try. Pure. Leaves what it means for the endpoint to deliver.ts.
// Invariant: a delivery is tried at doubling intervals until its time is over, with one last try when it is.

import type { Peer } from "../core/peers/form.ts";
import { WEBHOOK_PROBE_FIRST_MS, WEBHOOK_PROBE_MAX_MS } from "../core/webhook-limits.ts";
import type { Delivery, CallOutcome } from "../ledger/webhook-deliveries.ts";
import { type Backoff, backoffMs } from "../platform/retry.ts";
import type { WEBHOOK_RESULTS } from "../platform/webhook-metrics.ts";
import type { CallAnswer } from "./call.ts";

export type CallResult = (typeof WEBHOOK_RESULTS)[number];

/** 5 s, 10 s, 20 s … up to 3 h, each shortened by up to half at random: some 20 tries in 24 h. */
const RETRY: Backoff = { firstMs: 5_000, mostMs: 3 * 3_600_000 };
/** How often an endpoint that fails is asked whether it works again. */
const PROBE: Backoff = { firstMs: WEBHOOK_PROBE_FIRST_MS, mostMs: WEBHOOK_PROBE_MAX_MS };
const GONE = 410;
const NOT_FOUND = 404;
const JASMIN_ACK = "ACK/Jasmin";

/** `peer`: whose form the call had; null: Sluice's own. */
export function resultOf(answer: CallAnswer, peer: Peer | null = null): CallResult {
  switch (answer.kind) {
    case "answered":
      if (isAcknowledged(answer, peer)) return "acknowledged";
      return isOver(answer.code, peer) ? "gone" : "refused";
    case "not-allowed":
      return "not_allowed";
    case "failed":
      return answer.timedOut ? "timed_out" : "not_connected";
  }
}

type Answered = Extract<CallAnswer, { kind: "answered" }>;

/** Jasmin's receivers say so in the body; an error page with a 200 says nothing. */
const isAcknowledged = ({ code, body }: Answered, peer: Peer | null): boolean =>
  code >= 200 && code < 300 && (peer !== "jasmin" || body?.trim() === JASMIN_ACK);

/** Jasmin never calls again after a 404. */
const isOver = (code: number, peer: Peer | null): boolean =>
  code === GONE || (peer === "jasmin" && code === NOT_FOUND);

/** `leftMs`: how much of the delivery's time is left now. */
export function outcomeOf(
  delivery: Pick<Delivery, "eventId" | "giveUpAtMs" | "attempts">,
  answer: CallAnswer,
  leftMs: number,
  random: () => number,
  peer: Peer | null = null,
): CallOutcome {
  const result = resultOf(answer, peer);
  const { eventId, giveUpAtMs } = delivery;
  const of = { eventId, giveUpAtMs };
  const code = answer.kind === "answered" ? answer.code : null;
  if (result === "acknowledged") return { ...of, state: "delivered", code, error: null, delayMs: 0 };
  const error = errorOf(answer, peer);
  if (result === "gone" || leftMs <= 0) return { ...of, state: "failed", code, error, delayMs: 0 };
  const delayMs = Math.min(leftMs, backoffMs(RETRY, delivery.attempts + 1, random));
  return { ...of, state: "pending", code, error, delayMs };
}

/** Why a call did not succeed, as its customer sees it; null if it did. */
export function errorOf(answer: CallAnswer, peer: Peer | null = null): string | null {
  if (answer.kind !== "answered") return answer.reason;
  const result = resultOf(answer, peer);
  if (result === "acknowledged") return null;
  if (result === "gone") return `answered ${answer.code}: no more calls`;
  if (answer.code >= 200 && answer.code < 300) return `answered ${answer.code} without ${JASMIN_ACK}`;
  return `answered ${answer.code}${isRedirect(answer.code) ? ": redirects are not followed" : ""}`;
}

const isRedirect = (code: number): boolean => code >= 300 && code < 400;

/** How long an endpoint with so many failures in a row, the last of them beyond `from`, is left alone. */
export const probeDelayMs = (failures: number, from: number, random: () => number): number =>
  backoffMs(PROBE, Math.max(1, failures - from), random);
