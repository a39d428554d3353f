// The OpenAPI 3.1 document of the API, printed from the table of routes. Owns what all operations share: the
// conventions in words, parameters, headers, security schemes. Invariant: it says nothing of a route that the
// route doesn't declare.

import packageJson from "../../../package.json" with { type: "json" };
import { BODY_BYTES_MAX, IDEMPOTENCY_KEY_CHARS_MAX } from "../../core/limits.ts";
import { TAGS } from "../about.ts";
import type { Route } from "../route.ts";
import { HEADERS, type HeaderName } from "./headers.ts";
import { operationOf, templateOf } from "./operation.ts";
import { problemExamples, problemSchemas } from "./problems.ts";
import { type Components, type Json, printSchema, printShapes } from "./schemas.ts";

const DESCRIPTION = `An SMS gateway: an accepted message is stored and charged once, and refunded if no
operator takes it.

- Every \`/v1\` route needs an API key in \`X-API-Key\`. A key has scopes; each operation names the one it
  needs. A key may also expire, be limited to some addresses, or take signed requests only; then
  \`X-Sluice-Timestamp\` (Unix seconds), \`X-Sluice-Nonce\` and \`X-Sluice-Signature\` come with each: \`v1=\`
  and the HMAC-SHA-256, in hex, of seven lines: \`v1\`, method, path, query, the body's SHA-256 in hex,
  timestamp, nonce.
- Every answer that is not a success is \`application/problem+json\` (RFC 9457) with a stable \`code\`. Each
  operation lists those it may answer. Any request may also get \`not_found\` (no such route) or
  \`method_not_allowed\`, and, behind the edge, \`uri_too_long\` or \`headers_too_large\`.
- Problems are told in Persian if \`Accept-Language\` prefers it, otherwise in English. \`code\`, \`type\` and
  all figures are the same.
- Input is strict: unknown fields and query parameters, a JSON member or a header given twice, and numbers
  that can't be stored exactly as written are refused. \`null\` for an optional field means that it is absent.
  A body is JSON in UTF-8, not compressed, of at most ${BODY_BYTES_MAX / 1_024} KiB where an operation
  doesn't say otherwise.
- Answers may get further members: ignore those that you don't know.
- Money is whole minor units of the wallet's currency.
- A request with an \`Idempotency-Key\` can be repeated safely: it takes effect once, and a repeat gets the
  same bytes.
- Lists are newest first where an operation doesn't say otherwise. \`next_cursor\` goes into \`cursor\` of the
  next request, with the same filters, and is null at the end; a page may be short before that.
- With \`format\` a list is exported: all of it, as of one moment, as CSV or NDJSON. Each row has a
  \`cursor\`, after which a request goes on; an answer that was not completed has no end.
- Rate limits count message parts and requests a minute for each customer.`;

/** What the operations of one API share. */
export type Book = {
  title: string;
  description: string;
  tags: Readonly<Record<string, string>>;
  securitySchemes: Json;
  parameters: Json;
};

/** @throws Error if a route doesn't describe a parameter of its path */
export function openApi(routes: readonly Route[], book: Book = CUSTOMERS_BOOK): Json {
  const into: Components = { schemas: { ...printShapes(), ...problemSchemas() }, responses: {} };
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = templateOf(route.path);
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route, into) };
  }
  return {
    openapi: "3.1.0",
    info: { title: book.title, version: packageJson.version, description: book.description },
    servers: [{ url: "/", description: "where this document was read" }],
    tags: Object.entries(book.tags).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: into.schemas,
      responses: into.responses,
      parameters: book.parameters,
      examples: problemExamples(),
      headers: headersIn(JSON.stringify([paths, into.responses])),
      securitySchemes: book.securitySchemes,
    },
  };
}

/** As src/api/idempotency-key.ts reads it. */
const KEY = `[!#-+\\--\\[\\]-~]([ !#-+\\--\\[\\]-~]{0,${IDEMPOTENCY_KEY_CHARS_MAX - 2}}[!#-+\\--\\[\\]-~])?`;

/** `kept`: for how long. */
export const idempotencyKey = (kept: string): Json => ({
  name: "Idempotency-Key",
  in: "header",
  description:
    `Chosen by the caller for one operation, and kept ${kept}: printable ASCII without comma, quote ` +
    "or backslash. Quotes around all of it are read over.",
  schema: { type: "string", pattern: `^(${KEY}|"${KEY}")$` },
  example: "order-1234",
});

const PARAMETERS: Json = {
  "Idempotency-Key": idempotencyKey("for 24 hours"),
  OperatorQuery: {
    name: "report",
    in: "query",
    description: "Whatever parameters the operator sends; all of them are stored with the report.",
    style: "form",
    explode: true,
    schema: { type: "object", additionalProperties: true },
    example: { messageid: "7f3a", status: "DELIVRD" },
  },
};

const SECURITY_SCHEMES: Json = {
  apiKey: {
    type: "apiKey",
    in: "header",
    name: "X-API-Key",
    description: "A customer's key. It is shown once; two can be live, to change them without a pause.",
  },
  operatorToken: {
    type: "apiKey",
    in: "header",
    name: "X-Sluice-Token",
    description: "The secret of the operator's entry in the routes file.",
  },
  operatorTokenInQuery: {
    type: "apiKey",
    in: "query",
    name: "token",
    description: "The same secret, for operators that can't send headers. It is not stored.",
  },
  operatorBasic: {
    type: "http",
    scheme: "basic",
    description: "The user name and password of the operator's entry.",
  },
};

const CUSTOMERS_BOOK: Book = {
  title: "Sluice",
  description: DESCRIPTION,
  tags: TAGS,
  securitySchemes: SECURITY_SCHEMES,
  parameters: PARAMETERS,
};

/** Those that this text refers to. */
const headersIn = (used: string): Json =>
  Object.fromEntries(
    (Object.keys(HEADERS) as HeaderName[])
      .filter((name) => used.includes(`"#/components/headers/${name}"`))
      .map((name) => {
        const { schema, ...header } = HEADERS[name];
        return [name, { ...header, schema: printSchema(schema) }];
      }),
  );
