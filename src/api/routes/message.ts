// GET /v1/messages/{id}: one message with its timeline, which is null while ClickHouse is away.

import { Type } from "typebox";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { type MessageDeps, oneMessage } from "../../reports/messages-list.ts";
import { STEP_NAMES } from "../../reports/steps.ts";
import { MESSAGE_EXAMPLE, MessageShape } from "../message-shape.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, GivenUlid, OrNull, Time } from "../shapes.ts";

const Refusal = Type.Object({ operator: Type.String(), error: Type.String(), at: Time }, closed);
const Step = Type.Object(
  {
    status: Type.String(),
    attempt: Count,
    operator: OrNull(Type.String()),
    at: Time,
    error: OrNull(Type.String()),
    refused: Type.Array(Refusal),
    late: Type.Boolean(),
  },
  closed,
);

const Past = Type.Object(
  {
    step: Type.Enum(STEP_NAMES),
    at: Time,
    after_ms: Count,
    attempt: OrNull(Count),
    status: OrNull(Type.String()),
    operator: OrNull(Type.String()),
    answer: OrNull(Type.String()),
    error: OrNull(Type.String()),
    endpoint: OrNull(Type.String()),
    code: OrNull(Count),
    took_ms: OrNull(Count),
  },
  closed,
);

/** A message with all that is known of its way. */
export const MessageWithPast = {
  ...MessageShape,
  timeline: OrNull(Type.Array(Step)),
  steps: OrNull(Type.Array(Past)),
};

/** Of the example. */
const past = (name: (typeof STEP_NAMES)[number], afterMs: number, more: object) => ({
  step: name,
  at: MESSAGE_EXAMPLE.created_at,
  after_ms: afterMs,
  attempt: 1,
  status: null,
  operator: null,
  answer: null,
  error: null,
  endpoint: null,
  code: null,
  took_ms: null,
  ...more,
});
const step = (status: string, operator: string | null) => ({
  status,
  attempt: 1,
  operator,
  at: MESSAGE_EXAMPLE.created_at,
  error: null,
  refused: [],
  late: false,
});

export const MESSAGE_WITH_PAST_EXAMPLE = {
  ...MESSAGE_EXAMPLE,
  timeline: [step("queued", null), step("sent", "A")],
  steps: [
    past("accepted", 0, { attempt: null }),
    past("claimed", 40, {}),
    past("attempt", 25, { operator: "A", answer: "accepted" }),
    past("webhook", 210, { status: "sent", endpoint: "https://example.com", code: 204, took_ms: 12 }),
  ],
};

export const createMessage = (reads: OfCustomer<MessageDeps>): Route =>
  route({
    method: "GET",
    path: "/v1/messages/:id",
    access: "read",
    query: [],
    body: null,
    answers: { 200: Type.Object(MessageWithPast, closed) },
    errors: ["not_found"],
    about: {
      operationId: "getMessage",
      tag: "Messages",
      summary: "One message with its timeline",
      description:
        "`timeline` has each change, oldest first, and is null while the reporting database is away. " +
        "`refused` names the operators that refused the message before that change; `late` marks a report " +
        "that changed nothing. `steps` has all that happened on the way, with `after_ms`, how long after " +
        "the step before: each operator's answer, the money, and each call of a webhook, whose `took_ms` " +
        "is its own time. Where nobody knows when a step was, it is left out.",
      path: { id: { schema: GivenUlid, description: "of the message", example: MESSAGE_EXAMPLE.id } },
      answers: { 200: MESSAGE_WITH_PAST_EXAMPLE },
    },
    handle: async ({ owner, params }) => ({
      status: 200,
      body: await oneMessage(reads(owner.customerId), owner, params.id ?? ""),
    }),
  });
