// Written by `bun src/main/docs.ts` from the OpenAPI document; change the routes of src/api/ instead.

/** an amount in whole minor units */
export type Money = number;

/** a sum or difference of amounts, in whole minor units */
export type Sum = number;

/** ISO 4217 */
export type Currency = string;

/** a ULID: ids sort by time */
export type Ulid = string;

export type CustomerId = string;

/** RFC 3339 in UTC, with milliseconds */
export type Time = string;

/** E.164 */
export type Phone = string;

/** `cursor` of the request for the next page; null at the end */
export type Cursor = string | null;

/** RFC 9457. `code` is stable: codes are added, never renamed. `type` is an identifier to compare, not an address to open. */
export type Problem = {
  type: string;
  title: string;
  status: number;
  /** what was wrong with this request */
  detail: string;
  code: string;
  request_id: string;
  /** the same as `code` */
  error: string;
};

export type FieldError = {
  field: string;
  reason: string;
};

/** A single-valued header was given twice, or the query is not correctly percent-encoded; `errors` says which. Or the request is not valid HTTP; only the edge answers that, the direct port closes the connection. */
export type MalformedRequestProblem = Problem & {
  type?: "urn:sluice:error:malformed_request";
  title?: "Malformed request" | "درخواست نادرست";
  status?: 400;
  code: "malformed_request";
  error?: "malformed_request";
  errors?: Array<FieldError>;
};

/** The body isn't JSON, or is nested too deeply. */
export type MalformedJsonProblem = Problem & {
  type?: "urn:sluice:error:malformed_json";
  title?: "Malformed JSON" | "JSON نادرست";
  status?: 400;
  code: "malformed_json";
  error?: "malformed_json";
};

/** The body holds bytes that are not UTF-8. */
export type BodyNotUtf8Problem = Problem & {
  type?: "urn:sluice:error:body_not_utf8";
  title?: "Body is not UTF-8" | "بدنه UTF-8 نیست";
  status?: 400;
  code: "body_not_utf8";
  error?: "body_not_utf8";
};

/** The request has no `X-API-Key` header, or an empty one. */
export type ApiKeyMissingProblem = Problem & {
  type?: "urn:sluice:error:api_key_missing";
  title?: "API key missing" | "کلید API نیامده است";
  status?: 401;
  code: "api_key_missing";
  error?: "api_key_missing";
};

/** The key is unknown, was revoked, or has expired. */
export type ApiKeyInvalidProblem = Problem & {
  type?: "urn:sluice:error:api_key_invalid";
  title?: "API key invalid" | "کلید API نامعتبر";
  status?: 401;
  code: "api_key_invalid";
  error?: "api_key_invalid";
};

/** No live token in `Authorization: Bearer`. */
export type AdminTokenInvalidProblem = Problem & {
  type?: "urn:sluice:error:admin_token_invalid";
  title?: "Admin token invalid" | "توکن مدیر نامعتبر";
  status?: 401;
  code: "admin_token_invalid";
  error?: "admin_token_invalid";
};

/** The key takes signed requests only, and `X-Sluice-Timestamp`, `X-Sluice-Nonce` or `X-Sluice-Signature` is missing (docs/reference/access.md). */
export type SignatureMissingProblem = Problem & {
  type?: "urn:sluice:error:signature_missing";
  title?: "Signature missing" | "امضا نیامده است";
  status?: 401;
  code: "signature_missing";
  error?: "signature_missing";
};

/** The signature is not that of this request, or one of its headers is not written as it must be. */
export type SignatureInvalidProblem = Problem & {
  type?: "urn:sluice:error:signature_invalid";
  title?: "Signature invalid" | "امضای نامعتبر";
  status?: 401;
  code: "signature_invalid";
  error?: "signature_invalid";
};

/** Its `X-Sluice-Timestamp` is more than 300 s before or after the time of the answer's `Date`. Sign the request again. */
export type SignatureExpiredProblem = Problem & {
  type?: "urn:sluice:error:signature_expired";
  title?: "Signature expired" | "امضای منقضی";
  status?: 401;
  code: "signature_expired";
  error?: "signature_expired";
};

/** This request was received before: its `X-Sluice-Nonce` was used. Sign it again, with another nonce and, if it moves money, with the same `Idempotency-Key`. */
export type SignatureReplayedProblem = Problem & {
  type?: "urn:sluice:error:signature_replayed";
  title?: "Signature replayed" | "امضای تکراری";
  status?: 401;
  code: "signature_replayed";
  error?: "signature_replayed";
};

/** The wallet, including all credit held in leases, can't pay for what was asked. Nothing was charged; `required` and `balance` say how much is missing. */
export type InsufficientBalanceProblem = Problem & {
  type?: "urn:sluice:error:insufficient_balance";
  title?: "Insufficient balance" | "موجودی ناکافی";
  status?: 402;
  code: "insufficient_balance";
  error?: "insufficient_balance";
  required: Money;
  balance: Money;
};

/** The wallet can pay, but what the customer may spend in a day or a month (UTC) can't: `cap` names the cap, `limit` and `left` its amounts, `resets_at` when it begins anew. Nothing was charged. */
export type SpendCapReachedProblem = Problem & {
  type?: "urn:sluice:error:spend_cap_reached";
  title?: "Spend cap reached" | "سقف هزینه پر شد";
  status?: 402;
  code: "spend_cap_reached";
  error?: "spend_cap_reached";
  required: Money;
  cap: "daily" | "monthly";
  limit: Money;
  left: Money;
  resets_at: Time;
};

