// GET /v1/messages: the customer's messages, as they are in MySQL now, newest first.

import { Type } from "typebox";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { listMessages } from "../../reports/messages-list.ts";
import { MESSAGE_EXAMPLE, MessageShape } from "../message-shape.ts";
import { type Route, route } from "../route.ts";
import { closed, Cursor } from "../shapes.ts";

export const createMessages = (reads: OfCustomer<{ pool: Pool }>): Route =>
  route({
    method: "GET",
    path: "/v1/messages",
    access: "read",
    query: ["from", "to", "status", "type", "phone", "limit", "cursor"],
    body: null,
    answers: {
      200: Type.Object(
        { messages: Type.Array(Type.Object(MessageShape, closed)), next_cursor: Cursor },
        closed,
      ),
    },
    errors: [],
    about: {
      operationId: "listMessages",
      tag: "Messages",
      summary: "The customer's messages as they are now, newest first",
      description:
        "Of any time, unless `from` or `to` is given. A page with filters may be short: only a null " +
        "`next_cursor` marks the end.",
      links: { getMessage: "/messages/0/id" },
      answers: { 200: { messages: [MESSAGE_EXAMPLE], next_cursor: null } },
    },
    handle: async ({ owner, query }) => ({
      status: 200,
      body: await listMessages(reads(owner.customerId), owner, query),
    }),
  });
