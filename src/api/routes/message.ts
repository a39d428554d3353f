// GET /v1/messages/{id}: one message with its timeline, which is null while ClickHouse is away.

import { Type } from "typebox";
import { type MessageDeps, oneMessage } from "../../reports/messages-list.ts";
import { MessageShape } from "../message-shape.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, OrNull, Time } from "../shapes.ts";

const Step = Type.Object(
  { status: Type.String(), attempt: Count, operator: OrNull(Type.String()), at: Time },
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