/** The key is valid, but lacks the scope this route needs. */
export type ScopeMissingProblem = Problem & {
  type?: "urn:sluice:error:scope_missing";
  title?: "Scope missing" | "دسترسی کافی نیست";
  status?: 403;
  code: "scope_missing";
  error?: "scope_missing";
};

/** The customer is suspended: none of its requests is served until whoever runs Sluice resumes it. What is queued is still sent; what is scheduled waits. */
export type CustomerSuspendedProblem = Problem & {
  type?: "urn:sluice:error:customer_suspended";
  title?: "Customer suspended" | "مشتری معلق است";
  status?: 403;
  code: "customer_suspended";
  error?: "customer_suspended";
};

/** The customer or the key has a list of allowed addresses, and the client's address is not in it. */
export type AddressNotAllowedProblem = Problem & {
  type?: "urn:sluice:error:address_not_allowed";
  title?: "Address not allowed" | "نشانی مجاز نیست";
  status?: 403;
  code: "address_not_allowed";
  error?: "address_not_allowed";
};

/** The delivery report does not come with the secret or signature, or from the address, that the operator's entry in the routes file asks for. Nothing was stored. */
export type ReportRefusedProblem = Problem & {
  type?: "urn:sluice:error:report_refused";
  title?: "Report refused" | "گزارش پذیرفته نشد";
  status?: 403;
  code: "report_refused";
  error?: "report_refused";
};

/** The route doesn't exist, or this customer has no such object. */
export type NotFoundProblem = Problem & {
  type?: "urn:sluice:error:not_found";
  title?: "Not found" | "پیدا نشد";
  status?: 404;
  code: "not_found";
  error?: "not_found";
};

/** The route exists; `Allow` lists its methods. */
export type MethodNotAllowedProblem = Problem & {
  type?: "urn:sluice:error:method_not_allowed";
  title?: "Method not allowed" | "متد مجاز نیست";
  status?: 405;
  code: "method_not_allowed";
  error?: "method_not_allowed";
};

/** This `request_id` was already used with another amount. */
export type TopupConflictProblem = Problem & {
  type?: "urn:sluice:error:topup_conflict";
  title?: "Top-up conflict" | "تعارض در شارژ";
  status?: 409;
  code: "topup_conflict";
  error?: "topup_conflict";
};

/** The message is no longer `scheduled`: it is on its way, was sent, or has ended, as `message_status` says. It can't be canceled or changed any more. */
export type NotScheduledProblem = Problem & {
  type?: "urn:sluice:error:not_scheduled";
  title?: "No longer scheduled" | "دیگر زمان‌بندی‌شده نیست";
  status?: 409;
  code: "not_scheduled";
  error?: "not_scheduled";
  message_status: "scheduled" | "queued" | "sending" | "unknown" | "sent" | "delivered" | "undelivered" | "failed" | "rejected" | "expired" | "canceled";
};

/** The code can't be verified any more: `otp_status` says whether it was `verified`, `locked` by wrong tries, or has `expired`. Send a new one. */
export type OtpOverProblem = Problem & {
  type?: "urn:sluice:error:otp_over";
  title?: "Code is over" | "کد پایان یافته است";
  status?: 409;
  code: "otp_over";
  error?: "otp_over";
  otp_status: "verified" | "locked" | "expired";
};

/** The customer has a template of this `id` with another text. A new text is a new version of it. */
export type TemplateExistsProblem = Problem & {
  type?: "urn:sluice:error:template_exists";
  title?: "Template exists" | "قالب وجود دارد";
  status?: 409;
  code: "template_exists";
  error?: "template_exists";
};

/** A request with this `Idempotency-Key` is still being processed. Wait for `Retry-After`, then repeat it. */
export type IdempotencyInProgressProblem = Problem & {
  type?: "urn:sluice:error:idempotency_in_progress";
  title?: "Request in progress" | "درخواست در حال انجام است";
  status?: 409;
  code: "idempotency_in_progress";
  error?: "idempotency_in_progress";
};

/** It was changed since the version in `If-Match`. */
export type VersionConflictProblem = Problem & {
  type?: "urn:sluice:error:version_conflict";
  title?: "Version conflict" | "تعارض نسخه";
  status?: 412;
  code: "version_conflict";
  error?: "version_conflict";
};

/** The body is larger than 64 KiB; 1 MiB for batches and delivery reports. Or a line of NDJSON is longer than 16 KiB. */
export type PayloadTooLargeProblem = Problem & {
  type?: "urn:sluice:error:payload_too_large";
  title?: "Payload too large" | "بدنه بیش از حد بزرگ است";
  status?: 413;
  code: "payload_too_large";
  error?: "payload_too_large";
};

/** The request line is longer than 8 KiB (edge only). */
export type UriTooLongProblem = Problem & {
  type?: "urn:sluice:error:uri_too_long";
  title?: "URI too long" | "نشانی بیش از حد بلند است";
  status?: 414;
  code: "uri_too_long";
  error?: "uri_too_long";
};

/** Send `Content-Type: application/json` (or `application/x-ndjson` where that is taken), in UTF-8 and without a `Content-Encoding`. */
export type UnsupportedMediaTypeProblem = Problem & {
  type?: "urn:sluice:error:unsupported_media_type";
  title?: "Unsupported media type" | "نوع محتوا پشتیبانی نمی‌شود";
  status?: 415;
  code: "unsupported_media_type";
  error?: "unsupported_media_type";
};

/** `errors` names the fields that were refused, the first 50 of them, and why. */
export type ValidationFailedProblem = Problem & {
  type?: "urn:sluice:error:validation_failed";
  title?: "Validation failed" | "درخواست پذیرفته نشد";
  status?: 422;
  code: "validation_failed";
  error?: "validation_failed";
  errors?: Array<FieldError>;
};

