// The problem documents of the errors table as schemas and examples: one of each code. An example is written
// by the function that writes the answers.

import { Type } from "typebox";
import {
  ERRORS,
  type ErrorCode,
  insufficientBalance,
  laneSaturated,
  notScheduled,
  problemBody,
  problemType,
  SluiceError,
} from "../../core/errors.ts";
import { FIELD_ERRORS_MAX } from "../../core/limits.ts";
import { STATUSES } from "../../core/message.ts";
import { OTP_ENDS, otpOver, otpWrong } from "../../core/otp-errors.ts";
import { PERSIAN } from "../../core/persian-errors.ts";
import { CAP_PERIODS, SpendCapError } from "../../core/spend-cap.ts";
import { Count, Money, Time } from "../shapes.ts";
import { REQUEST_ID_EXAMPLE, RequestId } from "./headers.ts";
import { type Json, printSchema, refTo, typeName } from "./schemas.ts";

export const CODES = Object.keys(ERRORS) as ErrorCode[];

/** Codes whose problem has `errors`, if individual fields were refused. */
const NAMES_FIELDS: readonly ErrorCode[] = ["malformed_request", "validation_failed"];

/** Members that only the problem of one code has. */
const EXTRA: Partial<Record<ErrorCode, Json>> = {
  insufficient_balance: {
    required: printSchema(Money),
    balance: printSchema(Money),
  },
  spend_cap_reached: {
    required: printSchema(Money),
    cap: { enum: [...CAP_PERIODS] },
    limit: printSchema(Money),
    left: printSchema(Money),
    resets_at: printSchema(Time),
  },
  lane_saturated: {
    could_promise_s: printSchema(Count),
    promise_max_s: printSchema(Count),
  },
  not_scheduled: { message_status: printSchema(Type.Enum(STATUSES)) },
  otp_over: { otp_status: { enum: [...OTP_ENDS] } },
  otp_wrong: { tries_left: printSchema(Count) },
};

const PROBLEM: Json = {
  description:
    "RFC 9457. `code` is stable: codes are added, never renamed. `type` is an identifier to compare, not " +
    "an address to open.",
  type: "object",
  required: ["type", "title", "status", "detail", "code", "request_id", "error"],
  properties: {
    type: { type: "string", pattern: "^urn:sluice:error:" },
    title: { type: "string" },
    status: { type: "integer", minimum: 400, maximum: 599 },
    detail: { type: "string", description: "what was wrong with this request" },
    code: { type: "string" },
    request_id: printSchema(RequestId),
    error: { type: "string", description: "the same as `code`" },
  },
};

const FIELD_ERROR: Json = {
  type: "object",
  required: ["field", "reason"],
  properties: { field: { type: "string" }, reason: { type: "string" } },
};

export const problemName = (code: ErrorCode): string => `${typeName(code)}Problem`;

/** A schema for all problems, and one for each code. */
export function problemSchemas(): Json {
  const ofCodes = CODES.map((code) => [problemName(code), schemaOf(code)]);
  return { Problem: PROBLEM, FieldError: FIELD_ERROR, ...(Object.fromEntries(ofCodes) as Json) };
}

function schemaOf(code: ErrorCode): Json {
  const { status, title, meaning } = ERRORS[code];
  const extra = EXTRA[code] ?? {};
  const errors = {
    type: "array",
    items: refTo("schemas", "FieldError"),
    minItems: 1,
    maxItems: FIELD_ERRORS_MAX,
  };
  const own = {
    type: { const: problemType(code) },
    title: { enum: [title, PERSIAN[code].title] },
    status: { const: status },
    code: { const: code },
    error: { const: code },
    ...(NAMES_FIELDS.includes(code) ? { errors } : {}),
    ...extra,
  };
  return {
    description: meaning,
    allOf: [
      refTo("schemas", "Problem"),
      { type: "object", required: ["code", ...Object.keys(extra)], properties: own },
    ],
  };
}

/** An example of each code, as OpenAPI's Example Objects. */
export const problemExamples = (): Json =>
  Object.fromEntries(
    CODES.map((code) => [
      code,
      { summary: ERRORS[code].title, value: JSON.parse(problemBody(errorOf(code), REQUEST_ID_EXAMPLE)) },
    ]),
  );

const refused = (code: ErrorCode, field: string, reason: string): SluiceError =>
  new SluiceError(code, { errors: [{ field, reason }] });
/** Of codes whose problems say more than the table. */
const EXAMPLES: Partial<Record<ErrorCode, () => SluiceError>> = {
  malformed_request: () =>
    refused("malformed_request", "Idempotency-Key", "must be given once, and without commas"),
  validation_failed: () => refused("validation_failed", "phone", "is not a valid phone number"),
  insufficient_balance: () => insufficientBalance(1_000, 250),
  spend_cap_reached: () =>
    new SpendCapError(1_000, {
      cap: "daily",
      limit: 50_000,
      left: 250,
      resetsAtMs: Date.UTC(2026, 8, 22),
    }),
  lane_saturated: () => laneSaturated(45, 30, 15),
  not_scheduled: () => notScheduled("queued"),
  otp_over: () => otpOver("expired"),
  otp_wrong: () => otpWrong(3),
};
const errorOf = (code: ErrorCode): SluiceError => EXAMPLES[code]?.() ?? new SluiceError(code);
