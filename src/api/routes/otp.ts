// POST /v1/otp and POST /v1/otp/{id}/verify: one-time codes. What is accepted is an express message, like any
// other; what is special about it is in src/ingest/otp.ts.

import { type Static, Type } from "typebox";
import type { UrlRules } from "../../core/callback-url.ts";
import type { Draft } from "../../core/draft.ts";
import { type FieldError, SluiceError } from "../../core/errors.ts";
import { readUlid } from "../../core/id.ts";
import { PHONE_CHARS_MAX, TEXT_CHARS_MAX, TEXT_PARTS_MAX } from "../../core/limits.ts";
import { readCode } from "../../core/otp-code.ts";
import { otpDraftOf } from "../../core/otp-draft.ts";
import {
  OTP_LENGTH_DEFAULT,
  OTP_LENGTH_MAX,
  OTP_LENGTH_MIN,
  OTP_TEMPLATE_DEFAULT,
  OTP_TRIES_MAX,
  OTP_TTL_DEFAULT_MS,
  OTP_TTL_MAX_MS,
  OTP_TTL_MIN_MS,
} from "../../core/otp-limits.ts";
import { refusalsOf } from "../../core/price-plan.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import type { Idempotency } from "../../ingest/idempotency.ts";
import type { Otps, SentOtp } from "../../ingest/otp.ts";
import type { About } from "../about.ts";
import { once } from "../idempotency-key.ts";
import { rateHeaders } from "../rate-headers.ts";
import { type Route, route, type Written } from "../route.ts";
import { closed, Currency, GivenUlid, Money, Phone, Time, Ulid } from "../shapes.ts";

export type OtpRouteDeps = {
  otps: Otps;
  keys: Idempotency;
  callbacks: UrlRules;
  now: () => number;
};

const SendBody = Type.Object(
  {
    phone: Type.String({
      minLength: 1,
      maxLength: PHONE_CHARS_MAX,
      description: "as in an address book or a document; without a country, one of the customer's region",
    }),
    template: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: TEXT_CHARS_MAX,
        description: `the text, with {code} once where the code goes; "${OTP_TEMPLATE_DEFAULT}" if absent`,
        documented: { pattern: "\\{code\\}" },
      }),
    ),
    length: Type.Optional(
      Type.Integer({
        minimum: OTP_LENGTH_MIN,
        maximum: OTP_LENGTH_MAX,
        description: `digits of the code; ${OTP_LENGTH_DEFAULT} if absent`,
      }),
    ),
    ttl: Type.Optional(
      Type.Integer({
        minimum: OTP_TTL_MIN_MS / 1_000,
        maximum: OTP_TTL_MAX_MS / 1_000,
        description: `seconds for which the code is right; ${OTP_TTL_DEFAULT_MS / 1_000} if absent`,
      }),
    ),
  },
  closed,
);

const SendAnswer = Type.Object(
  {
    id: Ulid,
    expires_at: Time,
    message_id: Ulid,
    parts: Type.Integer({ minimum: 1, maximum: TEXT_PARTS_MAX }),
    cost: Money,
    currency: Currency,
    balance_after: Type.Optional(Money),
    guaranteed_by: Time,
    otp_code: Type.Optional(
      Type.String({
        pattern: `^[0-9]{${OTP_LENGTH_MIN},${OTP_LENGTH_MAX}}$`,
        description: "the code; only for customers that are set up to get it",
      }),
    ),
  },
  closed,
);

const VerifyBody = Type.Object(
  {
    code: Type.String({
      minLength: OTP_LENGTH_MIN,
      maxLength: 4 * OTP_LENGTH_MAX,
      description: "as it was typed: Persian, Arabic and full-width digits are read, too",
    }),
  },
  closed,
);
const VerifyAnswer = Type.Object(
  { verified: Type.Literal(true), id: Ulid, message_id: Ulid, phone: Phone },
  closed,
);

const [ID, MESSAGE_ID] = ["01M7YBCG2N0V4QK5A1T8P6WJ3D", "01M7YBCG2N6Q3C9Y0E5XKR7B2H"];
const ABOUT: About = {
  operationId: "sendCode",
  tag: "Codes",
  summary: "Send a one-time code",
  description: `Draws a code and sends it by the express lane, as an express message that costs what any other
does; \`id\` is the code's, \`message_id\` the message's. The 202 comes after the commit. A new code for the
same phone ends the one before.

Nobody sees the code but its recipient: it is stored as a keyed hash, sealed until an operator gets it, and in
no list, report, webhook or log. How many codes a phone, a customer, and numbers that begin alike are sent is
limited; what is refused for that costs nothing.`,
  body: { phone: "+989121234567", template: "{code} is your code for Example", length: 6, ttl: 300 },
  answers: {
    202: {
      id: ID,
      expires_at: "2026-09-21T14:18:20.000Z",
      message_id: MESSAGE_ID,
      parts: 1,
      cost: 700,
      currency: "IRR",
      balance_after: 99_300,
      guaranteed_by: "2026-09-21T14:13:25.000Z",
    },
  },
  headers: ["RateLimit", "RateLimit-Policy"],
  links: { verifyCode: "/id" },
};