/** This `Idempotency-Key` was used with another body in the last 24 hours. Nothing was done. */
export type IdempotencyKeyReusedProblem = Problem & {
  type?: "urn:sluice:error:idempotency_key_reused";
  title?: "Idempotency key reused" | "Idempotency-Key تکراری";
  status?: 422;
  code: "idempotency_key_reused";
  error?: "idempotency_key_reused";
};

/** The code is not the one that was sent. `tries_left` says how often another may be tried. */
export type OtpWrongProblem = Problem & {
  type?: "urn:sluice:error:otp_wrong";
  title?: "Code is wrong" | "کد نادرست است";
  status?: 422;
  code: "otp_wrong";
  error?: "otp_wrong";
  tries_left: number;
};

/** The customer's limit of parts or requests a minute is used up, as `RateLimit` says; or a check of these books is running. Wait for `Retry-After`. */
export type RateLimitedProblem = Problem & {
  type?: "urn:sluice:error:rate_limited";
  title?: "Rate limited" | "بیش از حد مجاز در واحد زمان";
  status?: 429;
  code: "rate_limited";
  error?: "rate_limited";
};

/** The number was sent a code a moment ago, or as many as are allowed in an hour. Nothing was stored or charged. Wait for `Retry-After`. */
export type OtpPhoneLimitedProblem = Problem & {
  type?: "urn:sluice:error:otp_phone_limited";
  title?: "Too many codes to this number" | "کد بیش از حد به این شماره";
  status?: 429;
  code: "otp_phone_limited";
  error?: "otp_phone_limited";
};

/** The customer has sent as many codes as are allowed in an hour. Nothing was stored or charged. Wait for `Retry-After`. */
export type OtpCustomerLimitedProblem = Problem & {
  type?: "urn:sluice:error:otp_customer_limited";
  title?: "Too many codes" | "کد بیش از حد";
  status?: 429;
  code: "otp_customer_limited";
  error?: "otp_customer_limited";
};

/** Somebody may be having codes sent for the sake of their cost: too many went to numbers that begin alike, or too few to such numbers are verified. Nothing was stored or charged. Wait for `Retry-After`. */
export type OtpPumpingSuspectedProblem = Problem & {
  type?: "urn:sluice:error:otp_pumping_suspected";
  title?: "Pumping suspected" | "گمان سوءاستفاده از ارسال کد";
  status?: 429;
  code: "otp_pumping_suspected";
  error?: "otp_pumping_suspected";
};

/** A header is longer than 8 KiB (edge only). */
export type HeadersTooLargeProblem = Problem & {
  type?: "urn:sluice:error:headers_too_large";
  title?: "Headers too large" | "سرایندها بیش از حد بزرگ‌اند";
  status?: 431;
  code: "headers_too_large";
  error?: "headers_too_large";
};

/** An unexpected error; it was logged under this `request_id`. */
export type InternalProblem = Problem & {
  type?: "urn:sluice:error:internal";
  title?: "Internal error" | "خطای داخلی";
  status?: 500;
  code: "internal";
  error?: "internal";
};

/** Too much is waiting, from all customers together or from this one. Nothing was stored or charged. */
export type OverloadedProblem = Problem & {
  type?: "urn:sluice:error:overloaded";
  title?: "Overloaded" | "بار بیش از حد";
  status?: 503;
  code: "overloaded";
  error?: "overloaded";
};

/** The express lane is so slow, or its operators take so little, that even the longest promise could not be kept: `could_promise_s` says what could be promised, `promise_max_s` what may be. Nothing was stored or charged. Wait for `Retry-After`, or send it with `fallback` set to `normal`. */
export type LaneSaturatedProblem = Problem & {
  type?: "urn:sluice:error:lane_saturated";
  title?: "Lane saturated" | "مسیر اکسپرس پر است";
  status?: 503;
  code: "lane_saturated";
  error?: "lane_saturated";
  could_promise_s: number;
  promise_max_s: number;
};

/** The connection to the database, or to the process, was lost during the commit. Retry with the same `Idempotency-Key` or `request_id`; without one, the message may be stored twice. */
export type OutcomeUnknownProblem = Problem & {
  type?: "urn:sluice:error:outcome_unknown";
  title?: "Outcome unknown" | "نتیجه نامعلوم است";
  status?: 503;
  code: "outcome_unknown";
  error?: "outcome_unknown";
};

/** This process can't serve requests now: it can't reach the database, its leases expired, its clock is wrong, or it is stopping. Nothing was stored or charged. */
export type UnavailableProblem = Problem & {
  type?: "urn:sluice:error:unavailable";
  title?: "Unavailable" | "در دسترس نیست";
  status?: 503;
  code: "unavailable";
  error?: "unavailable";
};

/** The balance is sufficient, but another process holds part of it and has not returned it yet. Nothing was stored or charged. */
export type CreditElsewhereProblem = Problem & {
  type?: "urn:sluice:error:credit_elsewhere";
  title?: "Credit is held elsewhere" | "اعتبار نزد پردازهٔ دیگری است";
  status?: 503;
  code: "credit_elsewhere";
  error?: "credit_elsewhere";
};

/** These books are too large to check within a request; a repeat takes as long. Whoever runs Sluice can check them with `./sluice reconcile`. */
export type CheckTooLongProblem = Problem & {
  type?: "urn:sluice:error:check_too_long";
  title?: "Check took too long" | "بررسی بیش از حد طول کشید";
  status?: 503;
  code: "check_too_long";
  error?: "check_too_long";
};

/** The reporting database can't be reached. */
export type ReportsUnavailableProblem = Problem & {
  type?: "urn:sluice:error:reports_unavailable";
  title?: "Reports unavailable" | "گزارش‌ها در دسترس نیستند";
  status?: 503;
  code: "reports_unavailable";
  error?: "reports_unavailable";
};

