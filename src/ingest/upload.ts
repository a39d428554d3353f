// Accepts the messages of a stream of lines, which may be of any length: chunk by chunk, each like a batch
// (accept-batch.ts), with a result for every line, in order. Resumable: what a chunk answered is stored under
// a key of its own in the commit that stores its messages. A repeat finds there what was taken, compares its
// lines with those, gives the same results, and goes on behind them. Leaves to the doors: reading a line, and
// how a result is written.
// Invariants: a line is accepted once for each Idempotency-Key, whatever is killed or cut, and whichever of
// two requests with the same key comes first; no result is given before its line is stored; a chunk is taken,
// and its lines are read, by what holds for its payer then, however long ago the upload began.
// Why that is so: a chunk's key is the upload's key and the number of the chunk's first line. Lines are
// divided into windows by their content alone, and no chunk crosses the end of a window, so every run looks
// up the key at the beginning of each window; within one it goes on where a stored chunk ended. A chunk that
// stores nothing has no key, and its lines are read again.
// Bounds: a window has BATCH_MESSAGES_MAX lines and BATCH_BODY_BYTES_MAX bytes; nothing further is read until
// its results are taken. UPLOAD_WAIT_MAX_MS of waiting for what passes by itself.

import { createHash } from "node:crypto";
import { BATCH_BODY_BYTES_MAX, BATCH_MESSAGES_MAX, UPLOAD_WAIT_MAX_MS } from "../core/batch-limits.ts";
import { CallerGoneError, type IsGone } from "../core/caller.ts";
import type { Draft } from "../core/draft.ts";
import { type ErrorCode, type FieldError, SluiceError } from "../core/errors.ts";
import { OPTED_OUT, optedOut } from "../core/opt-out.ts";
import { type KeyRef, KeyTakenError, type RequestKey, type StoredAnswer } from "../ledger/idempotency.ts";
import type { AcceptBatch, AcceptedBatch } from "./accept-batch.ts";
import type { Payer } from "./accept-message.ts";
import type { OptOuts } from "./opt-outs.ts";

/** A line as its door reads it. */
export type Read =
  | { kind: "draft"; draft: Draft }
  | { kind: "refused"; code: ErrorCode | typeof OPTED_OUT; detail: string; errors: readonly FieldError[] };
/** What became of a line; `index`: its place in the upload, from 0. */
export type LineResult =
  | { index: number; message: AcceptedBatch["messages"][number] }
  | { index: number; refused: Extract<Read, { kind: "refused" }> };
export type UploadRequest<P extends Payer> = {
  payer: P;
  /** The payer as it is now: another object if anything about it changed. @throws if it may send no more */
  payerNow: () => Promise<P>;
  lines: AsyncIterable<Uint8Array>;
  read: (line: Uint8Array, payer: P) => Read | Promise<Read>;
  /** The result as one line, with its end; the only line ends that it has. */
  write: (result: LineResult) => string;
  /** The Idempotency-Key; null without one. */
  key: string | null;
  traceparent: string;
  isGone: IsGone;
  /** Whether this process is stopping: then no further chunk begins. */
  isStopping: () => boolean;
};
export type UploadDeps = {
  now: () => number;
  acceptBatch: AcceptBatch;
  optOuts: Pick<OptOuts, "hasNone" | "refused">;
  find: (ref: KeyRef) => Promise<StoredAnswer | null>;
  sleep: (ms: number) => Promise<void>;
};

type Line = { bytes: Uint8Array; read: Read };
/**
 * Lines that were read longer ago are read again before they are taken: a time of day, such as when quiet
 * hours begin, may have come since.
 */
const READ_MAX_MS = 1_000;
/** Nothing was stored, and the same may succeed a little later. */
const PASSING: readonly ErrorCode[] = ["rate_limited", "overloaded", "credit_elsewhere"];

/**
 * Yields the results of one chunk after the other. What ends it early is thrown, after the results of all
 * lines that were taken before. @throws SluiceError: validation_failed if there is no line,
 * payload_too_large, idempotency_key_reused, and what `payerNow` and accept-batch.ts throw; CallerGoneError
 */
export async function* upload<P extends Payer>(
  deps: UploadDeps,
  request: UploadRequest<P>,
): AsyncGenerator<string> {
  const source = createWindows(request.lines);
  try {
    yield* resultsOf(deps, request, source);
  } finally {
    source.stop();
  }
}

