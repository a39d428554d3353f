// POST /v1/webhooks/deliveries/{id}/replay: delivers one event again, whatever became of it.

import { Type } from "typebox";
import { SluiceError } from "../../core/errors.ts";
import { readUlid } from "../../core/id.ts";
import { replayOne } from "../../ledger/webhook-replay.ts";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { repeatable } from "../../platform/repeatable.ts";
import { type Route, route } from "../route.ts";
import { closed, GivenUlid, Ulid } from "../shapes.ts";

export type ReplayDeps = { schedule: OfCustomer<{ pool: Pool }> };

export const createWebhookReplay = (deps: ReplayDeps): Route =>
  route({
    method: "POST",
    path: "/v1/webhooks/deliveries/:id/replay",
    access: "send",
    query: [],
    body: Type.Object({}, closed),
    answers: { 200: Type.Object({ id: Ulid, state: Type.Literal("pending") }, closed) },
    errors: ["not_found", "outcome_unknown"],
    about: {
      operationId: "replayDelivery",
      tag: "Webhooks",
      summary: "Deliver one event again, whatever became of it",
      path: { id: { schema: GivenUlid, description: "of the event", example: "01M7YBCH59Z4D8R94AWEAQ1Q8T" } },
      body: {},
      answers: { 200: { id: "01M7YBCH59Z4D8R94AWEAQ1Q8T", state: "pending" } },
    },
    async handle({ owner, params }) {
      const id = readUlid(params.id ?? "");
      const { pool } = deps.schedule(owner.customerId);
      if (id === null || !(await repeatable(replayOne(pool, owner.customerId, id))))
        throw new SluiceError("not_found", { detail: "No such delivery of the last 8 days." });
      return { status: 200, body: { id, state: "pending" as const } };
    },
  });