export type SendMessageRequest = {
  /** as in an address book or a document; without a country, one of the customer's region */
  phone: string;
  /** at most 10 parts, in GSM-7 160/153 or UCS-2 70/67; none of it is replaced, unless `normalize` asks for it */
  text?: string | null;
  /** the id of a template, instead of `text` */
  template?: string | null;
  /** of the template; its newest one if absent */
  template_version?: number | null;
  /** what stands for each `{name}` of the template */
  parameters?: Record<string, string> | null;
  /** the lane */
  type: "normal" | "express";
  /** a number of at most 15 digits, or 1 to 11 characters of the GSM 7-bit alphabet */
  from?: string | null;
  /** the customer's own name for the message */
  reference?: string | null;
  /** told of a message's statuses instead of the customer's webhook, which must exist */
  callback_url?: string | null;
  /** seconds after its acceptance, or its send_at, in which a message is worth sending and delivering */
  valid_for?: number | null;
  /** RFC 3339 with seconds and an offset: when to send, at most 30 days after the message is accepted; what is over by at most 60 s is sent at once */
  send_at?: string | null;
  /** express that can't be promised in time is accepted as this type instead of refused */
  fallback?: "normal" | null;
  /** replace Arabic yeh, kaf and digits in the text by Persian ones; the answer counts them, a preview shows them */
  normalize?: boolean | null;
};

export type SendMessageAnswer = {
  enqueued: true;
  id: Ulid;
  customer_id: CustomerId;
  type: "normal" | "express";
  encoding: "gsm7" | "ucs2";
  parts: number;
  cost: Money;
  currency: Currency;
  /** an amount in whole minor units */
  balance_after?: number;
  status: "queued" | "scheduled";
  /** RFC 3339 in UTC, with milliseconds */
  guaranteed_by?: string;
  /** RFC 3339 in UTC, with milliseconds */
  send_at?: string;
  /** characters replaced, because `normalize` was asked for */
  normalized?: number;
};

export type SendBatchRequest = {
  messages?: Array<{
    phone: string;
    text: string;
    /** the customer's own name for the message, once in a batch */
    reference?: string | null;
  }> | null;
  /** instead of `messages`: all get `text` */
  phones?: Array<string> | null;
  /** with `phones` */
  text?: string | null;
  /** the id of a template, instead of `text` */
  template?: string | null;
  /** of the template; its newest one if absent */
  template_version?: number | null;
  /** one for each of `phones`, in their order: what stands for each `{name}` of `text`, or of the template */
  parameters?: Array<Record<string, string>> | null;
  /** the lane of all of them; normal if absent */
  type?: "normal" | "express" | null;
  /** take the first ones if the wallet can't pay for all, instead of none */
  partial?: boolean | null;
  /** a number of at most 15 digits, or 1 to 11 characters of the GSM 7-bit alphabet */
  from?: string | null;
  /** told of a message's statuses instead of the customer's webhook, which must exist */
  callback_url?: string | null;
  /** seconds after its acceptance, or its send_at, in which a message is worth sending and delivering */
  valid_for?: number | null;
  /** RFC 3339 with seconds and an offset: when to send, at most 30 days after the message is accepted; what is over by at most 60 s is sent at once */
  send_at?: string | null;
  /** express that can't be promised in time is accepted as this type instead of refused */
  fallback?: "normal" | null;
  /** replace Arabic yeh, kaf and digits in the text by Persian ones; the answer counts them, a preview shows them */
  normalize?: boolean | null;
};

export type SendBatchAnswer = {
  batch_id: Ulid;
  customer_id: CustomerId;
  type: "normal" | "express";
  accepted: Array<{
    /** from 0 */
    index: number;
    id: Ulid;
    encoding: "gsm7" | "ucs2";
    parts: number;
    cost: Money;
    /** characters replaced, because `normalize` was asked for */
    normalized?: number;
    /** RFC 3339 in UTC, with milliseconds */
    send_at?: string;
  }>;
  rejected: Array<{
    /** from 0 */
    index: number;
    code: "validation_failed" | "opted_out" | "insufficient_balance" | "spend_cap_reached";
    detail: string;
  }>;
  cost: Money;
  currency: Currency;
  /** an amount in whole minor units */
  balance_after?: number;
  status: "queued" | "scheduled";
  /** RFC 3339 in UTC, with milliseconds */
  guaranteed_by?: string;
  /** RFC 3339 in UTC, with milliseconds */
  send_at?: string;
};

export type PreviewMessageRequest = {
  /** as in an address book or a document; without a country, one of the customer's region */
  phone: string;
  /** at most 10 parts, in GSM-7 160/153 or UCS-2 70/67; none of it is replaced, unless `normalize` asks for it */
  text?: string | null;
  /** the id of a template, instead of `text` */
  template?: string | null;
  /** of the template; its newest one if absent */
  template_version?: number | null;
  /** what stands for each `{name}` of the template */
  parameters?: Record<string, string> | null;
  /** the lane */
  type: "normal" | "express";
  /** a number of at most 15 digits, or 1 to 11 characters of the GSM 7-bit alphabet */
  from?: string | null;
  /** the customer's own name for the message */
  reference?: string | null;
  /** told of a message's statuses instead of the customer's webhook, which must exist */
  callback_url?: string | null;
  /** seconds after its acceptance, or its send_at, in which a message is worth sending and delivering */
  valid_for?: number | null;
  /** RFC 3339 with seconds and an offset: when to send, at most 30 days after the message is accepted; what is over by at most 60 s is sent at once */
  send_at?: string | null;
  /** express that can't be promised in time is accepted as this type instead of refused */
  fallback?: "normal" | null;
  /** replace Arabic yeh, kaf and digits in the text by Persian ones; the answer counts them, a preview shows them */
  normalize?: boolean | null;
};