async function* resultsOf<P extends Payer>(
  deps: UploadDeps,
  request: UploadRequest<P>,
  source: Windows,
): AsyncGenerator<string> {
  const accept = createAcceptChunk(deps, request);
  let { payer } = request;
  const read = async (bytes: Uint8Array): Promise<Line> => {
    const line = request.read(bytes, payer);
    return { bytes, read: line instanceof Promise ? await line : line };
  };
  let index = 0;
  let held: Line[] = [];
  /** When the first of those held was read, in ms of deps.now(). */
  let readAtMs = 0;
  for (;;) {
    const ended = held.length === 0 ? await source.ended() : null;
    if (ended?.kind === "failed") throw ended.error;
    if (ended?.kind === "all" && index === 0) throw emptyBody();
    if (ended?.kind === "all") return;
    const key = keyOf(request, index);
    const stored = key === null ? null : await deps.find(key);
    if (request.isGone()) throw new CallerGoneError();
    if (stored !== null) {
      const results = await replayed(stored, held, source);
      await request.payerNow();
      index += results.count;
      yield results.text;
      continue;
    }
    for (let line = await source.next(); line !== null; line = await source.next()) {
      if (held.length === 0) readAtMs = deps.now();
      held.push(await read(line));
    }
    const payerThen = payer;
    payer = await request.payerNow();
    const nowMs = deps.now();
    if (payer !== payerThen || Math.abs(nowMs - readAtMs) > READ_MAX_MS) {
      readAtMs = nowMs;
      for (const [n, { bytes }] of held.entries()) held[n] = await read(bytes);
    }
    held = await withoutOptedOut(deps.optOuts, payer.customerId, held);
    const taken = await accept(payer, held, index, key);
    if (taken === "outdated") readAtMs = Number.NEGATIVE_INFINITY;
    if (taken === null || taken === "outdated") continue;
    held = held.slice(taken.count);
    index += taken.count;
    yield taken.text;
  }
}

const emptyBody = (): SluiceError =>
  new SluiceError("validation_failed", {
    errors: [{ field: "body", reason: "must have a line for each message" }],
  });

/** What is to a phone that opted out is refused, before any chunk of it is taken. */
async function withoutOptedOut(
  optOuts: UploadDeps["optOuts"],
  customerId: number,
  lines: Line[],
): Promise<Line[]> {
  if (optOuts.hasNone(customerId)) return lines;
  const drafts = lines.flatMap(({ read }, at) => (read.kind === "draft" ? [{ ...read.draft, at }] : []));
  const out = await optOuts.refused(customerId, drafts);
  if (out.size === 0) return lines;
  const places = new Set([...out].map((n) => drafts[n]?.at));
  const { detail, errors } = optedOut();
  const read: Read = { kind: "refused", code: OPTED_OUT, detail, errors };
  return lines.map((line, at) => (places.has(at) ? { ...line, read } : line));
}

/** No key of a request has a comma, so none is equal to one of these. */
function keyOf({ payer, key }: Pick<UploadRequest<Payer>, "payer" | "key">, index: number): KeyRef | null {
  if (key === null) return null;
  const name = createHash("sha256").update(key).digest("base64url");
  return { customerId: payer.customerId, operation: "batch", key: `upload,${index},${name}` };
}

// ---- windows ----

type Ended = { kind: "all" } | { kind: "failed"; error: unknown };
type Windows = {
  /** The next line of this window; null at its end. */
  next(): Promise<Uint8Array | null>;
  /** Whether there are no more lines at all; if only the window has none, the next one begins. */
  ended(): Promise<Ended | null>;
  /** Nothing more is read. */
  stop(): void;
};

/**
 * Divides lines into windows by their number and size. An error of the lines ends them: those before it are
 * still taken.
 */
function createWindows(lines: AsyncIterable<Uint8Array>): Windows {
  const iterator = lines[Symbol.asyncIterator]();
  let ahead: Uint8Array | null = null;
  let ended: Ended | null = null;
  let count = 0;
  let bytes = 0;
  const look = async (): Promise<void> => {
    try {
      const { done, value } = await iterator.next();
      if (done === true) ended = { kind: "all" };
      else ahead = value;
    } catch (error) {
      if (error instanceof CallerGoneError) throw error; // its last lines are not taken
      ended = { kind: "failed", error };
    }
  };
  const fits = (line: Uint8Array): boolean =>
    count < BATCH_MESSAGES_MAX && bytes + line.length <= BATCH_BODY_BYTES_MAX;
  return {
    async next() {
      if (ahead === null && ended === null) await look();
      const line = ahead;
      if (line === null || !fits(line)) return null;
      ahead = null;
      count++;
      bytes += line.length;
      return line;
    },
    async ended() {
      if (ahead === null && ended === null) await look();
      if (ahead !== null && !fits(ahead)) [count, bytes] = [0, 0];
      return ended;
    },
    stop: () => void iterator.return?.().catch(() => undefined), // whatever is left of them
  };
}