export const createOtpSend = ({ otps, keys, ...rules }: OtpRouteDeps): Route =>
  route({
    method: "POST",
    path: "/v1/otp",
    access: "send",
    query: [],
    body: SendBody,
    answers: { 202: SendAnswer },
    errors: [
      "insufficient_balance",
      "spend_cap_reached",
      "idempotency_in_progress",
      "idempotency_key_reused",
      "otp_phone_limited",
      "otp_customer_limited",
      "otp_pumping_suspected",
      "lane_saturated",
      "credit_elsewhere",
      "outcome_unknown",
    ],
    about: ABOUT,
    async handle(call) {
      const { body, owner, traceparent, isGone } = call;
      const reply = await once(keys, call, "otp", async (key): Promise<Written<202>> => {
        const draft = drafted(body, owner, rules);
        const { length = OTP_LENGTH_DEFAULT } = body;
        const asked = { payer: owner, draft, length, ttlMs: ttlMsOf(body), key, answerOf };
        const { sent, rate } = await otps.send({ ...asked, traceparent, isGone });
        const written = { status: 202, body: answerOf(sent) } as const;
        return rate === null ? written : { ...written, headers: rateHeaders(rate) };
      });
      const isReplayed = reply.headers?.["Idempotent-Replayed"] !== undefined;
      return isReplayed ? { ...reply, body: opened(otps, owner, reply.body) } : reply;
    },
  });

export const createOtpVerify = ({ otps }: OtpRouteDeps): Route =>
  route({
    method: "POST",
    path: "/v1/otp/:id/verify",
    access: "send",
    query: [],
    body: VerifyBody,
    answers: { 200: VerifyAnswer },
    errors: ["not_found", "otp_wrong", "otp_over", "outcome_unknown"],
    about: {
      operationId: "verifyCode",
      tag: "Codes",
      summary: "Verify a one-time code",
      repeatable: false, // each uses up a try
      description:
        `Costs nothing. A code has ${OTP_TRIES_MAX} tries, whoever makes them, and is verified once: then, ` +
        "and after its last try or its time, the answer is 409 `otp_over`. 404 for the code of another " +
        "customer, and for one that a newer code has replaced.",
      path: { id: { schema: GivenUlid, description: "of the code", example: ID } },
      body: { code: "482913" },
      answers: { 200: { verified: true, id: ID, message_id: MESSAGE_ID, phone: "+989121234567" } },
    },
    async handle({ owner: { customerId }, params, body }) {
      const otpId = readUlid(params.id ?? "");
      if (otpId === null)
        throw new SluiceError("not_found", { detail: "No such code, or a newer one has replaced it." });
      const code = readCode(body.code);
      if (code === null) {
        const reason = `must be ${OTP_LENGTH_MIN} to ${OTP_LENGTH_MAX} digits`;
        throw new SluiceError("validation_failed", { errors: [{ field: "code", reason }] });
      }
      const { messageId, phone } = await otps.verify({ customerId, otpId }, code);
      return { status: 200, body: { verified: true as const, id: otpId, message_id: messageId, phone } };
    },
  });

type Send = Static<typeof SendBody>;

const ttlMsOf = ({ ttl }: Send): number => (ttl === undefined ? OTP_TTL_DEFAULT_MS : ttl * 1_000);

/** @throws SluiceError validation_failed */
function drafted(
  body: Send,
  owner: KeyOwner,
  { callbacks, now }: Pick<OtpRouteDeps, "callbacks" | "now">,
): Draft {
  const { phone, template = OTP_TEMPLATE_DEFAULT, length = OTP_LENGTH_DEFAULT } = body;
  const none = { from: null, reference: null, callbackUrl: null };
  const result = otpDraftOf(
    { phone, text: template, length, ttlMs: ttlMsOf(body), ...none },
    { region: owner.region, callbacks, refuses: refusalsOf(owner, now) },
  );
  if (result.kind === "draft") return result.draft;
  throw new SluiceError("validation_failed", { errors: result.errors.map(ofTemplate) });
}

const ofTemplate = ({ field, reason }: FieldError): FieldError => ({
  field: field === "text" ? "template" : field,
  reason,
});

/** One way of writing it, so that a stored answer whose code is opened has the bytes of the first. */
function answerOf({ id, expiresAtMs, accepted, code }: SentOtp): string {
  const { id: messageId, parts, cost, currency, balanceAfter, guaranteedByMs } = accepted;
  const time = (ms: number) => new Date(ms).toISOString();
  const answer: Static<typeof SendAnswer> = {
    id,
    expires_at: time(expiresAtMs),
    message_id: messageId,
    parts,
    cost,
    currency,
    ...(balanceAfter === null ? {} : { balance_after: balanceAfter }),
    // Express that is accepted without a fallback is always promised.
    guaranteed_by: time(guaranteedByMs as number),
    ...(code === null ? {} : { otp_code: code }),
  };
  return JSON.stringify(answer);
}

/** A stored answer as it was given first; without its code, if that can't be read any more. */
function opened(otps: Otps, { customerId }: KeyOwner, stored: string): string {
  const { otp_code: sealed, ...answer } = JSON.parse(stored) as Static<typeof SendAnswer>;
  if (sealed === undefined) return stored;
  const code = otps.openAnswer({ customerId, otpId: answer.id }, sealed);
  return JSON.stringify(code === null ? answer : { ...answer, otp_code: code });
}
