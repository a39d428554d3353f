// POST /v1/sms/batches: up to BATCH_MESSAGES_MAX messages, accepted together (src/ingest/accept-batch.ts);
// the 202 is sent after their commit. What is wrong with the request as a whole refuses all of it; what is
// wrong with one message (core/batch.ts) rejects that one, unless none is left.

import { type Static, Type } from "typebox";
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
import { BATCH_BODY_BYTES_MAX, BATCH_MESSAGES_MAX, TEMPLATE_CHARS_MAX } from "../../core/batch-limits.ts";
import { FIELD_ERRORS_MAX, TEXT_PARTS_MAX } from "../../core/limits.ts";
import { ACCEPTED, LANES } from "../../core/message.ts";
import { OPTED_OUT, OPTED_OUT_REASON } from "../../core/opt-out.ts";
import { senderProblem } from "../../core/parts.ts";
import { countReplaced, toPersian } from "../../core/persian-text.ts";
import { refusalsOf } from "../../core/price-plan.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import {
  type AcceptBatch,
  type AcceptedBatch,
  UNPAID_CODES,
  type UnpaidCode,
} from "../../ingest/accept-batch.ts";
import type { OptOuts } from "../../ingest/opt-outs.ts";
import type { Idempotency } from "../../ingest/idempotency.ts";
import type { About } from "../about.ts";
import { once } from "../idempotency-key.ts";
import {
  CallbackUrl,
  Fallback,
  FALLBACK_MISPLACED,
  From,
  Normalize,
  Normalized,
  readSendAt,
  SECRET_MISSING,
  SendAt,
  ValidFor,
} from "../options.ts";
import { rateHeaders } from "../rate-headers.ts";
import { type Route, route } from "../route.ts";
import { closed, Currency, CustomerId, Money, Time, Ulid } from "../shapes.ts";
import type { Streams } from "../streams.ts";
import { createUpload } from "./batch-upload.ts";

const some = { minItems: 1, maxItems: BATCH_MESSAGES_MAX };
const Message = Type.Object(
  {
    phone: Type.String(),
    text: Type.String(),
    reference: Type.Optional(
      Type.String({ description: "the customer's own name for the message, once in a batch" }),
    ),
  },
  closed,
);

const BatchBody = Type.Object(
  {
    messages: Type.Optional(Type.Array(Message, some)),
    phones: Type.Optional(
      Type.Array(Type.String(), { ...some, description: "instead of `messages`: all get `text`" }),
    ),
    text: Type.Optional(Type.String({ maxLength: TEMPLATE_CHARS_MAX, description: "with `phones`" })),
    parameters: Type.Optional(
      Type.Array(Type.Record(Type.String(), Type.String()), {
        ...some,
        description: "one for each of `phones`, in their order: what stands for each `{name}` of `text`",
      }),
    ),
    type: Type.Optional(Type.Enum(LANES, { description: "the lane of all of them; normal if absent" })),
    partial: Type.Optional(
      Type.Boolean({ description: "take the first ones if the wallet can't pay for all, instead of none" }),
    ),
    from: From,
    callback_url: CallbackUrl,
    valid_for: ValidFor,
    send_at: SendAt,
    fallback: Fallback,
    normalize: Normalize,
  },
  closed,
);

const Index = Type.Integer({ minimum: 0, maximum: BATCH_MESSAGES_MAX - 1, description: "from 0" });
const BatchAnswer = Type.Object(
  {
    batch_id: Ulid,
    customer_id: CustomerId,
    type: Type.Enum(LANES),
    accepted: Type.Array(
      Type.Object(
        {
          index: Index,
          id: Ulid,
          encoding: Type.Enum(["gsm7", "ucs2"]),
          parts: Type.Integer({ minimum: 1, maximum: TEXT_PARTS_MAX }),
          cost: Money,
          normalized: Normalized,
        },
        closed,
      ),
      some,
    ),
    rejected: Type.Array(
      Type.Object(
        {
          index: Index,
          code: Type.Enum(["validation_failed", OPTED_OUT, ...UNPAID_CODES]),
          detail: Type.String(),
        },
        closed,
      ),
    ),
    cost: Money,
    currency: Currency,
    balance_after: Money,
    status: Type.Enum(ACCEPTED),
    guaranteed_by: Type.Optional(Time),
    send_at: Type.Optional(Time),
  },
  closed,
);

