// POST /v1/sms/send: turns the body into a draft and accepts it (src/ingest/accept-message.ts); the 202 is
// sent after its commit. The hot path.

import { type Static, Type } from "typebox";
import type { UrlRules } from "../../core/callback-url.ts";
import { type Draft, draftOf, type DraftInput } from "../../core/draft.ts";
import { type FieldError, SluiceError } from "../../core/errors.ts";
import { PHONE_CHARS_MAX, REFERENCE_CHARS_MAX, TEXT_CHARS_MAX, TEXT_PARTS_MAX } from "../../core/limits.ts";
import { ACCEPTED, LANES } from "../../core/message.ts";
import { countReplaced, toPersian } from "../../core/persian-text.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import type { Accepted, AcceptMessage } from "../../ingest/accept-message.ts";
import type { TemplateCache } from "../../customers/templates.ts";
import type { Room } from "../../ingest/admission.ts";
import type { Idempotency } from "../../ingest/idempotency.ts";
import type { About } from "../about.ts";
import { draftRules } from "../draft-rules.ts";
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
import { closed, Currency, CustomerId, LABEL, Money, Time, Ulid } from "../shapes.ts";
import { Parameters, TemplateName, TemplateVersionNumber, textOf } from "../templated.ts";

/** Required, for what takes no template. */
const Text = Type.String({
  description:
    `at most ${TEXT_PARTS_MAX} parts, in GSM-7 160/153 or UCS-2 70/67; none of it is replaced, unless ` +
    "`normalize` asks for it",
  documented: { minLength: 1, maxLength: TEXT_CHARS_MAX, pattern: "^[^\\u0000]*$" },
});
export const TEXT_UNLESS = { text: "template" } as const;
const [STRING, NULL] = [{ type: "string" }, { type: "null" }];
/** One of the two, and null for the other, if it isn't absent, and for what belongs to it. */
export const TEXT_OR_TEMPLATE = {
  anyOf: [
    {
      required: ["text"],
      properties: { text: STRING, template: NULL, template_version: NULL, parameters: NULL },
    },
    { required: ["template"], properties: { template: STRING, text: NULL } },
  ],
};

export const SendBody = Type.Object(
  {
    phone: Type.String({
      minLength: 1,
      maxLength: PHONE_CHARS_MAX,
      description: "as in an address book or a document; without a country, one of the customer's region",
    }),
    text: Type.Optional(Text),
    template: TemplateName,
    template_version: TemplateVersionNumber,
    parameters: Type.Optional(Parameters),
    type: Type.Enum(LANES, { description: "the lane" }),
    from: From,
    reference: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: REFERENCE_CHARS_MAX,
        description: "the customer's own name for the message",
        ...LABEL,
      }),
    ),
    callback_url: CallbackUrl,
    valid_for: ValidFor,
    send_at: SendAt,
    fallback: Fallback,
    normalize: Normalize,
  },
  { ...closed, documented: TEXT_OR_TEMPLATE },
);

const SendAnswer = Type.Object(
  {
    enqueued: Type.Literal(true),
    id: Ulid,
    customer_id: CustomerId,
    type: Type.Enum(LANES),
    encoding: Type.Enum(["gsm7", "ucs2"]),
    parts: Type.Integer({ minimum: 1, maximum: TEXT_PARTS_MAX }),
    cost: Money,
    currency: Currency,
    balance_after: Type.Optional(Money),
    status: Type.Enum(ACCEPTED),
    guaranteed_by: Type.Optional(Time),
    send_at: Type.Optional(Time),
    normalized: Normalized,
  },
  closed,
);

const ABOUT: About = {
  operationId: "sendMessage",
  tag: "Messages",
  summary: "Accept one message",
  description: `The 202 comes after the commit: the message is stored and \`cost\` is reserved. It is captured
once an operator takes the message, and refunded if none does.

The answer to an express message has \`guaranteed_by\`: an operator will have taken it by then, or it is
refunded. \`balance_after\` is exact in mode \`strict\`, otherwise as of this process's last refill. In mode
\`async\` there is none, and no 402: the cost is reserved when the message is about to be sent, and one that
can't be paid then is \`rejected\` and costs nothing.

With \`send_at\` the message is \`scheduled\`: it costs what it would cost now, and is queued within a
second of its time. Until then it can be canceled or put off. \`valid_for\` and \`guaranteed_by\` count
from \`send_at\`.

\`template\` sends a stored text instead of \`text\`, as it is at this moment, with \`parameters\`: one for
each \`{name}\` in it.

A normal message that would be sent within its recipient's quiet hours, if the customer has some, is put off
until their end: it is \`scheduled\`, and \`send_at\` says for when. It is valid until it would have been; 422
if that is before their end.`,
  body: { phone: "+989121234567", text: "Your code is 1234", type: "express", reference: "order-1234" },
  answers: {
    202: {
      enqueued: true,
      id: "01M7YBCG2N0V4QK5A1T8P6WJ3D",
      customer_id: "1",
      type: "express",
      encoding: "gsm7",
      parts: 1,
      cost: 700,
      currency: "IRR",
      balance_after: 99_300,
      status: "queued",
      guaranteed_by: "2026-09-21T14:13:25.000Z",
    },
  },
  headers: ["RateLimit", "RateLimit-Policy"],
  links: { getMessage: "/id", cancelMessage: "/id", changeMessage: "/id" },
};

