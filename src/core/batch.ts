// The messages of a batch as their customer gives them, each checked on its own: which of them can be sent,
// and why the others can't. What holds for all of them (lane, from, validity, callback) is checked by the
// door, once. Pure.
// Invariant: each message is either a draft or refused, and both lists are in the order of the request.
// Bound: BATCH_MESSAGES_MAX messages, checked by the door.

import { type Draft, type DraftInput, draftOf, type DraftRules } from "./draft.ts";
import type { FieldError } from "./errors.ts";
import { REFERENCE_CHARS_MAX } from "./limits.ts";
import type { OPTED_OUT } from "./opt-out.ts";
import { isReferenceLong } from "./parts.ts";
import { type Template, templateOf, type Values } from "./template.ts";

/** One message of a batch; `errors`: why it has no text. */
export type BatchItem = { phone: string; reference: string | null } & (
  | { text: string }
  | { errors: FieldError[] }
);
/** What all messages of a batch share, sound for any message. */
export type BatchTerms = Pick<DraftInput, "lane" | "from" | "validForMs" | "callbackUrl" | "sendAtMs">;
/** `index`: its place in the request, from 0. */
export type Refusal = {
  index: number;
  errors: FieldError[];
  /** `validation_failed` if absent. */
  code?: typeof OPTED_OUT;
};
export type BatchDrafts = { drafts: { index: number; draft: Draft }[]; refused: Refusal[] };

/**
 * One item for each phone, with the text, or, with parameters or of a template, the text filled for it.
 * `parameters` has as many values as there are phones.
 */
export function itemsOf(
  phones: readonly string[],
  text: string | Template,
  parameters: readonly Values[] | null,
): BatchItem[] {
  const isPlain = typeof text === "string";
  if (isPlain && parameters === null) return phones.map((phone) => ({ phone, reference: null, text }));
  const template = isPlain ? templateOf(text) : text;
  return phones.map((phone, at) => ({
    phone,
    reference: null,
    ...template.fill(parameters?.[at] ?? {}),
  }));
}

/** Of two messages with the same reference the later one is refused. */
export function batchDrafts(items: readonly BatchItem[], terms: BatchTerms, rules: DraftRules): BatchDrafts {
  const drafts: BatchDrafts["drafts"] = [];
  const refused: Refusal[] = [];
  const taken = new Map<string, number>();
  for (const [index, item] of items.entries()) {
    const { reference } = item;
    const result = checked(item, terms, rules);
    const errors = result.kind === "refused" ? result.errors : [];
    const earlier = reference === null ? undefined : taken.get(reference);
    if (earlier !== undefined)
      errors.push({ field: "reference", reason: `is that of message ${earlier} of this batch` });
    else if (reference !== null) taken.set(reference, index);
    if (result.kind === "draft" && errors.length === 0) drafts.push({ index, draft: result.draft });
    else refused.push({ index, errors });
  }
  return { drafts, refused };
}

type Checked = ReturnType<typeof draftOf>;

function checked(item: BatchItem, terms: BatchTerms, rules: DraftRules): Checked {
  const { phone, reference } = item;
  // The terms are known to be sound: they are not checked again for each message.
  const input = { ...terms, phone, reference, from: null, callbackUrl: null };
  const isLong = reference !== null && isReferenceLong(reference);
  const result = draftOf({ ...input, text: "text" in item ? item.text : "-" }, rules);
  const errors = [
    ...("errors" in item ? item.errors : []),
    ...(result.kind === "refused" ? result.errors : []),
    ...(isLong
      ? [{ field: "reference", reason: `must have at most ${REFERENCE_CHARS_MAX} characters` }]
      : []),
  ];
  if (result.kind === "refused" || errors.length > 0) return { kind: "refused", errors };
  return { kind: "draft", draft: { ...result.draft, from: terms.from, callbackUrl: terms.callbackUrl } };
}