// ---- a chunk that was taken before ----

/** Compares its lines with those that were taken, first those in `held`, which it removes from there. */
async function replayed(stored: StoredAnswer, held: Line[], source: Windows): Promise<Results> {
  const count = stored.answer.split("\n").length - 1;
  const lines = held.splice(0, count).map(({ bytes }) => bytes);
  while (lines.length < count) {
    const line = await source.next();
    if (line === null) break;
    lines.push(line);
  }
  if (lines.length < count || !hashOf(lines).equals(stored.hash)) {
    const detail = "This Idempotency-Key was used for an upload of other lines, or of more, from here on.";
    throw new SluiceError("idempotency_key_reused", { detail });
  }
  return { text: stored.answer, count };
}

function hashOf(lines: Iterable<Uint8Array>): Buffer {
  const hash = createHash("sha256");
  for (const line of lines) hash.update(line).update("\n"); // no line has one
  return hash.digest();
}

// ---- a chunk that is taken now ----

type Results = { text: string; count: number };
type Writing = Pick<UploadRequest<Payer>, "write" | "traceparent" | "isGone" | "isStopping">;

/**
 * The function it returns tries once to take the first of these lines. null: none was, try again, with what
 * holds by then; "outdated": one of them is no longer as it was read.
 */
function createAcceptChunk({ acceptBatch, sleep }: UploadDeps, request: Writing) {
  const { write, traceparent, isGone, isStopping } = request;
  /** Halved whenever a wallet can't pay for as many. */
  let draftsMax = BATCH_MESSAGES_MAX;
  /** For what passes by itself, since lines were taken last. */
  let waitedMs = 0;
  let wasOutdated = false;

  /** The first lines with so many drafts: the last of them is one. */
  const firstOf = (held: readonly Line[], drafts: number): readonly Line[] => {
    let left = drafts;
    return held.slice(0, held.findIndex(({ read }) => read.kind === "draft" && --left === 0) + 1);
  };
  const textOf = (lines: readonly Line[], from: number, messages: AcceptedBatch["messages"]): string => {
    let at = 0;
    const resultOf = ({ read }: Line, n: number): LineResult =>
      read.kind === "refused"
        ? { index: from + n, refused: read }
        : { index: from + n, message: messages[at++] as AcceptedBatch["messages"][number] };
    return lines.map((line, n) => write(resultOf(line, n))).join("");
  };
  const commit = async (
    payer: Payer,
    lines: readonly Line[],
    from: number,
    ref: KeyRef | null,
  ): Promise<string> => {
    const drafts = lines.flatMap(({ read }) => (read.kind === "draft" ? [read.draft] : []));
    const answerOf = ({ messages }: AcceptedBatch) => textOf(lines, from, messages);
    const key: RequestKey | null = ref && { ...ref, hash: hashOf(lines.map(({ bytes }) => bytes)) };
    const kept = key === null ? null : { key, status: 200, answerOf };
    const terms = { fallback: null, partial: false, traceparent, isGone };
    const { accepted } = await acceptBatch({ payer, drafts, kept, ...terms });
    return answerOf(accepted);
  };

  return async (
    payer: Payer,
    held: readonly Line[],
    from: number,
    ref: KeyRef | null,
  ): Promise<Results | null | "outdated"> => {
    const drafts = held.filter(({ read }) => read.kind === "draft").length;
    if (drafts === 0) return { text: textOf(held, from, []), count: held.length };
    if (isStopping()) throw new SluiceError("unavailable", { detail: "The process is stopping." });
    const count = Math.min(drafts, draftsMax);
    const lines = firstOf(held, count);
    try {
      const text = await commit(payer, lines, from, ref);
      waitedMs = 0;
      wasOutdated = false;
      return { text, count: lines.length };
    } catch (error) {
      if (error instanceof KeyTakenError) return null; // by another request
      if (!(error instanceof SluiceError)) throw error;
      // A price or an opt-out of this very moment: read again, its line is refused.
      if (error.code === "validation_failed" && !wasOutdated) {
        wasOutdated = true;
        return "outdated";
      }
      const waitMs = (error.retryAfterS ?? 0) * 1_000;
      if (error.status === 402 && count > 1) draftsMax = count >> 1;
      else if (PASSING.includes(error.code) && waitedMs + waitMs <= UPLOAD_WAIT_MAX_MS && !isGone()) {
        await sleep(waitMs);
        waitedMs += waitMs;
      } else throw error;
      return null;
    }
  };
}