export type SendDeps = {
  accept: AcceptMessage;
  keys: Idempotency;
  /** Which callback_urls are taken. */
  callbacks: UrlRules;
  templates: TemplateCache;
  now: () => number;
  room: Room;
};

export const createSend = ({ accept, keys, room, ...rules }: SendDeps): Route =>
  route({
    method: "POST",
    path: "/v1/sms/send",
    access: "send",
    query: [],
    body: SendBody,
    unless: TEXT_UNLESS,
    room,
    answers: { 202: SendAnswer },
    errors: [
      "insufficient_balance",
      "spend_cap_reached",
      "idempotency_in_progress",
      "idempotency_key_reused",
      "lane_saturated",
      "credit_elsewhere",
      "outcome_unknown",
    ],
    about: ABOUT,
    handle: (call) =>
      once(keys, call, "send", async (key) => {
        const { owner, traceparent, isGone } = call;
        const body = isPlain(call.body) ? call.body : await withText(call.body, owner, rules);
        const draft = drafted(body, owner, rules);
        const { fallback = null } = body;
        const answerOf = body.normalize === true ? tellingReplaced(body.text) : plainAnswer;
        const kept = key === null ? null : { key, status: 202, answerOf };
        const { accepted, rate } = await accept({ payer: owner, draft, fallback, kept, traceparent, isGone });
        const written = answerOf(accepted);
        if (rate === null) return { status: 202, body: written };
        return { status: 202, body: written, headers: rateHeaders(rate) };
      }),
  });

type Given = Static<typeof SendBody>;
/** With the text that its template means, if it names one; `unfilled`: why that is none. */
type Send = Given & { text: string; unfilled?: readonly FieldError[] };

/** Whether a body has a text, and nothing else that would say it. */
export const isPlain = (body: Given): body is Send =>
  body.template === undefined && body.parameters === undefined && body.template_version === undefined;

export async function withText(
  body: Given,
  owner: KeyOwner,
  { templates }: Pick<SendDeps, "templates">,
): Promise<Send> {
  const found = await textOf(templates, owner, body);
  return "text" in found ? { ...body, ...found } : { ...body, text: UNFILLED, unfilled: found.errors };
}

/** Stands for a text that can't be put together, while the other fields are checked. */
const UNFILLED = "-";

function inputOf(body: Send, sendAtMs: number | undefined): DraftInput {
  const input: DraftInput = {
    phone: body.phone,
    text: body.normalize === true ? toPersian(body.text) : body.text,
    lane: body.type,
    from: body.from ?? null,
    reference: body.reference ?? null,
    validForMs: body.valid_for === undefined ? null : body.valid_for * 1_000,
    callbackUrl: body.callback_url ?? null,
  };
  if (sendAtMs !== undefined) input.sendAtMs = sendAtMs;
  return input;
}

/** A checked body as a draft; nothing is stored. @throws SluiceError validation_failed */
export function drafted(body: Send, owner: KeyOwner, rules: Pick<SendDeps, "callbacks" | "now">): Draft {
  const sendAt = readSendAt(body, rules.now);
  const misplaced: FieldError[] =
    body.fallback === undefined || body.type === "express" ? [] : [FALLBACK_MISPLACED];
  if (sendAt.errors.length > 0) misplaced.push(...sendAt.errors);
  if (body.unfilled !== undefined) misplaced.push(...body.unfilled);
  const result = draftOf(inputOf(body, sendAt.sendAtMs), draftRules(owner, rules));
  if (result.kind === "refused") throw refused([...result.errors, ...misplaced]);
  if (body.callback_url !== undefined && owner.webhook === undefined) misplaced.push(SECRET_MISSING);
  if (misplaced.length > 0) throw refused(misplaced);
  return result.draft;
}

const refused = (errors: readonly FieldError[]) => new SluiceError("validation_failed", { errors });

// Built by hand, because it runs for every message; no value in it can need escaping.
function plainAnswer(a: Accepted): string {
  const promised =
    a.guaranteedByMs === null ? "" : `,"guaranteed_by":"${new Date(a.guaranteedByMs).toISOString()}"`;
  const later = a.sendAtMs === undefined ? "" : `,"send_at":"${new Date(a.sendAtMs).toISOString()}"`;
  const { currency, balanceAfter, status } = a;
  return (
    `{"enqueued":true,"id":"${a.id}","customer_id":"${a.customerId}","type":"${a.lane}",` +
    `"encoding":"${a.encoding}","parts":${a.parts},"cost":${a.cost},` +
    (balanceAfter === null
      ? `"currency":"${currency}","status":"${status}"${promised}${later}}`
      : `"currency":"${currency}","balance_after":${balanceAfter},"status":"${status}"${promised}${later}}`)
  );
}

/** `text` as it was given. */
const tellingReplaced = (text: string) => {
  const replaced = countReplaced(text);
  return (a: Accepted): string => `${plainAnswer(a).slice(0, -1)},"normalized":${replaced}}`;
};
