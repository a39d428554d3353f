// What clients write to a socket, byte by byte: each case with what the direct port and the edge answer.
// Leaves counting what was stored and charged to the suite (test/integration/raw-sockets.test.ts).

import type { ErrorCode } from "../../src/core/errors.ts";
import { BODY_BYTES_MAX } from "../../src/core/limits.ts";

/**
 * "202": everything stored and charged once; an error code or "closed": a refusal or a closed connection, and
 * nothing stored. "left": no answer, as for a client that went away; stored and charged once only if its
 * commit had begun.
 */
export type Want = "202" | ErrorCode | "empty 400" | "empty 431" | "closed" | "left";
export type RawCase = {
  name: string;
  /** The bytes of `messages` requests, in the pieces in which they are written. */
  pieces: (request: RequestBytes) => (string | Uint8Array)[];
  messages?: number;
  halfClose?: boolean;
  pauseMs?: number;
  direct: Want;
  edge: Want;
};

export type RequestBytes = {
  /** One complete request. `n` makes its text different. */
  whole(n?: number): string;
  head(changes?: { method?: string; path?: string; version?: string; headers?: string[] }): string;
  body: string;
  /** The body as one chunk, without the terminating chunk. */
  chunk: string;
};

export function requestBytes(apiKey: string, reference: string): RequestBytes {
  const bodyOf = (n: number) =>
    JSON.stringify({ phone: "+989121234567", text: `message ${n}`, type: "normal", reference });
  const body = bodyOf(1);
  const head: RequestBytes["head"] = ({ method, path, version, headers } = {}) => {
    const length = `Content-Length: ${body.length}`;
    const lines = [
      `${method ?? "POST"} ${path ?? "/v1/sms/send"} HTTP/${version ?? "1.1"}`,
      "Host: sluice",
      `X-API-Key: ${apiKey}`,
      "Content-Type: application/json",
      ...(headers ?? [length]),
    ];
    return `${lines.join("\r\n")}\r\n\r\n`;
  };
  return {
    body,
    head,
    whole: (n = 1) => head() + bodyOf(n),
    chunk: `${body.length.toString(16)}\r\n${body}\r\n`,
  };
}

const CHUNKED = "Transfer-Encoding: chunked";
const lengthOf = ({ body }: RequestBytes): string => `Content-Length: ${body.length}`;

