// DELETE and PATCH /v1/messages/{id}: cancels a scheduled message, or changes when it is sent; answered with
// the message as it is then. What counts is who locks it first, the caller or the relay
// (src/ledger/schedule.ts).

import { type TObject, Type } from "typebox";
import { SluiceError } from "../../core/errors.ts";
import { readUlid, ulidTimeMs } from "../../core/id.ts";
import { VALID_FOR_MS } from "../../core/limits.ts";
import { sendAtOf } from "../../core/send-at.ts";
import {
  cancelScheduled,
  type OwnMessage,
  putOffScheduled,
  type ScheduleDeps,
} from "../../ledger/schedule.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { repeatable } from "../../platform/repeatable.ts";
import { findMessage } from "../../reports/messages-list.ts";
import type { About } from "../about.ts";
import { MessageShape, SCHEDULED_EXAMPLE } from "../message-shape.ts";
import { SendAtTime } from "../options.ts";
import { type Call, type Route, route } from "../route.ts";
import { closed, GivenUlid } from "../shapes.ts";

export type MessageScheduleDeps = { schedule: OfCustomer<ScheduleDeps> };

const Message = Type.Object(MessageShape, closed);
const PATH: About["path"] = {
  id: { schema: GivenUlid, description: "of the message", example: SCHEDULED_EXAMPLE.id },
};
const DAY_MS = 86_400_000;
/** In two weeks, as an example: one that is over, or more than 30 days ahead, would be refused. */
const laterMs = () => (Math.floor(Date.now() / DAY_MS) + 14) * DAY_MS;
const later = (afterMs = 0) => new Date(laterMs() + afterMs).toISOString();
const ERRORS = ["not_found", "not_scheduled", "outcome_unknown"] as const;

/** @throws SluiceError not_found */
function ownOf<B extends TObject | null>({ owner, params, isGone }: Call<"send", B>): OwnMessage {
  const id = readUlid(params.id ?? "");
  if (id === null) throw new SluiceError("not_found", { detail: "No such message." });
  return { customerId: owner.customerId, id, isGone };
}

export const createMessageCancel = ({ schedule }: MessageScheduleDeps): Route =>
  route({
    method: "DELETE",
    path: "/v1/messages/:id",
    access: "send",
    query: [],
    body: null,
    answers: { 200: Message },
    errors: ERRORS,
    about: {
      operationId: "cancelMessage",
      tag: "Messages",
      summary: "Cancel a scheduled message",
      description:
        "It is refunded at once. A repeat gets the same answer. 409 once it is no longer `scheduled`.",
      path: PATH,
      answers: { 200: { ...SCHEDULED_EXAMPLE, status: "canceled" } },
    },
    async handle(call) {
      const own = ownOf(call);
      const deps = schedule(own.customerId);
      await cancelScheduled(deps, own);
      // What is answered when this is lost must not say that nothing was stored.
      return { status: 200, body: await repeatable(findMessage(deps.pool, call.owner, own.id)) };
    },
  });

export const createMessageChange = ({ schedule }: MessageScheduleDeps): Route =>
  route({
    method: "PATCH",
    path: "/v1/messages/:id",
    access: "send",
    query: [],
    body: Type.Object({ send_at: SendAtTime }, closed),
    answers: { 200: Message },
    errors: ERRORS,
    about: {
      operationId: "changeMessage",
      tag: "Messages",
      summary: "Change when a scheduled message is sent",
      repeatable: false, // it may mean at once, and then the message is no longer scheduled
      description:
        "`valid_until` and `guaranteed_by` move with it. A time within the recipient's quiet hours means " +
        "their end. 409 once it is no longer `scheduled`. Text and phone can't be changed: cancel it, and " +
        "send another one.",
      path: PATH,
      get body() {
        return { send_at: later() };
      },
      get answers() {
        return { 200: { ...SCHEDULED_EXAMPLE, send_at: later(), valid_until: later(VALID_FOR_MS) } };
      },
    },
    async handle(call) {
      const own = ownOf(call);
      const { pool, now } = schedule(own.customerId);
      const nowMs = now();
      const read = sendAtOf(call.body.send_at, nowMs, ulidTimeMs(own.id));
      if ("reason" in read)
        throw new SluiceError("validation_failed", { errors: [{ field: "send_at", reason: read.reason }] });
      const atMs = read.atMs ?? nowMs;
      const { quietUntil } = call.owner;
      await putOffScheduled(pool, own, ({ lane, phone }) =>
        lane === "express" ? atMs : (quietUntil?.(phone, atMs) ?? atMs),
      );
      return { status: 200, body: await repeatable(findMessage(pool, call.owner, own.id), false) };
    },
  });
