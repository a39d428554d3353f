// GET /v1/messages/{id}: one message with its timeline, which is null while ClickHouse is away.

import { Type } from "typebox";
import { type MessageDeps, oneMessage } from "../../reports/messages-list.ts";
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

/** Of the example. */
const step = (status: string, operator: string | null) => ({
  status,
  attempt: 1,
  operator,
  at: MESSAGE_EXAMPLE.created_at,
  error: null,
  refused: [],
  late: false,
});

export const createMessage = (deps: MessageDeps): Route =>
  route({
    method: "GET",
    path: "/v1/messages/:id",
    access: "read",
    query: [],
    body: null,
    answers: { 200: Type.Object({ ...MessageShape, timeline: OrNull(Type.Array(Step)) }, closed) },
    errors: ["not_found"],
    about: {
      operationId: "getMessage",
      tag: "Messages",
      summary: "One message with its timeline",
      description:
        "`timeline` has each change, oldest first, and is null while the reporting database is away. " +
        "`refused` names the operators that refused the message before that change; `late` marks a report " +
        "that changed nothing.",
      path: { id: { schema: GivenUlid, description: "of the message", example: MESSAGE_EXAMPLE.id } },
      answers: { 200: { ...MESSAGE_EXAMPLE, timeline: [step("queued", null), step("sent", "A")] } },
    },
    handle: async ({ owner, params }) => ({
      status: 200,
      body: await oneMessage(deps, owner, params.id ?? ""),
    }),
  });
