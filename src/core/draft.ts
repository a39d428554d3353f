// Checks a message as its customer wants it: every door's input passes here before it is priced and stored.
// Leaves to others: the shape of a body (each door), the price (money.ts), and the rules for phones, texts,
// senders, labels, URLs, destinations and quiet hours (phone.ts, parts.ts, senders.ts, callback-url.ts,
// price-plan.ts, quiet-hours.ts).
// Invariant: a Draft can be sent as it is, at its time; nothing later refuses it for its contents.

import type { Callback } from "./callback.ts";
import { callbackUrlProblem, type UrlRules } from "./callback-url.ts";
import type { FieldError } from "./errors.ts";
import { TEXT_PARTS_MAX } from "./limits.ts";
import type { Encoding, Lane } from "./message.ts";
import { countParts, labelProblem, textProblem } from "./parts.ts";
import { parsePhone } from "./phone.ts";
import { DESTINATION_REFUSED } from "./price-plan.ts";
import { type PutOff, putOff, type QuietUntil } from "./quiet-hours.ts";
import { fromProblem } from "./senders.ts";

/** A door's input: of the right types, otherwise unchecked. */
export type DraftInput = {
  /** In any spelling that phone.ts reads. */
  phone: string;
  text: string;
  lane: Lane;
  from: string | null;
  reference: string | null;
  /** How long it may be sent and delivered, within the bounds of limits.ts; null: as long as is usual. */
  validForMs: number | null;
  /** Where its status changes are posted, in place of its customer's own URL. */
  callbackUrl: string | null;
  /** What a door's client asked to be told, at a URL of its own, in place of all its customer wants. */
  told?: Callback;
  /** When it is to be sent, Unix milliseconds, within the bounds of send-at.ts; absent: at once. */
  sendAtMs?: number;
};
/** Put off until the end of its recipient's quiet hours, if it would be sent within them. */
export type Draft = DraftInput & {
  /** E.164 */
  phone: string;
  encoding: Encoding;
  parts: number;
};
export type DraftResult = { kind: "draft"; draft: Draft } | { kind: "refused"; errors: FieldError[] };

/**
 * `region`: the country whose numbers may come without a country code; `refuses`: whether the customer's
 * price plan refuses an E.164 number; `senders`: the only ones that the customer may use, as senders.ts
 * writes them; `quiet`: when its normal messages have to wait, and the moment of the request.
 */
export type DraftRules = {
  region: string;
  callbacks: UrlRules;
  refuses?: ((phone: string) => boolean) | undefined;
  senders?: ReadonlySet<string> | undefined;
  quiet?: { until: QuietUntil; nowMs: number } | undefined;
};

/** A refusal names every wrong field. */
export function draftOf(input: DraftInput, rules: DraftRules): DraftResult {
  const { region, callbacks, refuses, senders, quiet } = rules;
  const { text, from, reference, told } = input;
  const callbackUrl = told?.url ?? input.callbackUrl;
  const phone = parsePhone(input.phone, region);
  const sized = sizeOf(text);
  const reasons = {
    phone: "reason" in phone ? phone.reason : refuses?.(phone.e164) ? DESTINATION_REFUSED : null,
    text: typeof sized === "string" ? sized : null,
    from: from === null ? null : fromProblem(from, senders),
    reference: reference === null ? null : labelProblem(reference),
    callback_url: callbackUrl === null ? null : callbackUrlProblem(callbackUrl, callbacks),
  };
  const isSound = Object.values(reasons).every((reason) => reason === null);
  const waits = quiet === undefined || "reason" in phone ? null : waitOf(quiet, input, phone.e164);
  const isLate = waits !== null && "reason" in waits;
  if (isSound && !isLate && "e164" in phone && typeof sized !== "string") {
    const draft: Draft = { ...input, phone: phone.e164, ...sized };
    return { kind: "draft", draft: waits === null ? draft : { ...draft, ...waits } };
  }
  const errors = Object.entries(reasons).flatMap(([field, reason]) =>
    reason === null ? [] : [{ field, reason }],
  );
  if (isLate) errors.push({ field: "valid_for", reason: waits.reason });
  return { kind: "refused", errors };
}

/** What is asked for as express never waits, whichever lane it goes by in the end. */
function waitOf(
  { until, nowMs }: NonNullable<DraftRules["quiet"]>,
  { lane, sendAtMs, validForMs }: DraftInput,
  phone: string,
): PutOff | null {
  return lane === "express" ? null : putOff(until, { phone, atMs: sendAtMs ?? nowMs, validForMs });
}

/** A text's encoding and parts, or why it can't be sent. */
export function sizeOf(text: string): { encoding: Encoding; parts: number } | string {
  const problem = textProblem(text);
  if (problem !== null) return problem;
  const { encoding, parts } = countParts(text);
  if (parts <= TEXT_PARTS_MAX) return { encoding, parts };
  return `needs ${parts} parts; at most ${TEXT_PARTS_MAX} are allowed`;
}
