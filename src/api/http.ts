// HTTP as the routes need it: reads headers and bodies within their bounds, and builds the answers that all
// routes share. Leaves sockets to server.ts, queries to query.ts. Invariant: every answer carries
// X-Request-Id and, unless its route says otherwise, forbids caching; an error shows nothing beyond the
// errors table.

import { CallerGoneError } from "../core/caller.ts";
import { problemBody, problemHeaders, SluiceError, toSluiceError } from "../core/errors.ts";
import { languageOf } from "../core/language.ts";
import { BODY_BYTES_MAX } from "../core/limits.ts";
import { inPersian } from "../core/persian-errors.ts";
import { RateLimitedError } from "../ingest/rate-limits.ts";
import { rateHeaders } from "./rate-headers.ts";
import type { Reply, Written } from "./route.ts";

/**
 * The value of a single-valued header. A header given twice arrives joined with a comma, as if it had another
 * value; no value read here contains a comma. @throws SluiceError malformed_request
 */
export function singleHeader(request: Request, name: string): string | null {
  const value = request.headers.get(name);
  if (value?.includes(",")) {
    const errors = [{ field: name, reason: "must be given once, and without commas" }];
    throw new SluiceError("malformed_request", { errors });
  }
  return value;
}

/** Reads the bytes of a JSON body, up to `bytesMax`. @throws SluiceError 400, 413 or 415; CallerGoneError */
export async function readBody(request: Request, bytesMax = BODY_BYTES_MAX): Promise<Uint8Array> {
  checkMedia(request);
  return readRaw(request, bytesMax);
}

/** Reads a body of any media type, up to `bytesMax`. @throws SluiceError 400, 413 or 415; CallerGoneError */
export async function readRaw(request: Request, bytesMax: number): Promise<Uint8Array> {
  checkEncoding(request);
  return readBytes(request, bytesMax).catch((cause: unknown) => {
    if (cause instanceof SluiceError) throw cause;
    if (request.signal.aborted) throw new CallerGoneError();
    // Its chunks were malformed. This answer can't reach the client, and the fault isn't ours.
    throw new SluiceError("malformed_json", { detail: "The body ended early.", cause });
  });
}

/**
 * The pieces of a body of any length, each read when it is asked for. @throws CallerGoneError when the
 * connection ends before the body does
 */
export async function* readPieces(request: Request): AsyncGenerator<Uint8Array> {
  const length = singleHeader(request, "Content-Length");
  let size = 0;
  try {
    for await (const piece of (request.body ?? []) as AsyncIterable<Uint8Array>) {
      size += piece.length;
      yield piece;
    }
  } catch {
    throw new CallerGoneError(); // or its chunks were malformed: no answer can reach it then either
  }
  if (request.signal.aborted || (length !== null && size < Number(length))) throw new CallerGoneError();
}

/** Whether the body is NDJSON. @throws SluiceError 400, 415 if its charset or encoding is another */
export function hasLines(request: Request): boolean {
  const type = singleHeader(request, "Content-Type");
  if (type === null || !LINES_TYPE.test(type)) return false;
  checkCharset(type);
  checkEncoding(request);
  return true;
}

const JSON_TYPE = /^application\/json\s*(?:;|$)/i;
const LINES_TYPE = /^application\/x-ndjson\s*(?:;|$)/i;
const CHARSET = /;\s*charset\s*=\s*"?([^\s";]*)/i;
const CHARSETS_READ = ["utf-8", "utf8", "us-ascii"];

function checkMedia(request: Request): void {
  const type = singleHeader(request, "Content-Type");
  if (type !== "application/json") {
    if (type === null || !JSON_TYPE.test(type)) throw new SluiceError("unsupported_media_type");
    checkCharset(type);
  }
}

function checkCharset(type: string): void {
  const charset = CHARSET.exec(type)?.[1];
  if (charset !== undefined && !CHARSETS_READ.includes(charset.toLowerCase()))
    throw new SluiceError("unsupported_media_type", { detail: "The body must be UTF-8." });
}

function checkEncoding(request: Request): void {
  const encoding = request.headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    const detail = "The body must be sent without a Content-Encoding such as gzip.";
    throw new SluiceError("unsupported_media_type", { detail });
  }
}

async function readBytes(request: Request, bytesMax: number): Promise<Uint8Array> {
  // Bun also joins this header when both values are equal, and "2, 2" can't be compared with a bound.
  const length = singleHeader(request, "Content-Length");
  if (length !== null) {
    if (Number(length) > bytesMax) throw new SluiceError("payload_too_large");
    return new Uint8Array(await request.arrayBuffer());
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > bytesMax) throw new SluiceError("payload_too_large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The answer of a route: JSON that must not be cached, unless its own headers say otherwise. */
export function respond(reply: Reply, requestId: string): Response {
  const isWritten = typeof reply.body === "string" || reply.body instanceof ReadableStream;
  const body = isWritten ? (reply.body as string | ReadableStream) : JSON.stringify(reply.body);
  // A 304 has no body, not even an empty one.
  return new Response(body === "" ? null : body, {
    status: reply.status,
    headers: {
      "content-type": "application/json",
      "x-request-id": requestId,
      "cache-control": "no-store",
      ...reply.headers,
    },
  });
}

/** The answer to anything thrown; `accepted`: the caller's Accept-Language. */
export function respondProblem(
  thrown: unknown,
  requestId: string,
  headers?: Record<string, string>,
  accepted: string | null = null,
): Response {
  const error = toSluiceError(thrown);
  const rate = error instanceof RateLimitedError ? rateHeaders(error.rates) : {};
  const language = languageOf(accepted);
  return new Response(problemBody(error, requestId, language === "fa" ? inPersian(error) : undefined), {
    status: error.status,
    headers: {
      ...problemHeaders(error, requestId),
      "content-language": language,
      vary: "Accept-Language",
      ...rate,
      ...headers,
    },
  });
}

const KEPT_OF_PROBLEM = ["retry-after", "allow"];

/** An error as a door answers it (doors/door.ts), with the headers that say when to come back. */
export function respondRefusal(
  error: SluiceError,
  reply: Written,
  requestId: string,
  headers?: Record<string, string>,
): Response {
  const all = Object.entries(problemHeaders(error, requestId));
  const kept = Object.fromEntries(all.filter(([name]) => KEPT_OF_PROBLEM.includes(name)));
  const rate = error instanceof RateLimitedError ? rateHeaders(error.rates) : {};
  return respond({ ...reply, headers: { ...kept, ...rate, ...headers, ...reply.headers } }, requestId);
}
