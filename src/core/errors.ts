// Every error that a caller can get, in one table: code → HTTP status, title, whether a retry can help.
// Leaves to others: logging (once, where the error is handled) and mapping foreign errors (each driver's
// file).
// Invariant: an answer's text comes from this table and from `detail`; never from a cause, a stack or SQL.

import { FIELD_ERRORS_MAX } from "./limits.ts";

export type ErrorRow = {
  /** HTTP status */
  status: number;
  title: string;
  /** The same request, unchanged, may succeed later. */
  retryable: boolean;
  /** One sentence for docs/reference/errors.md */
  meaning: string;
};

// Codes are public and stable: rows are added, never renamed. The order is that of docs/reference/errors.md.
export const ERRORS = {
  malformed_request: row(
    400,
    "Malformed request",
    false,
    "A single-valued header was given twice, or the query is not correctly percent-encoded; `errors` says " +
      "which. Or the request is not valid HTTP; only the edge answers that, the direct port closes the " +
      "connection.",
  ),
  malformed_json: row(400, "Malformed JSON", false, "The body isn't JSON, or is nested too deeply."),
  body_not_utf8: row(400, "Body is not UTF-8", false, "The body holds bytes that are not UTF-8."),
  api_key_missing: row(
    401,
    "API key missing",
    false,
    "The request has no `X-API-Key` header, or an empty one.",
  ),
  api_key_invalid: row(401, "API key invalid", false, "The key is unknown, was revoked, or has expired."),
  admin_token_invalid: row(401, "Admin token invalid", false, "No live token in `Authorization: Bearer`."),
  signature_missing: row(
    401,
    "Signature missing",
    false,
    "The key takes signed requests only, and `X-Sluice-Timestamp`, `X-Sluice-Nonce` or " +
      "`X-Sluice-Signature` is missing (docs/reference/access.md).",
  ),
  signature_invalid: row(
    401,
    "Signature invalid",
    false,
    "The signature is not that of this request, or one of its headers is not written as it must be.",
  ),
  signature_expired: row(
    401,
    "Signature expired",
    false,
    "Its `X-Sluice-Timestamp` is more than 300 s before or after the time of the answer's `Date`. Sign the " +
      "request again.",
  ),
  signature_replayed: row(
    401,
    "Signature replayed",
    false,
    "This request was received before: its `X-Sluice-Nonce` was used. Sign it again, with another nonce " +
      "and, if it moves money, with the same `Idempotency-Key`.",
  ),
  insufficient_balance: row(
    402,
    "Insufficient balance",
    false,
    "The wallet, including all credit held in leases, can't pay for what was asked. Nothing was charged; " +
      "`required` and `balance` say how much is missing.",
  ),
  spend_cap_reached: row(
    402,
    "Spend cap reached",
    false,
    "The wallet can pay, but what the customer may spend in a day or a month (UTC) can't: `cap` names the " +
      "cap, `limit` and `left` its amounts, `resets_at` when it begins anew. Nothing was charged.",
  ),
  scope_missing: row(403, "Scope missing", false, "The key is valid, but lacks the scope this route needs."),
  customer_suspended: row(
    403,
    "Customer suspended",
    false,
    "The customer is suspended: none of its requests is served until whoever runs Sluice resumes it. What " +
      "is queued is still sent; what is scheduled waits.",
  ),
  address_not_allowed: row(
    403,
    "Address not allowed",
    false,
    "The customer or the key has a list of allowed addresses, and the client's address is not in it.",
  ),
  report_refused: row(
    403,
    "Report refused",
    false,
    "The delivery report does not come with the secret or signature, or from the address, that the " +
      "operator's entry in the routes file asks for. Nothing was stored.",
  ),
  not_found: row(404, "Not found", false, "The route doesn't exist, or this customer has no such object."),
  method_not_allowed: row(405, "Method not allowed", false, "The route exists; `Allow` lists its methods."),
  topup_conflict: row(
    409,
    "Top-up conflict",
    false,
    "This `request_id` was already used with another amount.",
  ),
  not_scheduled: row(
    409,
    "No longer scheduled",
    false,
    "The message is no longer `scheduled`: it is on its way, was sent, or has ended, as `message_status` " +
      "says. It can't be canceled or changed any more.",
  ),
  otp_over: row(
    409,
    "Code is over",
    false,
    "The code can't be verified any more: `otp_status` says whether it was `verified`, `locked` by wrong " +
      "tries, or has `expired`. Send a new one.",
  ),
  template_exists: row(
    409,
    "Template exists",
    false,
    "The customer has a template of this `id` with another text. A new text is a new version of it.",
  ),
  idempotency_in_progress: row(
    409,
    "Request in progress",
    true,
    "A request with this `Idempotency-Key` is still being processed. Wait for `Retry-After`, then repeat it.",
  ),
  version_conflict: row(412, "Version conflict", false, "It was changed since the version in `If-Match`."),
  payload_too_large: row(
    413,
    "Payload too large",
    false,
    "The body is larger than 64 KiB; 1 MiB for batches and delivery reports. Or a line of NDJSON is longer " +
      "than 16 KiB.",
  ),
  uri_too_long: row(414, "URI too long", false, "The request line is longer than 8 KiB (edge only)."),
  unsupported_media_type: row(
    415,
    "Unsupported media type",
    false,
    "Send `Content-Type: application/json` (or `application/x-ndjson` where that is taken), in UTF-8 and " +
      "without a `Content-Encoding`.",
  ),
  validation_failed: row(
    422,
    "Validation failed",
    false,
    "`errors` names the fields that were refused, the first 50 of them, and why.",
  ),
  idempotency_key_reused: row(
    422,
    "Idempotency key reused",
    false,
    "This `Idempotency-Key` was used with another body in the last 24 hours. Nothing was done.",
  ),
  otp_wrong: row(
    422,
    "Code is wrong",
    false,
    "The code is not the one that was sent. `tries_left` says how often another may be tried.",
  ),
  rate_limited: row(
    429,
    "Rate limited",
    true,
    "The customer's limit of parts or requests a minute is used up, as `RateLimit` says; or a check of " +
      "these books is running. Wait for `Retry-After`.",
  ),
  otp_phone_limited: row(
    429,
    "Too many codes to this number",
    true,
    "The number was sent a code a moment ago, or as many as are allowed in an hour. Nothing was stored or " +
      "charged. Wait for `Retry-After`.",
  ),
  otp_customer_limited: row(
    429,
    "Too many codes",
    true,
    "The customer has sent as many codes as are allowed in an hour. Nothing was stored or charged. Wait " +
      "for `Retry-After`.",
  ),
  otp_pumping_suspected: row(
    429,
    "Pumping suspected",
    true,
    "Somebody may be having codes sent for the sake of their cost: too many went to numbers that begin " +
      "alike, or too few to such numbers are verified. Nothing was stored or charged. Wait for " +
      "`Retry-After`.",
  ),
  headers_too_large: row(431, "Headers too large", false, "A header is longer than 8 KiB (edge only)."),
  internal: row(500, "Internal error", true, "An unexpected error; it was logged under this `request_id`."),
  overloaded: row(
    503,
    "Overloaded",
    true,
    "Too much is waiting, from all customers together or from this one. Nothing was stored or charged.",
  ),
  lane_saturated: row(
    503,
    "Lane saturated",
    true,
    "The express lane is so slow, or its operators take so little, that even the longest promise could " +
      "not be kept: `could_promise_s` says what could be promised, `promise_max_s` what may be. Nothing " +
      "was stored or charged. Wait for `Retry-After`, or send it with `fallback` set to `normal`.",
  ),
  outcome_unknown: row(
    503,
    "Outcome unknown",
    true,
    "The connection to the database, or to the process, was lost during the commit. Retry with the same " +
      "`Idempotency-Key` or `request_id`; without one, the message may be stored twice.",
  ),
  unavailable: row(
    503,
    "Unavailable",
    true,
    "This process can't serve requests now: it can't reach the database, its leases expired, its clock is " +
      "wrong, or it is stopping. Nothing was stored or charged.",
  ),
  credit_elsewhere: row(
    503,
    "Credit is held elsewhere",
    true,
    "The balance is sufficient, but another process holds part of it and has not returned it yet. Nothing " +
      "was stored or charged.",
  ),
  check_too_long: row(
    503,
    "Check took too long",
    false,
    "These books are too large to check within a request; a repeat takes as long. Whoever runs Sluice can " +
      "check them with `./sluice reconcile`.",
  ),
  reports_unavailable: row(503, "Reports unavailable", true, "The reporting database can't be reached."),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export type FieldError = { field: string; reason: string };

export type SluiceErrorOptions = {
  /** Public: what was wrong with this request, without repeating its contents. */
  detail?: string;
  errors?: readonly FieldError[];
  /** Members added to the body, such as `required` and `balance` of a 402. */
  extra?: Readonly<Record<string, string | number | boolean>>;
  /** For the log only; never shown. */
  cause?: unknown;
  retryAfterS?: number;
  /** The allowed methods, for the `Allow` header of a 405. */
  allow?: readonly string[];
};

// A full queue drains in less than a second, and clients that obey it are spread out by their own latency.
const RETRY_AFTER_DEFAULT_S = 1;

/** An operating error: expected and answered; it never crashes the process. */
export class SluiceError extends Error {
  override readonly name = "SluiceError";
  readonly code: ErrorCode;
  readonly status: number;
  readonly retryable: boolean;
  readonly detail: string;
  readonly errors: readonly FieldError[];
  readonly extra: Readonly<Record<string, string | number | boolean>>;
  readonly retryAfterS: number | null;
  readonly allow: readonly string[];

  constructor(code: ErrorCode, options: SluiceErrorOptions = {}) {
    const known: ErrorRow = ERRORS[code];
    const errors = options.errors ?? [];
    const detail =
      options.detail ?? (errors.length > 0 ? sentenceOf(errors) : known.meaning.replaceAll("`", ""));
    super(`${code}: ${detail}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = known.status;
    this.retryable = known.retryable;
    this.detail = detail;
    this.errors = errors;
    this.extra = options.extra ?? {};
    // Also a 503 after which a repeat is of no use says when the next one would be looked at.
    const waits = known.status === 503 || (known.retryable && known.status !== 500);
    this.retryAfterS = options.retryAfterS ?? (waits ? RETRY_AFTER_DEFAULT_S : null);
    this.allow = options.allow ?? [];
  }
}

/** How many field errors `detail` names: `errors` has all of them, and a log line needs no more. */
const NAMED_IN_DETAIL_MAX = 3;

/** Field errors as one sentence of bounded length. Who finds FIELD_ERRORS_MAX of them may look no further. */
export function sentenceOf(errors: readonly FieldError[]): string {
  const named = errors.slice(0, NAMED_IN_DETAIL_MAX).map(({ field, reason }) => `${field} ${reason}`);
  const more = errors.length - named.length;
  const others = errors.length < FIELD_ERRORS_MAX ? `${more} more` : `at least ${more} more`;
  return `${named.join("; ")}${more > 0 ? `; and ${others}` : ""}.`;
}

/** A field name from outside: cut to length, without characters that a terminal would act on. */
export function fieldName(given: string): string {
  if (given === "") return '""';
  return given.replace(/[^\p{L}\p{N}_.-]/gu, "?").slice(0, FIELD_NAME_CHARS_MAX);
}

const FIELD_NAME_CHARS_MAX = 64;

/** A 402, in minor units; `balance` is all that could still be spent. */
export function insufficientBalance(required: number, balance: number): SluiceError {
  return new SluiceError("insufficient_balance", {
    detail: `This costs ${required}; the wallet holds ${balance}.`,
    extra: { required, balance },
  });
}

/** A 503 for an express message, in whole seconds. */
export function laneSaturated(couldPromiseS: number, promiseMaxS: number, retryAfterS: number): SluiceError {
  return new SluiceError("lane_saturated", {
    detail:
      `Nothing less than ${couldPromiseS} s could be promised for an express message now; ` +
      `more than ${promiseMaxS} s is not promised.`,
    extra: { could_promise_s: couldPromiseS, promise_max_s: promiseMaxS },
    retryAfterS,
  });
}

/** A 409 for a message that can't be canceled or changed; `status` is what it is now. */
export function notScheduled(status: string): SluiceError {
  return new SluiceError("not_scheduled", {
    detail: `The message is ${status}; only a scheduled one can be canceled or changed.`,
    extra: { message_status: status },
  });
}

/** Makes anything thrown answerable: a foreign error becomes `internal` and is kept as the cause. */
export function toSluiceError(thrown: unknown): SluiceError {
  return thrown instanceof SluiceError ? thrown : new SluiceError("internal", { cause: thrown });
}

/** What an answer says to people; everything else in it is the same in every language. */
export type ErrorWords = { title: string; detail: string; errors: readonly FieldError[] };

const inEnglish = ({ code, detail, errors }: SluiceError): ErrorWords => ({
  title: ERRORS[code].title,
  detail,
  errors,
});

/** The body of an `application/problem+json` answer (RFC 9457), on one line; FIELD_ERRORS_MAX bounds it. */
export function problemBody(error: SluiceError, requestId: string, words = inEnglish(error)): string {
  return JSON.stringify({
    ...error.extra,
    type: problemType(error.code),
    title: words.title,
    status: error.status,
    detail: words.detail,
    code: error.code,
    ...(words.errors.length > 0 ? { errors: words.errors.slice(0, FIELD_ERRORS_MAX) } : {}),
    request_id: requestId,
    error: error.code,
  });
}

/** The headers that go with `problemBody`. */
export function problemHeaders(error: SluiceError, requestId: string): Record<string, string> {
  const headers: Record<string, string> = {
    "content-type": "application/problem+json",
    "x-request-id": requestId,
    "cache-control": "no-store",
  };
  // RFC 9110, 11.6.1: a 401 must name a scheme; clients such as the JDK's fail when it doesn't.
  if (error.status === 401) headers["www-authenticate"] = `${schemeOf(error.code)} realm="sluice"`;
  if (error.status === 415) headers["accept-encoding"] = "identity"; // RFC 9110, 15.5.16
  if (error.retryAfterS !== null) headers["retry-after"] = String(Math.max(1, Math.ceil(error.retryAfterS)));
  if (error.allow.length > 0) headers.allow = error.allow.join(", ");
  return headers;
}

function schemeOf(code: ErrorCode): string {
  if (code === "admin_token_invalid") return "Bearer";
  return code.startsWith("signature_") ? "SluiceSignature" : "ApiKey";
}

/** The `type` member: a URN rather than a URL, so that it stays valid wherever Sluice is deployed. */
export function problemType(code: ErrorCode): string {
  return `urn:sluice:error:${code}`;
}

function row(status: number, title: string, retryable: boolean, meaning: string): ErrorRow {
  return { status, title, retryable, meaning };
}