const ABOUT: About = {
  operationId: "sendBatch",
  tag: "Messages",
  summary: "Accept up to 1,000 messages together",
  description: `Either \`messages\`, or \`phones\` and one \`text\` in which \`{name}\` stands for the
parameter of that name; without \`parameters\` braces are plain text.

All that is accepted is stored and reserved by one commit, before the 202. What can't be sent is in
\`rejected\`, with the place of the message in the request; 422 if nothing can. If the wallet can't pay for
all that can be sent, or a spend cap has no room for them, the answer is 402 and nothing is taken; with
\`partial\` the first ones that can be paid are taken, and the others are rejected. With
\`send_at\` all of them are scheduled for that time.

A body of \`application/x-ndjson\` may have any number of messages, one a line: they are accepted in chunks
while they come, and answered by a line for each. A repeat with the same \`Idempotency-Key\` gets the
results of what was taken, and goes on behind it. If the answer's last line is a problem document, what
follows in the body was not taken.`,
  body: {
    messages: [
      { phone: "+989121234567", text: "Your order 1 is on its way", reference: "order-1" },
      { phone: "12", text: "Your order 2 is on its way", reference: "order-2" },
    ],
    type: "normal",
  },
  answers: {
    202: {
      batch_id: "01M7YBCG2N0V4QK5A1T8P6WJ3C",
      customer_id: "1",
      type: "normal",
      accepted: [{ index: 0, id: "01M7YBCG2N0V4QK5A1T8P6WJ3D", encoding: "gsm7", parts: 1, cost: 500 }],
      rejected: [{ index: 1, code: "validation_failed", detail: "phone is not a valid phone number." }],
      cost: 500,
      currency: "IRR",
      balance_after: 99_500,
      status: "queued",
    },
  },
  headers: ["RateLimit", "RateLimit-Policy"],
};

export type BatchDeps = {
  acceptBatch: AcceptBatch;
  optOuts: OptOuts;
  keys: Idempotency;
  /** Which callback_urls are taken. */
  callbacks: UrlRules;
  now: () => number;
};
type Rules = Pick<BatchDeps, "callbacks" | "now">;

export const createBatches = ({ acceptBatch, optOuts, keys, ...rules }: BatchDeps, streams: Streams): Route =>
  route({
    method: "POST",
    path: "/v1/sms/batches",
    access: "send",
    query: [],
    body: BatchBody,
    bodyBytesMax: BATCH_BODY_BYTES_MAX,
    answers: { 202: BatchAnswer },
    lines: createUpload({ acceptBatch, optOuts, keys, ...rules, streams }),
    errors: [
      ...UNPAID_CODES,
      "idempotency_in_progress",
      "idempotency_key_reused",
      "lane_saturated",
      "overloaded",
      "credit_elsewhere",
      "outcome_unknown",
    ],
    about: ABOUT,
    handle: (call) =>
      once(keys, call, "batch", async (key) => {
        const { body: asked, owner, traceparent, isGone } = call;
        const { items: given, terms, pathOf } = read(asked, owner, rules);
        const items = asked.normalize === true ? given.map(normalized) : given;
        const checked = batchDrafts(items, terms, {
          region: owner.region,
          callbacks: rules.callbacks,
          refuses: refusalsOf(owner, rules.now),
        });
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
function read(body: Batch, owner: KeyOwner, { callbacks, now }: Rules): Read {
  const sendAt = readSendAt(body, now);
  const errors = [...formErrors(body), ...optionErrors(body, owner, callbacks), ...sendAt.errors];
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
    return { items, terms, pathOf: (index, field) => `messages.${index}.${field}` };
  }
  const items = itemsOf(body.phones ?? [], body.text ?? "", body.parameters ?? null);
  const pathOf = (index: number, field: string) =>
    field === "phone" ? `phones.${index}` : field.replace(/^parameters/, `parameters.${index}`);
  return { items, terms, pathOf };
}

const normalized = (item: BatchItem): BatchItem =>
  "text" in item ? { ...item, text: toPersian(item.text) } : item;

const replacedIn = (item: BatchItem): number => ("text" in item ? countReplaced(item.text) : 0);

/** What is wrong with the form of the request: there are two, and each has fields of its own. */
function formErrors({ messages, phones, text, parameters }: Batch): FieldError[] {
  if (messages !== undefined) {
    const others = { phones, text, parameters };
    return Object.entries(others).flatMap(([field, value]) =>
      value === undefined ? [] : [{ field, reason: "can't be given together with messages" }],
    );
  }
  const errors: FieldError[] = [];
  if (phones === undefined) errors.push({ field: "messages", reason: "is required, or phones and text" });
  else if (text === undefined) errors.push({ field: "text", reason: "is required together with phones" });
  if (parameters !== undefined && parameters.length !== phones?.length)
    errors.push({ field: "parameters", reason: "must have one entry for each of phones" });
  return errors;
}

function optionErrors(body: Batch, owner: KeyOwner, callbacks: UrlRules): FieldError[] {
  const { from, callback_url: url } = body;
  const reasons = {
    from: from === undefined ? null : senderProblem(from),
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
    accepted: a.messages.map(({ id, encoding, parts, cost }, at) => {
      const index = indexes[at] as number;
      const told = { index, id, encoding, parts, cost };
      return replaced === null ? told : { ...told, normalized: replaced[index] };
    }),
    rejected: [...invalid, ...unpaid].sort((one, other) => one.index - other.index),
    cost: a.cost,
    currency,
    balance_after: a.balanceAfter,
    status: a.sendAtMs === undefined ? "queued" : "scheduled",
    ...(a.guaranteedByMs === null ? {} : { guaranteed_by: new Date(a.guaranteedByMs).toISOString() }),
    ...(a.sendAtMs === undefined ? {} : { send_at: new Date(a.sendAtMs).toISOString() }),
  });
}
