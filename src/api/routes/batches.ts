// POST /v1/sms/batches: up to BATCH_MESSAGES_MAX messages, accepted together (src/ingest/accept-batch.ts);
// the 202 is sent after their commit. What is wrong with the request as a whole refuses all of it; what is
// wrong with one message (core/batch.ts) rejects that one, unless none is left.

import type { Static } from "typebox";
import {
  type BatchDrafts,
  type BatchItem,
  batchDrafts,
  type BatchTerms,
  itemsOf,
  type Refusal,
} from "../../core/batch.ts";
import { callbackUrlProblem, type UrlRules } from "../../core/callback-url.ts";
import { type FieldError, sentenceOf, SluiceError } from "../../core/errors.ts";
import { BATCH_BODY_BYTES_MAX } from "../../core/batch-limits.ts";
import { FIELD_ERRORS_MAX } from "../../core/limits.ts";
import { OPTED_OUT, OPTED_OUT_REASON } from "../../core/opt-out.ts";
import { countReplaced, toPersian } from "../../core/persian-text.ts";
import { fromProblem } from "../../core/senders.ts";
import { UNPAID_CODES, type UnpaidCode } from "../../core/spend-cap.ts";
import type { Template } from "../../core/template.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import type { TemplateCache } from "../../customers/templates.ts";
import type { AcceptBatch, AcceptedBatch } from "../../ingest/accept-batch.ts";
import type { OptOuts } from "../../ingest/opt-outs.ts";
import type { Idempotency } from "../../ingest/idempotency.ts";
import { BATCH_ABOUT, BatchAnswer, BatchBody } from "../batch-shape.ts";
import { draftRules } from "../draft-rules.ts";
import { once } from "../idempotency-key.ts";
import { FALLBACK_MISPLACED, readSendAt, SECRET_MISSING } from "../options.ts";
import { rateHeaders } from "../rate-headers.ts";
import { type Route, route } from "../route.ts";
import type { Streams } from "../streams.ts";
import { namedTemplate, templatedErrors } from "../templated.ts";
import { createUpload } from "./batch-upload.ts";

export type BatchDeps = {
  acceptBatch: AcceptBatch;
  optOuts: OptOuts;
  keys: Idempotency;
  /** Which callback_urls are taken. */
  callbacks: UrlRules;
  templates: TemplateCache;
  now: () => number;
};
type Rules = Pick<BatchDeps, "callbacks" | "now">;

export const createBatches = (
  { acceptBatch, optOuts, keys, templates, ...rules }: BatchDeps,
  streams: Streams,
): Route =>
  route({
    method: "POST",
    path: "/v1/sms/batches",
    access: "send",
    query: [],
    body: BatchBody,
    bodyBytesMax: BATCH_BODY_BYTES_MAX,
    answers: { 202: BatchAnswer },
    lines: createUpload({ acceptBatch, optOuts, keys, templates, ...rules, streams }),
    errors: [
      ...UNPAID_CODES,
      "idempotency_in_progress",
      "idempotency_key_reused",
      "lane_saturated",
      "credit_elsewhere",
      "outcome_unknown",
    ],
    about: BATCH_ABOUT,
    handle: (call) =>
      once(keys, call, "batch", async (key) => {
        const { body: asked, owner, traceparent, isGone } = call;
        const template = asked.template === undefined ? null : await namedTemplate(templates, owner, asked);
        const { items: given, terms, pathOf } = read(asked, owner, rules, template);
        const items = asked.normalize === true ? given.map(normalized) : given;
        const checked = batchDrafts(items, terms, draftRules(owner, rules));
        const isFree = optOuts.hasNone(owner.customerId);
        const { drafts, refused } = isFree ? checked : await withoutOptedOut(optOuts, owner, checked);
        if (drafts.length === 0) throw noneLeft(refused, pathOf);
        const answerOf = (accepted: AcceptedBatch) =>
          answer(accepted, owner, {
            indexes: drafts.map(({ index }) => index),
            refused,
            replaced: asked.normalize === true ? given.map(replacedIn) : null,
          });
        const { accepted, rate } = await acceptBatch({
          payer: owner,
          drafts: drafts.map(({ draft }) => draft),
          fallback: asked.fallback ?? null,
          partial: asked.partial ?? false,
          kept: key === null ? null : { key, status: 202, answerOf },
          traceparent,
          isGone,
        });
        const body = answerOf(accepted);
        return rate === null ? { status: 202, body } : { status: 202, body, headers: rateHeaders(rate) };
      }),
  });

/** What is to a phone that opted out is refused like what can't be sent. */
async function withoutOptedOut(
  optOuts: OptOuts,
  { customerId }: KeyOwner,
  { drafts, refused }: BatchDrafts,
): Promise<BatchDrafts> {
  const out = await optOuts.refused(
    customerId,
    drafts.map(({ draft }) => draft),
  );
  const errors = [{ field: "phone", reason: OPTED_OUT_REASON }];
  const others: Refusal[] = drafts.flatMap(({ index }, at) =>
    out.has(at) ? [{ index, errors, code: OPTED_OUT }] : [],
  );
  return {
    drafts: drafts.filter((_, at) => !out.has(at)),
    refused: [...refused, ...others].sort((a, b) => a.index - b.index),
  };
}

type Batch = Static<typeof BatchBody>;
/** `pathOf`: the field of the request in which a field of a message is. */
type Read = { items: BatchItem[]; terms: BatchTerms; pathOf: (index: number, field: string) => string };

