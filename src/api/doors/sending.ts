// How doors accept what their peers' clients send: the checks, acceptance and charge of /v1, for one message
// or for a list that is taken as a whole or not at all. Leaves to each door the translation of request and
// answer.
// Invariant: an answer that says accepted comes after the commit; a repeat with the same Idempotency-Key gets
// the same bytes, and nothing is sent again.

import { type Draft, type DraftInput, draftOf } from "../../core/draft.ts";
import type { UrlRules } from "../../core/callback-url.ts";
import type { FieldError } from "../../core/errors.ts";
import { OPTED_OUT_REASON } from "../../core/opt-out.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import type { AcceptBatch, AcceptedBatch } from "../../ingest/accept-batch.ts";
import type { Accepted, AcceptMessage } from "../../ingest/accept-message.ts";
import type { Idempotency } from "../../ingest/idempotency.ts";
import type { OptOuts } from "../../ingest/opt-outs.ts";
import type { Rates } from "../../ingest/rate-limits.ts";
import type { RequestKey } from "../../ledger/idempotency.ts";
import type { AccessDeps } from "../access.ts";
import { draftRules } from "../draft-rules.ts";
import { givenKey, onceAs } from "../idempotency-key.ts";
import { rateHeaders } from "../rate-headers.ts";
import type { Arrival, Written } from "../route.ts";

export type SendingDeps = {
  callers: AccessDeps;
  accept: AcceptMessage;
  acceptBatch: AcceptBatch;
  keys: Idempotency;
  optOuts: Pick<OptOuts, "hasNone" | "refused">;
  callbacks: UrlRules;
  now: () => number;
};

/** What was accepted; `id` is the batch's, or, of a single message, its own. */
export type Sent = { id: string; messages: readonly [SentMessage, ...SentMessage[]] };
/** `phone` is in E.164. `isScheduled`: it is sent later, as was asked for or because of quiet hours. */
type SentMessage = { id: string; phone: string; parts: number; isScheduled: boolean };

export type Sending = {
  arrival: Arrival;
  owner: KeyOwner;
  /** All that the request asks for, without its credentials: what a repeat must ask for as well. */
  asked: string;
  /**
   * At least one, all of one lane. Called only if this is no repeat: a time that could be asked for at first
   * may be too near, or over, when it is asked for again.
   */
  inputs(): readonly DraftInput[];
  /** How long those without a validity are valid, from their time on; as long as is usual if absent. */
  usuallyValidMs?: number;
  /** The peer's answer to a message that can't be sent. */
  refused(errors: readonly FieldError[], input: DraftInput): Error;
  /** The peer's answer, and the headers it has each time. */
  status: number;
  answerOf(sent: Sent): string;
  headers: Record<string, string>;
};

/**
 * The key is that of the header unless given. @throws what `inputs` throws or `refused` returns; SluiceError
 * as accept-batch.ts says, and of the key: malformed_request, validation_failed, idempotency_in_progress,
 * idempotency_key_reused
 */
export async function send(
  deps: SendingDeps,
  sending: Sending,
  key: string | null = givenKey(sending.arrival.request),
): Promise<Written> {
  const { owner, arrival, headers } = sending;
  const call = { owner, isGone: arrival.isGone, bytes: Buffer.from(sending.asked) };
  const written = await onceAs(key, deps.keys, call, "send", (claim) => accepted(deps, sending, claim));
  return { ...written, headers: { ...headers, ...written.headers } };
}

async function accepted(deps: SendingDeps, sending: Sending, key: RequestKey | null): Promise<Written> {
  const { owner, arrival, status } = sending;
  const rules = draftRules(owner, { callbacks: deps.callbacks, now: deps.now });
  const inputs = sending.inputs();
  const drafts = inputs.map((input) => {
    const result = draftOf(input, rules);
    if (result.kind === "refused") throw sending.refused(result.errors, input);
    const { draft } = result;
    return draft.validForMs === null ? { ...draft, validForMs: sending.usuallyValidMs ?? null } : draft;
  });
  // Acceptance looks, too, but its refusal names no message, and is not in the peer's words.
  const { customerId } = owner;
  const [out] = deps.optOuts.hasNone(customerId) ? [] : await deps.optOuts.refused(customerId, drafts);
  if (out !== undefined)
    throw sending.refused([{ field: "phone", reason: OPTED_OUT_REASON }], inputs[out] as DraftInput);
  const { traceparent, isGone } = arrival;
  const shared = { payer: owner, fallback: null, traceparent, isGone };
  const written = (body: string, rate: Rates | null): Written => ({
    status,
    body,
    ...(rate === null ? {} : { headers: rateHeaders(rate) }),
  });
  const [draft] = drafts as [Draft];
  const sentOf = ({ id, parts }: { id: string; parts: number }, at: number): SentMessage => {
    const { phone, sendAtMs } = drafts[at] as Draft;
    return { id, phone, parts, isScheduled: sendAtMs !== undefined };
  };
  if (drafts.length === 1) {
    const answerOf = (one: Accepted) => sending.answerOf({ id: one.id, messages: [sentOf(one, 0)] });
    const kept = key === null ? null : { key, status, answerOf };
    const { accepted: one, rate } = await deps.accept({ ...shared, draft, kept });
    return written(answerOf(one), rate);
  }
  const answerOf = ({ id, messages }: AcceptedBatch) =>
    sending.answerOf({ id, messages: messages.map(sentOf) as [SentMessage, ...SentMessage[]] });
  const kept = key === null ? null : { key, status, answerOf };
  const { accepted: all, rate } = await deps.acceptBatch({ ...shared, drafts, partial: false, kept });
  return written(answerOf(all), rate);
}
