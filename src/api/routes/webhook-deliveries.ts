// GET /v1/webhooks/deliveries: the customer's deliveries of the last days, newest first.

import { Type } from "typebox";
import { PEERS } from "../../core/peers/form.ts";
import { EVENT_TYPES, MESSAGE_STATUS } from "../../core/webhook-event.ts";
import { DELIVERY_STATES } from "../../ledger/webhook-deliveries.ts";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { listDeliveries } from "../../reports/webhooks.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, Cursor, OrNull, Time, Ulid } from "../shapes.ts";

export const Delivery = Type.Object(
  {
    id: Ulid,
    type: Type.Enum(EVENT_TYPES),
    message_id: OrNull(Ulid),
    status: OrNull(Type.String()),
    sequence: OrNull(Count),
    occurred_at: Time,
    url: OrNull(Type.String()),
    form: OrNull(Type.Enum(PEERS)),
    state: Type.Enum(DELIVERY_STATES),
    attempts: Count,
    next_attempt_at: OrNull(Time),
    last_code: OrNull(Count),
    last_error: OrNull(Type.String()),
    updated_at: Time,
  },
  closed,
);

export const DELIVERY_EXAMPLE = {
  id: "01M7YBCH59Z4D8R94AWEAQ1Q8T",
  type: MESSAGE_STATUS,
  message_id: "01M7YBCG2N0V4QK5A1T8P6WJ3D",
  status: "delivered",
  sequence: 5,
  occurred_at: "2026-09-21T14:13:21.234Z",
  url: null,
  form: null,
  state: "delivered",
  attempts: 1,
  next_attempt_at: null,
  last_code: 204,
  last_error: null,
  updated_at: "2026-09-21T14:13:21.500Z",
};

export const createWebhookDeliveries = (reads: OfCustomer<{ pool: Pool }>): Route =>
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
    about: {
      operationId: "listDeliveries",
      tag: "Webhooks",
      summary: "The deliveries of the last 8 days, newest first",
      description:
        "`from` and `to` are about `occurred_at`. `url` is null for the customer's own URL; `form` names " +
        "the peer in whose form a door's callback is, and is null for events in Sluice's own.",
      links: { replayDelivery: "/deliveries/0/id" },
      answers: { 200: { deliveries: [DELIVERY_EXAMPLE], next_cursor: null } },
    },
    handle: async ({ owner, query }) => ({
      status: 200,
      body: await listDeliveries(reads(owner.customerId), owner.customerId, query),
    }),
  });