export type PreviewMessageAnswer = {
  phone: Phone;
  type: "normal" | "express";
  encoding: "gsm7" | "ucs2";
  parts: number;
  segments: Array<string>;
  last_segment: {
    used: number;
    left: number;
  };
  cost: Money;
  currency: Currency;
  prices: {
    normal: Money;
    express: Money;
  };
  balance_after: Money;
  sufficient: boolean;
  send_at: Time | null;
  operators: Array<string> | null;
  warnings: Array<{
    code: "not_gsm7";
    detail: string;
    /** of the first one, in code points, from 0 */
    position: number;
    character: string;
    replacement: string | null;
  }>;
  parts_as_gsm7: number | null;
  normalization: {
    /** as it is with `normalize` */
    text: string;
    replacements: Array<{
      character: string;
      replacement: string;
      count: number;
      /** of the first one, in code points, from 0 */
      position: number;
    }>;
    parts_saved: number;
    /** whether the request has `normalize` */
    applied: boolean;
  } | null;
};

export type CreateTemplateRequest = {
  /** letters, digits, dots, dashes and underscores */
  id: string;
  /** `{name}` stands for the parameter of that name */
  text: string;
};

export type CreateTemplateAnswer = {
  /** letters, digits, dots, dashes and underscores */
  id: string;
  version: number;
  text: string;
  /** their names, in the order of the text */
  parameters: Array<string>;
  created_at: Time;
};

export type AddTemplateVersionRequest = {
  /** `{name}` stands for the parameter of that name */
  text: string;
};

export type AddTemplateVersionAnswer = {
  /** letters, digits, dots, dashes and underscores */
  id: string;
  version: number;
  text: string;
  /** their names, in the order of the text */
  parameters: Array<string>;
  created_at: Time;
};

export type DeleteTemplateAnswer = {
  deleted: true;
  /** letters, digits, dots, dashes and underscores */
  id: string;
};

export type ListTemplatesAnswer = {
  templates: Array<{
    /** letters, digits, dots, dashes and underscores */
    id: string;
    version: number;
    text: string;
    /** their names, in the order of the text */
    parameters: Array<string>;
    created_at: Time;
  }>;
  next_cursor: Cursor;
};

export type GetTemplateAnswer = {
  /** letters, digits, dots, dashes and underscores */
  id: string;
  versions: Array<{
    version: number;
    text: string;
    /** their names, in the order of the text */
    parameters: Array<string>;
    created_at: Time;
  }>;
};

export type SendCodeRequest = {
  /** as in an address book or a document; without a country, one of the customer's region */
  phone: string;
  /** the text, with {code} once where the code goes; "Your code is {code}" if absent */
  template?: string | null;
  /** digits of the code; 6 if absent */
  length?: number | null;
  /** seconds for which the code is right; 300 if absent */
  ttl?: number | null;
};

export type SendCodeAnswer = {
  id: Ulid;
  expires_at: Time;
  message_id: Ulid;
  parts: number;
  cost: Money;
  currency: Currency;
  /** an amount in whole minor units */
  balance_after?: number;
  guaranteed_by: Time;
  /** the code; only for customers that are set up to get it */
  otp_code?: string;
};

export type VerifyCodeRequest = {
  /** as it was typed: Persian, Arabic and full-width digits are read, too */
  code: string;
};

export type VerifyCodeAnswer = {
  verified: true;
  id: Ulid;
  message_id: Ulid;
  phone: Phone;
};

export type TopUpRequest = {
  amount: number;
  request_id: string;
};

export type TopUpAnswer = {
  topup: true;
  idempotent: boolean;
  amount: number;
  customer_id: number;
  balance: Money;
};

export type GetWalletAnswer = {
  customer_id: CustomerId;
  balance: Money;
  reserved: Money;
  available: Money;
  currency: Currency;
};

export type GetStatementAnswer = {
  entries: Array<{
    entry_id: Ulid;
    op: "topup" | "reserve" | "capture" | "refund" | "adjust_up" | "adjust_down";
    amount: Money;
    /** a ULID: ids sort by time */
    message_id?: string;
    request_id?: string;
    created_at: Time;
  }>;
  next_cursor: Cursor;
};

export type ReconcileAnswer = {
  customer_id: CustomerId;
  as_of: Time;
  currency: Currency;
  ok: boolean;
  balance: Money;
  reserved: Money;
  topped_up: Money;
  adjusted: Sum;
  captured: Money;
  refunded: Money;
  open_reserves: {
    messages: number;
    amount: Money;
  };
  equations: Array<{
    equation: string;
    left: Sum;
    right: Sum;
    ok: boolean;
  }>;
  drifts: Array<{
    invariant: string;
    detail: string;
    expected: number | string | null;
    found: number | string | null;
    entries: Array<{
      entry_id: string;
      op: string | null;
      amount: number | null;
      detail: string;
    }>;
    entries_total: number;
  }>;
  report: {
    state: "compared";
    pending: number;
    days: Array<{
      day: string;
      entries: {
        ledger: {
          count: number;
          amount: Sum;
        };
        report: {
          count: number;
          amount: Sum;
        };
      };
      messages: {
        stored: {
          count: number;
          amount: Sum;
        };
        report: {
          count: number;
          amount: Sum;
        };
      };
      by_status: Record<string, {
        stored: number;
        report: number;
      }>;
    }>;
  } | {
    state: "unreachable";
    pending: null;
    days: null;
  };
};

