// One request to the gateway, tried again where that helps: after no answer, 429, 503, and while an earlier
// try is still being processed. All tries carry the same Idempotency-Key, so together they take effect once.
// A request that must not take effect twice, and has no key, is repeated only if it was not processed.
// What a repeat is refused with says nothing of the tries before it: many refusals come before the key is
// looked up. So once a try was in doubt, a call with a key ends with its answer or with SluiceUnreachable.
// Bounds: 1 + `retries` tries of `timeoutMs`, with waits of `delayMaxMs` at most between them.

import { type ProblemCode, SluiceProblem, SluiceUnreachable } from "./problem.ts";
import type { Problems } from "./types.ts";

export type Transport = {
  /** Without a slash at the end. */
  baseUrl: string;
  apiKey: string;
  /** Of `title`, `detail` and `reason` of problems. */
  language: "en" | "fa";
  retries: number;
  /** Of one try, from its start to the last byte of the answer. */
  timeoutMs: number;
  /** The first wait; it doubles with each try. */
  delayMs: number;
  /** No wait is longer. A request that is told to wait longer is not tried again. */
  delayMaxMs: number;
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  /** In [0, 1). */
  random: () => number;
};

export type Call = {
  method: string;
  /** With its query. */
  path: string;
  body: unknown;
  idempotencyKey: string | null;
  /** False: if it may have taken effect, it is not tried again. */
  repeatable: boolean;
  /** Ends the call, whatever it is waiting for. */
  signal: AbortSignal | undefined;
};

type Failed = {
  error: SluiceProblem | SluiceUnreachable;
  mayRetry: boolean;
  /** What the gateway asked for; null if nothing. */
  retryAfterMs: number | null;
};
type Outcome = { answer: unknown } | Failed;

/** The JSON of a successful answer. @throws SluiceProblem, SluiceUnreachable, the signal's reason */
export async function exchange(transport: Transport, call: Call): Promise<unknown> {
  let wasInDoubt = false;
  for (let tried = 1; ; tried++) {
    const outcome = await attempt(transport, call);
    if ("answer" in outcome) return outcome.answer;
    const { error } = outcome;
    const waitMs = waitOf(transport, outcome, tried);
    if (waitMs === null) throw wasInDoubt && !isInDoubt(error) ? inDoubt(error, call) : error;
    wasInDoubt ||= isInDoubt(error);
    await transport.sleep(waitMs, call.signal);
  }
}

/** Whether the request may have taken effect, or may yet. */
const isInDoubt = (error: Failed["error"]): boolean =>
  error instanceof SluiceUnreachable || IN_DOUBT.includes(error.code);
const IN_DOUBT: readonly ProblemCode[] = ["outcome_unknown", "internal", "idempotency_in_progress"];

/** What a call ends with whose last try was refused, and one before it was in doubt. */
function inDoubt(refusal: Failed["error"], { idempotencyKey }: Call): Failed["error"] {
  // Without a key nothing is repeated that could take effect twice: the refusal is all there is to know.
  if (idempotencyKey === null) return refusal;
  const message = `an earlier try may have taken effect; its repeat was refused: ${refusal.message}`;
  return new SluiceUnreachable(message, { status: null, idempotencyKey, cause: refusal });
}

async function attempt(transport: Transport, call: Call): Promise<Outcome> {
  const { idempotencyKey, repeatable, signal } = call;
  signal?.throwIfAborted();
  const timeout = AbortSignal.timeout(transport.timeoutMs);
  try {
    const response = await transport.fetch(`${transport.baseUrl}${call.path}`, {
      method: call.method,
      headers: headersOf(transport, call),
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      // The key must not follow a redirect to somewhere else.
      redirect: "error",
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
    return outcomeOf(response, await response.text(), call);
  } catch (cause) {
    signal?.throwIfAborted();
    const message = timeout.aborted ? `no answer within ${transport.timeoutMs} ms` : "no answer";
    const error = new SluiceUnreachable(message, { status: null, idempotencyKey, cause });
    return { error, mayRetry: repeatable, retryAfterMs: null };
  }
}

function headersOf({ apiKey, language }: Transport, { body, idempotencyKey }: Call): Record<string, string> {
  const headers: Record<string, string> = { "x-api-key": apiKey, "accept-language": language };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (idempotencyKey !== null) headers["idempotency-key"] = idempotencyKey;
  return headers;
}

function outcomeOf(response: Response, text: string, { idempotencyKey, repeatable }: Call): Outcome {
  const { status, ok, headers } = response;
  const json = parsed(text);
  if (ok && json !== undefined) return { answer: json };
  const retryAfterMs = retryAfterOf(headers.get("retry-after"));
  if (!ok && isProblemDocument(json)) {
    const error = new SluiceProblem(json, idempotencyKey);
    return {
      error,
      mayRetry: repeatable ? isWorthRetrying(status, error.code) : isRefusedUnseen(status, error.code),
      retryAfterMs,
    };
  }
  const message = `an answer that is not the gateway's, with status ${status}`;
  const error = new SluiceUnreachable(message, { status, idempotencyKey });
  const mayRetry = repeatable ? isWorthRetrying(status, null) : isRefusedUnseen(status, null);
  return { error, mayRetry, retryAfterMs };
}

const isWorthRetrying = (status: number, code: string | null): boolean =>
  status === 429 ||
  (status === 503 && code !== "check_too_long") || // it would take as long again
  code === "idempotency_in_progress";

/** It was turned away before anything was done for it. */
const isRefusedUnseen = (status: number, code: string | null): boolean =>
  status === 429 || code === "overloaded";

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isProblemDocument = (json: unknown): json is Problems[keyof Problems] =>
  typeof json === "object" && json !== null && "code" in json && "request_id" in json;

/** Milliseconds; null without the header, or if it can't be read. RFC 9110, 10.2.3: seconds, or a date. */
function retryAfterOf(header: string | null): number | null {
  if (header === null) return null;
  if (/^\d+$/.test(header)) return Number(header) * 1_000;
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - Date.now());
}

/** Milliseconds until the next try; null: there is none. */
function waitOf(transport: Transport, { mayRetry, retryAfterMs }: Failed, tried: number): number | null {
  const { retries, delayMs, delayMaxMs, random } = transport;
  if (!mayRetry || tried > retries) return null;
  if (retryAfterMs !== null && retryAfterMs > delayMaxMs) return null;
  const backoffMs = Math.min(delayMaxMs, delayMs * 2 ** (tried - 1));
  // A part of it at random, so that those who failed together don't come back together.
  const jitteredMs = (backoffMs / 2) * (1 + random());
  const askedMs = (retryAfterMs ?? 0) * (1 + random() / 2);
  return Math.min(delayMaxMs, Math.max(jitteredMs, askedMs));
}
