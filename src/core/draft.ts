// Checks a message as its customer wants it: every door's input passes here before it is priced and stored.
// Leaves to others: the shape of a body (each door), the price (money.ts), and the rules for phones, texts
// and labels (phone.ts, parts.ts).
// Invariant: a Draft can be sent as it is; nothing later refuses it for its contents.

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
};
export type Draft = DraftInput & {
  /** E.164 */
  phone: string;
  encoding: Encoding;
  parts: number;
};
export type DraftResult = { kind: "draft"; draft: Draft } | { kind: "refused"; errors: FieldError[] };

/**
 * `region`: the country whose numbers may come without a country code. A refusal names every wrong field.
 */
export function draftOf(input: DraftInput, region: string): DraftResult {
  const { text, lane, from, reference } = input;
  const phone = parsePhone(input.phone, region);
  const sized = sizeOf(text);
  const fromProblem = from === null ? null : senderProblem(from);
  const referenceProblem = reference === null ? null : labelProblem(reference);
  if ("e164" in phone && typeof sized !== "string" && fromProblem === null && referenceProblem === null) {
    const { encoding, parts } = sized;
    return { kind: "draft", draft: { phone: phone.e164, text, lane, from, reference, encoding, parts } };
  }
  const reasons = {
    phone: "e164" in phone ? null : phone.reason,
    text: typeof sized === "string" ? sized : null,
    from: fromProblem,
    reference: referenceProblem,
  };
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
