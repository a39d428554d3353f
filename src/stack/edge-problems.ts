// Makes deploy/nginx/problems.conf, nginx's answers to requests that never reach the API, from the table of
// errors. Written by `bun src/main/docs.ts`; a test compares it. Invariant: an answer of the edge has the
// members, headers and codes of one of the API, and a request id that also appears in the edge's log.

import { type ErrorCode, problemBody, problemHeaders, SluiceError } from "../core/errors.ts";

type Refusal = { statuses: number[]; code: ErrorCode; detail?: string; allow?: string[] };

/** nginx's own statuses: 494: header too large, 495 to 497: TLS, 502 and 504: no answer from an upstream. */
const refusalsOf = (allow: string[]): Refusal[] => [
  {
    statuses: [400, 411, 421, 501, 505],
    code: "malformed_request",
    detail: "The request is not valid HTTP.",
  },
  { statuses: [495, 496], code: "malformed_request", detail: "The client certificate is refused." },
  { statuses: [497], code: "malformed_request", detail: "This port requires TLS." },
  { statuses: [403, 404], code: "not_found", detail: "No such route." },
  {
    statuses: [405],
    code: "method_not_allowed",
    detail: "No route has this method.",
    allow,
  },
  { statuses: [413], code: "payload_too_large" },
  { statuses: [414], code: "uri_too_long", detail: "The request line is longer than 8 KiB." },
  { statuses: [494], code: "headers_too_large", detail: "A header is longer than 8 KiB." },
  { statuses: [500], code: "internal" },
  { statuses: [503], code: "overloaded", detail: "Too many requests from this address are in progress." },
];

const ID = "$request_id";
const away = new SluiceError("unavailable", {
  detail: "No ingest process could be reached. Nothing was stored or charged.",
});
const lost = new SluiceError("outcome_unknown", {
  detail:
    "The ingest process was lost while handling the request. Retry with the same Idempotency-Key or " +
    "request_id; without one, the message may be stored twice.",
});

/** The whole file. `methods`: those of the API's routes, in any order, repeated or not. */
export function problemsConf(methods: readonly string[]): string {
  const own = [...new Set(methods)].toSorted();
  const allow = own.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
  const changing = own.filter((method) => method !== "GET");
  return `# Written by \`bun src/main/docs.ts\` from src/core/errors.ts and src/stack/edge-problems.ts.
# Included in the server block of nginx.conf.

${refusalsOf(allow).map(refusal).join("\n")}
# No answer came from ingest. Whether a change was stored is known only if not a byte of it was sent.
error_page 502 504 =503 /_problem/unanswered;
location = /_problem/unanswered {
  internal;
  ${headers(away)}
  set $sent "$method_given $upstream_bytes_sent";
  if ($sent ~ "^(${changing.join("|")}) .*[1-9]") {
    return 503 ${quoted(lost)};
  }
  return 503 ${quoted(away)};
}
`;
}

function refusal({ statuses, code, ...options }: Refusal): string {
  const error = new SluiceError(code, options);
  const name = `/_problem/${code}_${statuses[0]}`;
  return `error_page ${statuses.join(" ")} =${error.status} ${name};
location = ${name} {
  internal;
  ${headers(error)}
  return ${error.status} ${quoted(error)};
}
`;
}

// A string in single quotes, escaped for nginx.
const quoted = (error: SluiceError): string => `'${problemBody(error, ID).replace(/[\\']/g, "\\$&")}'`;

function headers(error: SluiceError): string {
  const { "content-type": type, ...others } = problemHeaders(error, ID);
  return [
    `default_type ${type};`,
    ...Object.entries({ ...others, "cache-control": "no-store" }).map(
      ([name, value]) => `add_header ${name} "${value}" always;`,
    ),
  ].join("\n  ");
}