export type ListMessagesAnswer = {
  messages: Array<{
    id: Ulid;
    customer_id: CustomerId;
    phone: Phone;
    type: "normal" | "express";
    status: "scheduled" | "queued" | "sending" | "unknown" | "sent" | "delivered" | "undelivered" | "failed" | "rejected" | "expired" | "canceled";
    encoding: string;
    parts: number;
    cost: Money;
    currency: Currency;
    from: string | null;
    reference: string | null;
    attempts: number;
    last_error: string | null;
    operator: string | null;
    operator_message_id: string | null;
    guaranteed_by: Time | null;
    valid_until: Time;
    send_at: Time | null;
    created_at: Time;
    updated_at: Time;
  }>;
  next_cursor: Cursor;
};

export type GetMessageAnswer = {
  id: Ulid;
  customer_id: CustomerId;
  phone: Phone;
  type: "normal" | "express";
  status: "scheduled" | "queued" | "sending" | "unknown" | "sent" | "delivered" | "undelivered" | "failed" | "rejected" | "expired" | "canceled";
  encoding: string;
  parts: number;
  cost: Money;
  currency: Currency;
  from: string | null;
  reference: string | null;
  attempts: number;
  last_error: string | null;
  operator: string | null;
  operator_message_id: string | null;
  guaranteed_by: Time | null;
  valid_until: Time;
  send_at: Time | null;
  created_at: Time;
  updated_at: Time;
  timeline: Array<{
    status: string;
    attempt: number;
    operator: string | null;
    at: Time;
    error: string | null;
    refused: Array<{
      operator: string;
      error: string;
      at: Time;
    }>;
    late: boolean;
  }> | null;
  steps: Array<{
    step: "accepted" | "reserved" | "scheduled" | "queued" | "relayed" | "claimed" | "attempt" | "captured" | "refunded" | "reported" | "failed" | "rejected" | "expired" | "canceled" | "webhook";
    at: Time;
    after_ms: number;
    attempt: number | null;
    status: string | null;
    operator: string | null;
    answer: string | null;
    error: string | null;
    endpoint: string | null;
    code: number | null;
    took_ms: number | null;
  }> | null;
};

export type CancelMessageAnswer = {
  id: Ulid;
  customer_id: CustomerId;
  phone: Phone;
  type: "normal" | "express";
  status: "scheduled" | "queued" | "sending" | "unknown" | "sent" | "delivered" | "undelivered" | "failed" | "rejected" | "expired" | "canceled";
  encoding: string;
  parts: number;
  cost: Money;
  currency: Currency;
  from: string | null;
  reference: string | null;
  attempts: number;
  last_error: string | null;
  operator: string | null;
  operator_message_id: string | null;
  guaranteed_by: Time | null;
  valid_until: Time;
  send_at: Time | null;
  created_at: Time;
  updated_at: Time;
};

export type ChangeMessageRequest = {
  /** RFC 3339 with seconds and an offset: when to send, at most 30 days after the message is accepted; what is over by at most 60 s is sent at once */
  send_at: string;
};

export type ChangeMessageAnswer = {
  id: Ulid;
  customer_id: CustomerId;
  phone: Phone;
  type: "normal" | "express";
  status: "scheduled" | "queued" | "sending" | "unknown" | "sent" | "delivered" | "undelivered" | "failed" | "rejected" | "expired" | "canceled";
  encoding: string;
  parts: number;
  cost: Money;
  currency: Currency;
  from: string | null;
  reference: string | null;
  attempts: number;
  last_error: string | null;
  operator: string | null;
  operator_message_id: string | null;
  guaranteed_by: Time | null;
  valid_until: Time;
  send_at: Time | null;
  created_at: Time;
  updated_at: Time;
};

export type ReportMessagesAnswer = {
  messages: Array<{
    id: Ulid;
    phone: Phone;
    type: string;
    status: string;
    parts: number;
    cost: Money;
    reference: string | null;
    operator: string | null;
    operator_message_id: string | null;
    created_at: Time;
    updated_at: Time;
  }>;
  next_cursor: Cursor;
  as_of: Time | null;
};

export type ReportUsageAnswer = {
  usage: Array<{
    start: Time;
    status?: string;
    lane?: string;
    /** the calling code of the recipients, with its `+` */
    prefix?: string;
    messages: number;
    parts: number;
    cost: Money;
    refunded: Money;
    unique_phones: number;
  }>;
  next_cursor: Cursor;
  as_of: Time | null;
};

export type GetWebhookAnswer = {
  url: string | null;
  statuses: Array<"scheduled" | "queued" | "sending" | "unknown" | "sent" | "delivered" | "undelivered" | "failed" | "rejected" | "expired" | "canceled">;
  tell_pauses: boolean;
  low_balance: Money | null;
  old_secret_until: Time | null;
  endpoints: Array<{
    origin: string | null;
    state: "active" | "paused" | "gone";
    failures: number;
    failing_since: Time | null;
    stopped_at: Time | null;
    last_error: string | null;
    next_attempt_at: Time | null;
  }>;
};

export type ListDeliveriesAnswer = {
  deliveries: Array<{
    id: Ulid;
    type: "message.status" | "message.received" | "endpoint.paused" | "wallet.low";
    message_id: Ulid | null;
    status: string | null;
    sequence: number | null;
    occurred_at: Time;
    url: string | null;
    form: "twilio" | "kannel" | "jasmin" | null;
    state: "pending" | "delivered" | "failed";
    attempts: number;
    next_attempt_at: Time | null;
    last_code: number | null;
    last_error: string | null;
    updated_at: Time;
  }>;
  next_cursor: Cursor;
};