export const rawCases: RawCase[] = [
  { name: "one request", pieces: (r) => [r.whole()], direct: "202", edge: "202" },
  {
    name: "two requests in one packet",
    pieces: (r) => [r.whole(1) + r.whole(2)],
    messages: 2,
    direct: "closed",
    edge: "202",
  },
  {
    name: "three requests in one packet",
    pieces: (r) => [r.whole(1) + r.whole(2) + r.whole(3)],
    messages: 3,
    direct: "closed",
    edge: "202",
  },
  {
    name: "chunked",
    pieces: (r) => [`${r.head({ headers: [CHUNKED] }) + r.chunk}0\r\n\r\n`],
    direct: "202",
    edge: "202",
  },
  {
    name: "chunked, with a trailer section",
    pieces: (r) => [`${r.head({ headers: [CHUNKED, "Trailer: X-Sum"] }) + r.chunk}0\r\nX-Sum: 1\r\n\r\n`],
    direct: "empty 400",
    edge: "202",
  },
  { name: "CRLF after the body", pieces: (r) => [`${r.whole()}\r\n`], direct: "empty 400", edge: "202" },
  {
    name: "half-closed after the request",
    pieces: (r) => [r.whole()],
    halfClose: true,
    direct: "left",
    edge: "202",
  },
  ...["100-continue", "100-Continue", "100-CONTINUE"].map(
    (value): RawCase => ({
      name: `Expect: ${value}`,
      pieces: (r) => [r.head({ headers: [lengthOf(r), `Expect: ${value}`] }), r.body],
      pauseMs: 30,
      direct: "202",
      edge: "202",
    }),
  ),
  {
    name: "HTTP/1.0",
    pieces: (r) => [r.head({ version: "1.0", headers: [lengthOf(r)] }) + r.body],
    direct: "202",
    edge: "202",
  },
  {
    name: "a body that comes byte by byte",
    pieces: (r) => [r.head(), ...r.body.split("")],
    pauseMs: 5,
    direct: "202",
    edge: "202",
  },
  {
    name: "a lower-case method",
    pieces: (r) => [r.head({ method: "post" }) + r.body],
    direct: "closed",
    edge: "malformed_request",
  },
  {
    name: "an unknown method",
    pieces: (r) => [r.head({ method: "SEND" }) + r.body],
    direct: "closed",
    edge: "method_not_allowed",
  },
  ...["PUT", "DELETE", "PATCH", "TRACE", "CONNECT"].map(
    (method): RawCase => ({
      name: `the method ${method}`,
      pieces: (r) => [r.head({ method }) + r.body],
      direct: "method_not_allowed",
      edge: "method_not_allowed",
    }),
  ),
  {
    name: "a header of 20 kB",
    pieces: (r) => [r.head({ headers: [lengthOf(r), `X-Long: ${"a".repeat(20_000)}`] }) + r.body],
    direct: "empty 431",
    edge: "headers_too_large",
  },
  {
    name: "a request line of 9 kB",
    pieces: (r) => [r.head({ path: `/v1/${"a".repeat(9_000)}` }) + r.body],
    direct: "not_found",
    edge: "uri_too_long",
  },
  {
    name: "a body of the maximum size that is not JSON",
    pieces: (r) => [r.head({ headers: [`Content-Length: ${BODY_BYTES_MAX}`] }), "a".repeat(BODY_BYTES_MAX)],
    direct: "malformed_json",
    edge: "malformed_json",
  },
  {
    name: "a body over the maximum size",
    pieces: (r) => [
      r.head({ headers: [`Content-Length: ${BODY_BYTES_MAX + 1}`] }),
      "a".repeat(BODY_BYTES_MAX + 1),
    ],
    direct: "payload_too_large",
    edge: "payload_too_large",
  },
  {
    name: "a chunked body over the maximum size",
    pieces: (r) => [
      r.head({ headers: [CHUNKED] }),
      `${(BODY_BYTES_MAX + 1).toString(16)}\r\n${"a".repeat(BODY_BYTES_MAX + 1)}\r\n0\r\n\r\n`,
    ],
    direct: "payload_too_large",
    edge: "payload_too_large",
  },
  {
    name: "a chunk whose size is not a number",
    pieces: (r) => [`${r.head({ headers: [CHUNKED] })}zz\r\n${r.body}\r\n0\r\n\r\n`],
    direct: "empty 400",
    edge: "malformed_request",
  },
  {
    name: "Content-Length twice, differing",
    pieces: (r) => [r.head({ headers: [lengthOf(r), "Content-Length: 3"] }) + r.body],
    direct: "empty 400",
    edge: "malformed_request",
  },
  {
    name: "Content-Length beside Transfer-Encoding",
    pieces: (r) => [`${r.head({ headers: [lengthOf(r), CHUNKED] }) + r.chunk}0\r\n\r\n`],
    direct: "empty 400",
    edge: "malformed_request",
  },
  {
    name: "Transfer-Encoding beside Content-Length, and a request hidden behind the last chunk",
    pieces: (r) => [`${r.head({ headers: [CHUNKED, "Content-Length: 5"] })}0\r\n\r\n${r.whole()}`],
    direct: "empty 400",
    edge: "malformed_request",
  },
  {
    name: "an unknown transfer coding",
    pieces: (r) => [`${r.head({ headers: ["Transfer-Encoding: gzip, chunked"] }) + r.chunk}0\r\n\r\n`],
    direct: "empty 400",
    edge: "malformed_request",
  },
  {
    name: "a space before a header's colon",
    pieces: (r) => [r.head({ headers: [`Content-Length : ${r.body.length}`] }) + r.body],
    direct: "empty 400",
    edge: "malformed_request",
  },
  {
    name: "a header over two lines",
    pieces: (r) => [r.head({ headers: [lengthOf(r), "X-Long: a\r\n b"] }) + r.body],
    direct: "empty 400",
    edge: "malformed_request",
  },
  {
    name: "no Host",
    pieces: (r) => [r.whole().replace("Host: sluice\r\n", "")],
    direct: "empty 400",
    edge: "malformed_request",
  },
  {
    name: "HTTP/2 without TLS, with prior knowledge",
    pieces: () => ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0"],
    direct: "empty 400",
    edge: "malformed_request",
  },
  {
    name: "a TLS greeting on the plain port",
    pieces: () => [Uint8Array.from([22, 3, 1, 0, 165, 1, 0, 0, 161, 3, 3])],
    direct: "empty 400",
    edge: "malformed_request",
  },
];
