// GET /v1/messages/{id}: one message with its timeline, which is null while ClickHouse is away.

import { Type } from "typebox";
import { type MessageDeps, oneMessage } from "../../reports/messages-list.ts";
import { MessageShape } from "../message-shape.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, OrNull, Time } from "../shapes.ts";

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

export const createMessage = (deps: MessageDeps): Route =>
  route({
    method: "GET",
    path: "/v1/messages/:id",
    access: "read",
    query: [],
    body: null,
    answers: { 200: Type.Object({ ...MessageShape, timeline: OrNull(Type.Array(Step)) }, closed) },
    errors: ["not_found"],
    handle: async ({ owner, params }) => ({
      status: 200,
      body: await oneMessage(deps, owner, params.id ?? ""),
    }),
  });
