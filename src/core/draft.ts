// Checks a message as its customer wants it: every door's input passes here before it is priced and stored.
// Leaves to others: the shape of a body (each door), the price (money.ts), and the rules for phones, texts,
// labels and URLs (phone.ts, parts.ts, callback-url.ts).
// Invariant: a Draft can be sent as it is; nothing later refuses it for its contents.

import { callbackUrlProblem, type UrlRules } from "./callback-url.ts";
import type { FieldError } from "./errors.ts";
import { TEXT_PARTS_MAX } from "./limits.ts";
import type { Encoding, Lane } from "./message.ts";
import { countParts, labelProblem, senderProblem, textProblem } from "./parts.ts";
import { parsePhone } from "./phone.ts";

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
  /** When it is to be sent, Unix milliseconds, within the bounds of send-at.ts; absent: at once. */
  sendAtMs?: number;
};
export type Draft = DraftInput & {
  /** E.164 */
  phone: string;
  encoding: Encoding;
  parts: number;
};
export type DraftResult = { kind: "draft"; draft: Draft } | { kind: "refused"; errors: FieldError[] };

/** `region`: the country whose numbers may come without a country code. */
export type DraftRules = { region: string; callbacks: UrlRules };

/** A refusal names every wrong field. */
export function draftOf(input: DraftInput, { region, callbacks }: DraftRules): DraftResult {
  const { text, from, reference, callbackUrl } = input;
  const phone = parsePhone(input.phone, region);
  const sized = sizeOf(text);
  const reasons = {
    phone: "e164" in phone ? null : phone.reason,
    text: typeof sized === "string" ? sized : null,
    from: from === null ? null : senderProblem(from),
    reference: reference === null ? null : labelProblem(reference),
    callback_url: callbackUrl === null ? null : callbackUrlProblem(callbackUrl, callbacks),
  };
  const isSound = Object.values(reasons).every((reason) => reason === null);
  if (isSound && "e164" in phone && typeof sized !== "string")
    return { kind: "draft", draft: { ...input, phone: phone.e164, ...sized } };
  const errors = Object.entries(reasons).flatMap(([field, reason]) =>
    reason === null ? [] : [{ field, reason }],
  );
  return { kind: "refused", errors };
}

function sizeOf(text: string): { encoding: Encoding; parts: number } | string {
  const problem = textProblem(text);
  if (problem !== null) return problem;
  const { encoding, parts } = countParts(text);
  if (parts <= TEXT_PARTS_MAX) return { encoding, parts };
  return `needs ${parts} parts; at most ${TEXT_PARTS_MAX} are allowed`;
}
