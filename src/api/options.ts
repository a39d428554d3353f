// What a customer may say about a message besides phone, text and lane: the fields that the bodies of a send
// and of a batch share, and the refusals of those that don't fit the others.

import { Type } from "typebox";
import type { FieldError } from "../core/errors.ts";
import { FROM_CHARS_MAX, VALID_FOR_MIN_MS, VALID_FOR_MS } from "../core/limits.ts";
import { SCHEDULE_AHEAD_MS, SCHEDULE_PAST_MS } from "../core/schedule-limits.ts";
import { sendAtOf } from "../core/send-at.ts";
import { CALLBACK_URL_CHARS_MAX } from "../core/webhook-limits.ts";

export const From = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: FROM_CHARS_MAX,
    description: "a number of at most 15 digits, or 1 to 11 characters of the GSM 7-bit alphabet",
  }),
);
export const CallbackUrl = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: CALLBACK_URL_CHARS_MAX,
    description: "told of a message's statuses instead of the customer's webhook, which must exist",
  }),
);
export const ValidFor = Type.Optional(
  Type.Integer({
    minimum: VALID_FOR_MIN_MS / 1_000,
    maximum: VALID_FOR_MS / 1_000,
    description:
      "seconds after its acceptance, or its send_at, in which a message is worth sending and delivering",
  }),
);
export const Fallback = Type.Optional(
  Type.Enum(["normal"] as const, {
    description: "express that can't be promised in time is accepted as this type instead of refused",
  }),
);

/** Required, for a route that changes it. */
export const SendAtTime = Type.String({
  format: "date-time",
  description:
    `RFC 3339 with seconds and an offset: when to send, at most ${SCHEDULE_AHEAD_MS / 86_400_000} days ` +
    `after the message is accepted; what is over by at most ${SCHEDULE_PAST_MS / 1_000} s is sent at once`,
});
export const SendAt = Type.Optional(SendAtTime);

export const FALLBACK_MISPLACED: FieldError = { field: "fallback", reason: "is only for express" };
/** Calls are signed, and there is no secret yet to verify them with. */
export const SECRET_MISSING: FieldError = {
  field: "callback_url",
  reason: "needs a webhook secret, which this customer has not",
};
/** What is sent later is not refused for its promise, so nothing is there to fall back from. */
const FALLBACK_LATER: FieldError = { field: "fallback", reason: "can't be given together with send_at" };

/** When to send what a body says, Unix milliseconds; undefined: at once. `errors`: what is wrong. */
export function readSendAt(
  { send_at: text, fallback }: { send_at?: string; fallback?: string },
  now: () => number,
): { sendAtMs?: number; errors: FieldError[] } {
  if (text === undefined) return AT_ONCE;
  const errors = fallback === undefined ? [] : [FALLBACK_LATER];
  const read = sendAtOf(text, now());
  if ("reason" in read) errors.push({ field: "send_at", reason: read.reason });
  else if (read.atMs !== null) return { sendAtMs: read.atMs, errors };
  return { errors };
}

const AT_ONCE: { errors: FieldError[] } = { errors: [] };
