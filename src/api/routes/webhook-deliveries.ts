// GET /v1/webhooks/deliveries: the customer's deliveries of the last days, newest first.

import { Type } from "typebox";
import { EVENT_TYPES } from "../../core/webhook-event.ts";
import { DELIVERY_STATES } from "../../ledger/webhook-deliveries.ts";
import type { Pool } from "../../platform/mysql.ts";
import { listDeliveries } from "../../reports/webhooks.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, Cursor, OrNull, Time, Ulid } from "../shapes.ts";

const Delivery = Type.Object(
  {
    id: Ulid,
    type: Type.Enum(EVENT_TYPES),
    message_id: OrNull(Ulid),
    status: OrNull(Type.String()),
    sequence: OrNull(Count),
    occurred_at: Time,
    url: OrNull(Type.String()),
    state: Type.Enum(DELIVERY_STATES),
    attempts: Count,
    next_attempt_at: OrNull(Time),
    last_code: OrNull(Count),
    last_error: OrNull(Type.String()),
    updated_at: Time,
  },
  closed,
);

export const createWebhookDeliveries = (deps: { pool: Pool }): Route =>
  route({
    method: "GET",
    path: "/v1/webhooks/deliveries",
    access: "read",
    query: ["from", "to", "state", "limit", "cursor"],
    body: null,
    answers: {
      200: Type.Object({ deliveries: Type.Array(Delivery), next_cursor: Cursor }, closed),
    },
    errors: [],
    handle: async ({ owner, query }) => ({
      status: 200,
      body: await listDeliveries(deps, owner.customerId, query),
    }),
  });
