// The headers of answers, as the document describes them. Leaves to the operations which answer has which.

import { type TSchema, Type } from "typebox";

type Header = { description: string; schema: TSchema; example: string | number; required?: true };

export const REQUEST_ID_EXAMPLE = "0af7651916cd43dd8448eb211c80319c";
export const RequestId = Type.String({ pattern: "^[0-9a-f]{32}$" });

export const HEADERS = {
  "X-Request-Id": {
    description:
      "names this request in the log and in `request_id` of a problem: the trace id of the request's " +
      "`traceparent`, or a random one",
    schema: RequestId,
    example: REQUEST_ID_EXAMPLE,
    required: true,
  },
  "Cache-Control": {
    description: "`no-store`; `no-cache` where an `ETag` comes with it: ask whether it has changed",
    schema: Type.Enum(["no-store", "no-cache"]),
    example: "no-store",
    required: true,
  },
  "Idempotent-Replayed": {
    description: "present if this is the stored answer to an earlier request with the same `Idempotency-Key`",
    schema: Type.Literal("true"),
    example: "true",
  },
  RateLimit: {
    description:
      "what is left of the customer's limits: of each, `r` parts or requests now, and all again in `t` " +
      "seconds. Absent without a limit (draft-ietf-httpapi-ratelimit-headers-11)",
    schema: Type.String(),
    example: '"parts";r=9999;t=1, "requests";r=599;t=1',
  },
  "RateLimit-Policy": {
    description:
      "the customer's limits: `q` message parts, or `q` requests, in `w` seconds. Absent without a limit",
    schema: Type.String(),
    example: '"parts";q=10000;w=60;qu="message-parts", "requests";q=600;w=60',
  },
  "Retry-After": {
    description: "seconds to wait before the same request is sent again",
    schema: Type.Integer({ minimum: 1 }),
    example: 1,
  },
  "X-As-Of": {
    description: "of an export: the moment that all of it shows. Absent before the first event",
    schema: Type.String({ format: "date-time" }),
    example: "2026-09-21T14:13:24.000Z",
  },
  "WWW-Authenticate": {
    description:
      "what is missing or wrong: `ApiKey`, the key in `X-API-Key`; `SluiceSignature`, the signature that " +
      "the key asks for; `Bearer`, an admin token",
    schema: Type.String(),
    example: 'ApiKey realm="sluice"',
    required: true,
  },
  "Accept-Encoding": {
    description: "a body must not be compressed",
    schema: Type.Literal("identity"),
    example: "identity",
    required: true,
  },
  "Content-Language": {
    description: "the language of `title`, `detail` and `reason`, chosen by the request's `Accept-Language`",
    schema: Type.Enum(["en", "fa"]),
    example: "en",
  },
  Vary: {
    description: "`Accept-Language`: that header changes the answer",
    schema: Type.Literal("Accept-Language"),
    example: "Accept-Language",
  },
  ETag: {
    description: "this version; a request with it in `If-None-Match` gets a 304",
    schema: Type.String(),
    example: '"6bTdUC1hQ0mZ4nXw2sPq1g"',
    required: true,
  },
} as const satisfies Record<string, Header>;

export type HeaderName = keyof typeof HEADERS;
