// POST /v1/webhooks/deliveries/replay: delivers events again, those of a span of time or all that failed.

import { Type } from "typebox";
import { type FieldError, SluiceError } from "../../core/errors.ts";
import { WEBHOOK_REPLAY_MAX } from "../../core/webhook-limits.ts";
import { replayMany, type Selection } from "../../ledger/webhook-replay.ts";
import { repeatable } from "../../platform/repeatable.ts";
import { readParams } from "../../reports/params.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, OrNull, Ulid } from "../shapes.ts";
import type { ReplayDeps } from "./webhook-replay.ts";

const ReplayBody = Type.Object(
  {
    from: Type.Optional(
      Type.String({ format: "date-time", description: "RFC 3339: what occurred at that time or later" }),
    ),
    to: Type.Optional(Type.String({ format: "date-time", description: "RFC 3339: what occurred before" })),
    state: Type.Optional(Type.Enum(["delivered", "failed"])),
    after: Type.Optional(Ulid),
  },
  {
    ...closed,
    documented: {
      anyOf: [{ required: ["from"] }, { required: ["state"] }],
    },
  },
);

export const createWebhookReplays = (deps: ReplayDeps): Route =>
  route({
    method: "POST",
    path: "/v1/webhooks/deliveries/replay",
    access: "send",
    query: [],
    body: ReplayBody,
    answers: { 200: Type.Object({ replayed: Count, next: OrNull(Ulid) }, closed) },
    errors: ["outcome_unknown"],
    about: {
      operationId: "replayDeliveries",
      tag: "Webhooks",
      summary: "Deliver again what failed, or what occurred in a span of time",
      description:
        `\`from\` or \`state\` is required. Up to ${WEBHOOK_REPLAY_MAX} events at once: \`next\` goes into ` +
        "`after` of the next request, and is null at the end. If the database fails after some were " +
        "replayed, the answer has those, and `next`.",
      body: { state: "failed" },
      answers: { 200: { replayed: 12, next: null } },
    },
    async handle({ owner, body }) {
      const { after = null, ...given } = body;
      const { pool } = deps.schedule(owner.customerId);
      const { replayed, next } = await repeatable(
        replayMany(pool, owner.customerId, selectionOf(given), after),
      );
      return { status: 200, body: { replayed, next } };
    },
  });

type Given = { from?: string; to?: string; state?: "delivered" | "failed" };

/** @throws SluiceError validation_failed; also for a body that would replay everything */
function selectionOf({ from, to, state }: Given): Selection {
  const times = Object.entries({ from, to }).filter((entry) => entry[1] !== undefined);
  const params = readParams(new Map(times as [string, string][]));
  const [fromMs, toMs] = [params.time("from"), params.time("to")];
  params.check();
  const errors: FieldError[] = [];
  if (fromMs === null && state === undefined)
    errors.push({ field: "from", reason: "or `state` is required" });
  if (fromMs !== null && toMs !== null && fromMs >= toMs)
    errors.push({ field: "from", reason: "must be before `to`" });
  if (errors.length > 0) throw new SluiceError("validation_failed", { errors });
  return { fromMs, toMs, state: state ?? null };
}
