// The schemas of a batch and of its answer, and what the reference says of them.

import { Type } from "typebox";
import { BATCH_MESSAGES_MAX, TEMPLATE_CHARS_MAX } from "../core/batch-limits.ts";
import { TEXT_PARTS_MAX } from "../core/limits.ts";
import { ACCEPTED, LANES } from "../core/message.ts";
import { OPTED_OUT } from "../core/opt-out.ts";
import { UNPAID_CODES } from "../core/spend-cap.ts";
import type { About } from "./about.ts";
import { CallbackUrl, Fallback, From, Normalize, Normalized, SendAt, ValidFor } from "./options.ts";
import { closed, Currency, CustomerId, Money, Time, Ulid } from "./shapes.ts";
import { TemplateName, TemplateVersionNumber } from "./templated.ts";

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

export const BatchBody = Type.Object(
  {
    messages: Type.Optional(Type.Array(Message, some)),
    phones: Type.Optional(
      Type.Array(Type.String(), { ...some, description: "instead of `messages`: all get `text`" }),
    ),
    text: Type.Optional(Type.String({ maxLength: TEMPLATE_CHARS_MAX, description: "with `phones`" })),
    template: TemplateName,
    template_version: TemplateVersionNumber,
    parameters: Type.Optional(
      Type.Array(Type.Record(Type.String(), Type.String()), {
        ...some,
        description:
          "one for each of `phones`, in their order: what stands for each `{name}` of `text`, or of " +
          "the template",
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
  {
    ...closed,
    documented: {
      anyOf: [
        { required: ["messages"] },
        { required: ["phones", "text"] },
        { required: ["phones", "template"] },
      ],
    },
  },
);

const Index = Type.Integer({ minimum: 0, maximum: BATCH_MESSAGES_MAX - 1, description: "from 0" });
export const BatchAnswer = Type.Object(
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
          send_at: Type.Optional(Time),
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
    balance_after: Type.Optional(Money),
    status: Type.Enum(ACCEPTED),
    guaranteed_by: Type.Optional(Time),
    send_at: Type.Optional(Time),
  },
  closed,
);

export const BATCH_ABOUT: About = {
  operationId: "sendBatch",
  tag: "Messages",
  summary: "Accept up to 1,000 messages together",
  description: `Either \`messages\`, or \`phones\` and one \`text\` in which \`{name}\` stands for the
parameter of that name; without \`parameters\` braces are plain text. With \`phones\`, \`template\` sends a
stored text instead.

All that is accepted is stored and reserved by one commit, before the 202. What can't be sent is in
\`rejected\`, with the place of the message in the request; 422 if nothing can. If the wallet can't pay for
all that can be sent, or a spend cap has no room for them, the answer is 402 and nothing is taken; with
\`partial\` the first ones that can be paid are taken, and the others are rejected. With
\`send_at\` all of them are scheduled for that time; those that would be sent within their recipient's quiet
hours, for the end of these. \`status\` is \`scheduled\` if all that is accepted is. \`send_at\` is that of
all: if they have several, each that is scheduled has its own.

A body of \`application/x-ndjson\` may have any number of messages, one a line: they are accepted in chunks
while they come, and answered by a line for each. A repeat with the same \`Idempotency-Key\` gets the
results of what was taken, and goes on behind it. If the answer's last line is a problem document, what
follows in the body was not taken; but after \`outcome_unknown\` or \`internal\` the next chunk, of up to
1,000 lines, may have been. If the connection was lost, any line that has no result may have been.`,
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
  links: { getMessage: "/accepted/0/id", cancelMessage: "/accepted/0/id", changeMessage: "/accepted/0/id" },
};