export type ReplayDeliveriesRequest = {
  /** RFC 3339: what occurred at that time or later */
  from?: string | null;
  /** RFC 3339: what occurred before */
  to?: string | null;
  state?: "delivered" | "failed" | null;
  /** a ULID: ids sort by time */
  after?: string | null;
};

export type ReplayDeliveriesAnswer = {
  replayed: number;
  next: Ulid | null;
};

export type ReplayDeliveryRequest = {

};

export type ReplayDeliveryAnswer = {
  id: Ulid;
  state: "pending";
};

export type ListOptOutsAnswer = {
  opt_outs: Array<{
    phone: Phone;
    sender: string | null;
    source: "inbound" | "api" | "cli";
    created_at: Time;
  }>;
  next_cursor: Cursor;
};

export type AddOptOutRequest = {
  /** written as in a send */
  phone: string;
  /** only of messages with this `from`; of all the customer's messages if absent */
  sender?: string | null;
};

export type AddOptOutAnswer = {
  phone: Phone;
  sender: string | null;
  source: "inbound" | "api" | "cli";
  created_at: Time;
};

export type RemoveOptOutAnswer = {
  removed: number;
};

/** The problem document of each code. */
export type Problems = {
  malformed_request: MalformedRequestProblem;
  malformed_json: MalformedJsonProblem;
  body_not_utf8: BodyNotUtf8Problem;
  api_key_missing: ApiKeyMissingProblem;
  api_key_invalid: ApiKeyInvalidProblem;
  admin_token_invalid: AdminTokenInvalidProblem;
  signature_missing: SignatureMissingProblem;
  signature_invalid: SignatureInvalidProblem;
  signature_expired: SignatureExpiredProblem;
  signature_replayed: SignatureReplayedProblem;
  insufficient_balance: InsufficientBalanceProblem;
  spend_cap_reached: SpendCapReachedProblem;
  scope_missing: ScopeMissingProblem;
  customer_suspended: CustomerSuspendedProblem;
  address_not_allowed: AddressNotAllowedProblem;
  report_refused: ReportRefusedProblem;
  not_found: NotFoundProblem;
  method_not_allowed: MethodNotAllowedProblem;
  topup_conflict: TopupConflictProblem;
  not_scheduled: NotScheduledProblem;
  otp_over: OtpOverProblem;
  template_exists: TemplateExistsProblem;
  idempotency_in_progress: IdempotencyInProgressProblem;
  version_conflict: VersionConflictProblem;
  payload_too_large: PayloadTooLargeProblem;
  uri_too_long: UriTooLongProblem;
  unsupported_media_type: UnsupportedMediaTypeProblem;
  validation_failed: ValidationFailedProblem;
  idempotency_key_reused: IdempotencyKeyReusedProblem;
  otp_wrong: OtpWrongProblem;
  rate_limited: RateLimitedProblem;
  otp_phone_limited: OtpPhoneLimitedProblem;
  otp_customer_limited: OtpCustomerLimitedProblem;
  otp_pumping_suspected: OtpPumpingSuspectedProblem;
  headers_too_large: HeadersTooLargeProblem;
  internal: InternalProblem;
  overloaded: OverloadedProblem;
  lane_saturated: LaneSaturatedProblem;
  outcome_unknown: OutcomeUnknownProblem;
  unavailable: UnavailableProblem;
  credit_elsewhere: CreditElsewhereProblem;
  check_too_long: CheckTooLongProblem;
  reports_unavailable: ReportsUnavailableProblem;
};

