// GET /v1/webhooks: what the customer has set up, and how its endpoints are doing.

import { Type } from "typebox";
import { STATUSES } from "../../core/message.ts";
import { ENDPOINT_STATES } from "../../ledger/webhook-endpoints.ts";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { webhookView } from "../../reports/webhooks.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, Money, OrNull, Time } from "../shapes.ts";

const Endpoint = Type.Object(
  {
    origin: OrNull(Type.String()),
    state: Type.Enum(ENDPOINT_STATES),
    failures: Count,
    failing_since: OrNull(Time),
    stopped_at: OrNull(Time),
    last_error: OrNull(Type.String()),
    next_attempt_at: OrNull(Time),
  },
  closed,
);

export const createWebhook = (reads: OfCustomer<{ pool: Pool }>): Route =>
  route({
    method: "GET",
    path: "/v1/webhooks",
    access: "read",
    query: [],
    body: null,
    answers: {
      200: Type.Object(
        {
          url: OrNull(Type.String()),
          statuses: Type.Array(Type.Enum(STATUSES)),
          tell_pauses: Type.Boolean(),
          low_balance: OrNull(Money),
          old_secret_until: OrNull(Time),
          endpoints: Type.Array(Endpoint),
        },
        closed,
      ),
    },
    errors: ["not_found"],
    about: {
      operationId: "getWebhook",
      tag: "Webhooks",
      summary: "What is set up, and how the endpoints are doing",
      description: "`origin` is null for the customer's own URL. Whoever runs Sluice sets up the webhook.",
      answers: {
        200: {
          url: "https://example.com/sms",
          statuses: ["sent", "delivered", "undelivered", "failed"],
          tell_pauses: true,
          low_balance: null,
          old_secret_until: null,
          endpoints: [
            {
              origin: null,
              state: "active",
              failures: 0,
              failing_since: null,
              last_error: null,
              next_attempt_at: null,
              stopped_at: null,
            },
          ],
        },
      },
    },
    handle: async ({ owner }) => ({
      status: 200,
      body: await webhookView(reads(owner.customerId), owner.customerId),
    }),
  });