/** @throws SluiceError validation_failed, for what no message of the batch could be sent with */
function read(
  body: Batch,
  owner: KeyOwner,
  { callbacks, now }: Rules,
  template: Template | { errors: FieldError[] } | null,
): Read {
  const sendAt = readSendAt(body, now);
  const errors = [...formErrors(body), ...optionErrors(body, owner, callbacks), ...sendAt.errors];
  if (template !== null && "errors" in template) errors.push(...template.errors);
  if (errors.length > 0) throw new SluiceError("validation_failed", { errors });
  const terms: BatchTerms = {
    lane: body.type ?? "normal",
    from: body.from ?? null,
    validForMs: body.valid_for === undefined ? null : body.valid_for * 1_000,
    callbackUrl: body.callback_url ?? null,
    ...(sendAt.sendAtMs === undefined ? {} : { sendAtMs: sendAt.sendAtMs }),
  };
  if (body.messages !== undefined) {
    const items = body.messages.map((m) => ({ ...m, reference: m.reference ?? null }));
    return { items, terms, pathOf: (index, field) => ofAll(field) ?? `messages.${index}.${field}` };
  }
  const text = template === null || "errors" in template ? (body.text ?? "") : template;
  const items = itemsOf(body.phones ?? [], text, body.parameters ?? null);
  const pathOf = (index: number, field: string) =>
    field === "phone" ? `phones.${index}` : field.replace(/^parameters/, `parameters.${index}`);
  return { items, terms, pathOf };
}

/** Of what fits some of the messages only, but is given once. */
const ofAll = (field: string): string | null => (field === "valid_for" ? field : null);

const normalized = (item: BatchItem): BatchItem =>
  "text" in item ? { ...item, text: toPersian(item.text) } : item;

const replacedIn = (item: BatchItem): number => ("text" in item ? countReplaced(item.text) : 0);

/** What is wrong with the form of the request: there are two, and each has fields of its own. */
function formErrors(body: Batch): FieldError[] {
  const { messages, phones, text, parameters, template, template_version } = body;
  if (messages !== undefined) {
    const others = { phones, text, parameters, template, template_version };
    return Object.entries(others).flatMap(([field, value]) =>
      value === undefined ? [] : [{ field, reason: "can't be given together with messages" }],
    );
  }
  // A text may have parameters too.
  const errors = templatedErrors({ ...body, parameters: undefined });
  if (phones === undefined) errors.push({ field: "messages", reason: "is required, or phones and text" });
  else if (text === undefined && template === undefined)
    errors.push({ field: "text", reason: "is required together with phones" });
  if (parameters !== undefined && parameters.length !== phones?.length)
    errors.push({ field: "parameters", reason: "must have one entry for each of phones" });
  return errors;
}

function optionErrors(body: Batch, owner: KeyOwner, callbacks: UrlRules): FieldError[] {
  const { from, callback_url: url } = body;
  const reasons = {
    from: from === undefined ? null : fromProblem(from, owner.senders),
    callback_url: url === undefined ? null : callbackUrlProblem(url, callbacks),
  };
  const errors = Object.entries(reasons).flatMap(([field, reason]) =>
    reason === null ? [] : [{ field, reason }],
  );
  if (body.fallback !== undefined && body.type !== "express") errors.push(FALLBACK_MISPLACED);
  if (url !== undefined && reasons.callback_url === null && owner.webhook === undefined)
    errors.push(SECRET_MISSING);
  return errors;
}

function noneLeft(refused: readonly Refusal[], pathOf: Read["pathOf"]): SluiceError {
  const errors: FieldError[] = [];
  for (const { index, errors: own } of refused) {
    if (errors.length >= FIELD_ERRORS_MAX) break;
    errors.push(...own.map(({ field, reason }) => ({ field: pathOf(index, field), reason })));
  }
  return new SluiceError("validation_failed", { errors: errors.slice(0, FIELD_ERRORS_MAX) });
}

const UNPAID: Record<UnpaidCode, string> = {
  insufficient_balance: "The balance does not pay for this message after those before it.",
  spend_cap_reached: "A spend cap has no room for this message after those before it.",
};

/**
 * `indexes`: of the drafts, of which the first ones were accepted; `replaced`: characters in each message of
 * the request, null without `normalize`.
 */
type Told = { indexes: readonly number[]; refused: readonly Refusal[]; replaced: readonly number[] | null };

function answer(
  a: AcceptedBatch,
  { customerId, currency }: KeyOwner,
  { indexes, refused, replaced }: Told,
): string {
  const unpaid = indexes
    .slice(a.messages.length)
    .map((index) => ({ index, code: a.unpaid, detail: UNPAID[a.unpaid] }));
  const invalid = refused.map(({ index, errors, code = "validation_failed" }) => ({
    index,
    code,
    detail: sentenceOf(errors),
  }));
  return JSON.stringify({
    batch_id: a.id,
    customer_id: String(customerId),
    type: a.lane,
    accepted: a.messages.map(({ id, encoding, parts, cost, sendAtMs }, at) => {
      const index = indexes[at] as number;
      return {
        index,
        id,
        encoding,
        parts,
        cost,
        ...(replaced === null ? {} : { normalized: replaced[index] }),
        ...(sendAtMs === a.sendAtMs ? {} : laterAt(sendAtMs)),
      };
    }),
    rejected: [...invalid, ...unpaid].sort((one, other) => one.index - other.index),
    cost: a.cost,
    currency,
    ...(a.balanceAfter === null ? {} : { balance_after: a.balanceAfter }),
    status: a.messages.every(({ sendAtMs }) => sendAtMs !== undefined) ? "scheduled" : "queued",
    ...(a.guaranteedByMs === null ? {} : { guaranteed_by: new Date(a.guaranteedByMs).toISOString() }),
    ...laterAt(a.sendAtMs),
  });
}

const laterAt = (ms: number | undefined): { send_at?: string } =>
  ms === undefined ? {} : { send_at: new Date(ms).toISOString() };