/** What each operation takes and answers, by its operationId. */
export type Operations = {
  /** Accept one message. */
  sendMessage: {
    body: SendMessageRequest;
    answer: SendMessageAnswer;
  };
  /** Accept up to 1,000 messages together. */
  sendBatch: {
    body: SendBatchRequest;
    answer: SendBatchAnswer;
  };
  /** See what a message would become and cost. */
  previewMessage: {
    body: PreviewMessageRequest;
    answer: PreviewMessageAnswer;
  };
  /** Store a text with parameters. */
  createTemplate: {
    body: CreateTemplateRequest;
    answer: CreateTemplateAnswer;
  };
  /** The templates at their newest versions, by id. */
  listTemplates: {
    query?: { limit?: number; cursor?: string };
    answer: ListTemplatesAnswer;
  };
  /** Give a template a new text, as its next version. */
  addTemplateVersion: {
    path: { id: string };
    body: AddTemplateVersionRequest;
    answer: AddTemplateVersionAnswer;
  };
  /** Delete a template with all its versions. */
  deleteTemplate: {
    path: { id: string };
    answer: DeleteTemplateAnswer;
  };
  /** A template with all its versions, the newest first. */
  getTemplate: {
    path: { id: string };
    answer: GetTemplateAnswer;
  };
  /** Send a one-time code. */
  sendCode: {
    body: SendCodeRequest;
    answer: SendCodeAnswer;
  };
  /** Verify a one-time code. */
  verifyCode: {
    path: { id: string };
    body: VerifyCodeRequest;
    answer: VerifyCodeAnswer;
  };
  /** Add money to the wallet. */
  topUp: {
    body: TopUpRequest;
    answer: TopUpAnswer;
  };
  /** The exact balance, now. */
  getWallet: {
    answer: GetWalletAnswer;
  };
  /** The statement, newest first. */
  getStatement: {
    query?: { from?: string; to?: string; limit?: number; cursor?: string };
    answer: GetStatementAnswer;
  };
  /** Prove that the wallet adds up, and that the report agrees with it. */
  reconcile: {
    answer: ReconcileAnswer;
  };
  /** The customer's messages as they are now, newest first. */
  listMessages: {
    query?: { from?: string; to?: string; status?: "scheduled" | "queued" | "sending" | "unknown" | "sent" | "delivered" | "undelivered" | "failed" | "rejected" | "expired" | "canceled"; type?: "normal" | "express"; phone?: string; limit?: number; cursor?: string };
    answer: ListMessagesAnswer;
  };
  /** One message with its timeline. */
  getMessage: {
    path: { id: string };
    answer: GetMessageAnswer;
  };
  /** Cancel a scheduled message. */
  cancelMessage: {
    path: { id: string };
    answer: CancelMessageAnswer;
  };
  /** Change when a scheduled message is sent. */
  changeMessage: {
    path: { id: string };
    body: ChangeMessageRequest;
    answer: ChangeMessageAnswer;
  };
  /** Messages at their latest status, newest first. */
  reportMessages: {
    query?: { from?: string; to?: string; status?: "scheduled" | "queued" | "sending" | "unknown" | "sent" | "delivered" | "undelivered" | "failed" | "rejected" | "expired" | "canceled"; type?: "normal" | "express"; phone?: string; id?: string; limit?: number; cursor?: string };
    answer: ReportMessagesAnswer;
  };
  /** Messages, parts, cost and unique phones by minute, hour or day, newest first. */
  reportUsage: {
    query?: { interval?: "minute" | "hour" | "day"; by?: string; from?: string; to?: string; limit?: number; cursor?: string };
    answer: ReportUsageAnswer;
  };
  /** What is set up, and how the endpoints are doing. */
  getWebhook: {
    answer: GetWebhookAnswer;
  };
  /** The deliveries of the last 8 days, newest first. */
  listDeliveries: {
    query?: { from?: string; to?: string; state?: "pending" | "delivered" | "failed"; limit?: number; cursor?: string };
    answer: ListDeliveriesAnswer;
  };
  /** Deliver again what failed, or what occurred in a span of time. */
  replayDeliveries: {
    body: ReplayDeliveriesRequest;
    answer: ReplayDeliveriesAnswer;
  };
  /** Deliver one event again, whatever became of it. */
  replayDelivery: {
    path: { id: string };
    body: ReplayDeliveryRequest;
    answer: ReplayDeliveryAnswer;
  };
  /** The phones that opted out, by number. */
  listOptOuts: {
    query?: { phone?: string; sender?: string; limit?: number; cursor?: string };
    answer: ListOptOutsAnswer;
  };
  /** Send no more messages to a phone. */
  addOptOut: {
    body: AddOptOutRequest;
    answer: AddOptOutAnswer;
  };
  /** Send messages to a phone again. */
  removeOptOut: {
    query: { phone: string; sender?: string };
    answer: RemoveOptOutAnswer;
  };
};

/** `keyed`: takes an Idempotency-Key. `repeatable`: a repeat of what took effect does no harm. */
export const OPERATIONS = {
  sendMessage: { method: "POST", path: "/v1/sms/send", keyed: true, repeatable: true },
  sendBatch: { method: "POST", path: "/v1/sms/batches", keyed: true, repeatable: true },
  previewMessage: { method: "POST", path: "/v1/sms/preview", keyed: false, repeatable: true },
  createTemplate: { method: "POST", path: "/v1/templates", keyed: false, repeatable: true },
  listTemplates: { method: "GET", path: "/v1/templates", keyed: false, repeatable: true },
  addTemplateVersion: { method: "POST", path: "/v1/templates/{id}/versions", keyed: false, repeatable: true },
  deleteTemplate: { method: "DELETE", path: "/v1/templates/{id}", keyed: false, repeatable: false },
  getTemplate: { method: "GET", path: "/v1/templates/{id}", keyed: false, repeatable: true },
  sendCode: { method: "POST", path: "/v1/otp", keyed: true, repeatable: true },
  verifyCode: { method: "POST", path: "/v1/otp/{id}/verify", keyed: false, repeatable: false },
  topUp: { method: "POST", path: "/v1/wallet/topup", keyed: true, repeatable: true },
  getWallet: { method: "GET", path: "/v1/wallet", keyed: false, repeatable: true },
  getStatement: { method: "GET", path: "/v1/wallet/ledger", keyed: false, repeatable: true },
  reconcile: { method: "GET", path: "/v1/wallet/reconcile", keyed: false, repeatable: true },
  listMessages: { method: "GET", path: "/v1/messages", keyed: false, repeatable: true },
  getMessage: { method: "GET", path: "/v1/messages/{id}", keyed: false, repeatable: true },
  cancelMessage: { method: "DELETE", path: "/v1/messages/{id}", keyed: false, repeatable: true },
  changeMessage: { method: "PATCH", path: "/v1/messages/{id}", keyed: false, repeatable: false },
  reportMessages: { method: "GET", path: "/v1/reports/messages", keyed: false, repeatable: true },
  reportUsage: { method: "GET", path: "/v1/reports/usage", keyed: false, repeatable: true },
  getWebhook: { method: "GET", path: "/v1/webhooks", keyed: false, repeatable: true },
  listDeliveries: { method: "GET", path: "/v1/webhooks/deliveries", keyed: false, repeatable: true },
  replayDeliveries: { method: "POST", path: "/v1/webhooks/deliveries/replay", keyed: false, repeatable: true },
  replayDelivery: { method: "POST", path: "/v1/webhooks/deliveries/{id}/replay", keyed: false, repeatable: true },
  listOptOuts: { method: "GET", path: "/v1/opt-outs", keyed: false, repeatable: true },
  addOptOut: { method: "POST", path: "/v1/opt-outs", keyed: false, repeatable: true },
  removeOptOut: { method: "DELETE", path: "/v1/opt-outs", keyed: false, repeatable: false },
} as const;
