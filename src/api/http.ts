// One HTTP request as the routes see it, and what they answer. Owns reading headers and a body within its
// bounds, and the answers every route shares. Leaves sockets to server.ts, queries to query.ts. Invariant:
// every answer carries X-Request-Id and is not to be cached; no answer shows more than the errors table.

import { CallerGoneError, type IsGone } from "../core/caller.ts";
import { problemBody, problemHeaders, SluiceError, toSluiceError } from "../core/errors.ts";
import { BODY_BYTES_MAX } from "../core/limits.ts";
import type { KeyOwner, Scope } from "../customers/api-keys.ts";
import { RateLimitedError } from "../ingest/rate-limits.ts";
import type { Query } from "../reports/params.ts";
import { rateHeaders } from "./rate-headers.ts";

/** What a request is answered: the body as an object, or as the very bytes that were stored. */
export type Reply = { status: number; body: unknown; headers?: Record<string, string> };
export type Call = {
  request: Request;
  owner: KeyOwner;
  /** The trace id; it is the X-Request-Id too. */
  requestId: string;
  traceparent: string;
  query: Query;
  /** `{id}` of the path */
  params: Record<string, string>;
  /** Whether its connection has ended: Bun loses the answer then, whatever it is. */
  isGone: IsGone;
  /** Whose request it is: an IP address, of the client behind the edge where there is one. */
  clientAddress: () => string;
};
export type Route = {
  method: "GET" | "POST" | "DELETE";
  /** As Bun.serve takes it: `/v1/messages/:id` */
  path: string;
  scope: Scope;
  /** The query parameters it takes; others are refused. */
  query: readonly string[];
  handle: (call: Call) => Promise<Reply>;
};

/**
 * The value of a header that has one value. Given twice, it comes joined with a comma ("k" twice is another
 * key than "k"), and none of the values read here holds one. @throws SluiceError malformed_request
 */
export function singleHeader(request: Request, name: string): string | null {
  const value = request.headers.get(name);
  if (value?.includes(",")) {
    const errors = [{ field: name, reason: "must be given once, and without commas" }];
    throw new SluiceError("malformed_request", { errors });
  }
  return value;
}

/** The bytes of a JSON body. @throws SluiceError 400, 413 or 415; CallerGoneError */
export async function readBody(request: Request): Promise<Uint8Array> {
  checkMedia(request);
  return readBytes(request).catch((cause: unknown) => {
    if (cause instanceof SluiceError) throw cause;
    if (request.signal.aborted) throw new CallerGoneError();
    // Its chunks were broken: nobody hears this answer, and it is no fault of ours.
    throw new SluiceError("malformed_json", { detail: "The body ended early.", cause });
  });
}

const JSON_TYPE = /^application\/json\s*(?:;|$)/i;
const CHARSET = /;\s*charset\s*=\s*"?([^\s";]*)/i;
const CHARSETS_READ = ["utf-8", "utf8", "us-ascii"];

function checkMedia(request: Request): void {
  const type = singleHeader(request, "Content-Type");
  if (type !== "application/json") {
    if (type === null || !JSON_TYPE.test(type)) throw new SluiceError("unsupported_media_type");
    const charset = CHARSET.exec(type)?.[1];
    if (charset !== undefined && !CHARSETS_READ.includes(charset.toLowerCase()))
      throw new SluiceError("unsupported_media_type", { detail: "The body must be UTF-8." });
  }
  const encoding = request.headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    const detail = "The body must be sent as it is, without a Content-Encoding such as gzip.";
    throw new SluiceError("unsupported_media_type", { detail });
  }
}

async function readBytes(request: Request): Promise<Uint8Array> {
  // Bun joins this one too when both are equal, and "2, 2" is no number to compare with a bound.
  const length = singleHeader(request, "Content-Length");
  if (length !== null) {
    if (Number(length) > BODY_BYTES_MAX) throw new SluiceError("payload_too_large");
    return new Uint8Array(await request.arrayBuffer());
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) throw new SluiceError("payload_too_large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function respond(reply: Reply, requestId: string): Response {
  const body = typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body);
  return new Response(body, {
    status: reply.status,
    headers: {
      "content-type": "application/json",
      "x-request-id": requestId,
      "cache-control": "no-store",
      ...reply.headers,
    },
  });
}

/** The answer to whatever was thrown, and the error it was mapped to. */
export function respondProblem(
  thrown: unknown,
  requestId: string,
  headers?: Record<string, string>,
): Response {
  const error = toSluiceError(thrown);
  const rate = error instanceof RateLimitedError ? rateHeaders(error.rate) : {};
  return new Response(problemBody(error, requestId), {
    status: error.status,
    headers: { ...problemHeaders(error, requestId), ...rate, ...headers },
  });
}
