// One HTTP request as the routes see it, and what they answer. Owns reading a body within its bounds, and the
// answers every route shares. Leaves sockets to server.ts. Invariant: every answer carries X-Request-Id; no
// answer shows more than the errors table.

import { CallerGoneError, type IsGone } from "../core/caller.ts";
import { problemBody, problemHeaders, SluiceError, toSluiceError } from "../core/errors.ts";
import { BODY_BYTES_MAX, JSON_DEPTH_MAX } from "../core/limits.ts";
import type { KeyOwner, Scope } from "../customers/api-keys.ts";
import { RateLimitedError } from "../ingest/rate-limits.ts";
import { rateHeaders } from "./rate-headers.ts";

/** What a request is answered: the body as an object, or as the very bytes that were stored. */
export type Reply = { status: number; body: unknown; headers?: Record<string, string> };
export type Call = {
  request: Request;
  owner: KeyOwner;
  /** The trace id; it is the X-Request-Id too. */
  requestId: string;
  traceparent: string;
  query: URLSearchParams;
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
  handle: (call: Call) => Promise<Reply>;
};

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** The bytes of a JSON body. @throws SluiceError 400, 413 or 415 */
export async function readBody(request: Request): Promise<Uint8Array> {
  const type = request.headers.get("content-type");
  if (type === null || !/^application\/json\s*(;|$)/i.test(type))
    throw new SluiceError("unsupported_media_type");
  return readBytes(request).catch((cause: unknown) => {
    if (cause instanceof SluiceError) throw cause;
    if (request.signal.aborted) throw new CallerGoneError();
    // Its chunks were broken: nobody hears this answer, and it is no fault of ours.
    throw new SluiceError("malformed_json", { detail: "The body ended early.", cause });
  });
}

/** @throws SluiceError 400 */
export function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch (cause) {
    throw new SluiceError("body_not_utf8", { cause });
  }
  // Short bodies can't be deep enough to matter, and they are the hot path.
  if (text.length > 1_024 && depthOf(text) > JSON_DEPTH_MAX) {
    throw new SluiceError("malformed_json", {
      detail: `The body is nested deeper than ${JSON_DEPTH_MAX} levels.`,
    });
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new SluiceError("malformed_json", { detail: "The body is not valid JSON.", cause });
  }
  return body;
}

async function readBytes(request: Request): Promise<Uint8Array> {
  const length = request.headers.get("content-length");
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

function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (quoted) {
      if (c === 92) i++;
      else if (c === 34) quoted = false;
    } else if (c === 34) quoted = true;
    else if (c === 123 || c === 91) deepest = Math.max(deepest, ++depth);
    else if (c === 125 || c === 93) depth--;
  }
  return deepest;
}

export function respond(reply: Reply, requestId: string): Response {
  const body = typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body);
  return new Response(body, {
    status: reply.status,
    headers: { "content-type": "application/json", "x-request-id": requestId, ...reply.headers },
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
