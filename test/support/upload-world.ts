// Uploads against a store that keeps what a commit keeps: messages and their keys, together or not at all.

import { expect } from "bun:test";
import { BATCH_MESSAGES_MAX } from "../../src/core/batch-limits.ts";
import { neverGone } from "../../src/core/caller.ts";
import type { Draft } from "../../src/core/draft.ts";
import { insufficientBalance, SluiceError } from "../../src/core/errors.ts";
import { createIdFactory } from "../../src/core/id.ts";
import type { AcceptBatch, AcceptedBatch } from "../../src/ingest/accept-batch.ts";
import type { Payer } from "../../src/ingest/accept-message.ts";
import { type LineResult, type Read, upload, type UploadRequest } from "../../src/ingest/upload.ts";
import { KeyTakenError, type KeyRef, type StoredAnswer } from "../../src/ledger/idempotency.ts";

export const id = createIdFactory({ now: Date.now });
export const PRICE = 1;

export type World = {
  /** How often each text was accepted. */
  accepted: Map<string, number>;
  batches: number[];
  /** Of each batch. */
  payers: Payer[];
  keys: Map<string, StoredAnswer>;
  balance: number;
  /** Unix ms */
  nowMs: number;
  /** Phones that opted out. */
  out: Set<string>;
  /** Called before each commit; what it throws is thrown instead of it. */
  before: () => void;
  /** Called after each commit; what it throws is all that the caller learns. */
  after: () => void;
};
export const newWorld = (balance = 1e9): World => ({
  accepted: new Map(),
  batches: [],
  payers: [],
  keys: new Map(),
  balance,
  nowMs: 0,
  out: new Set(),
  before: () => undefined,
  after: () => undefined,
});

const acceptIn =
  (world: World): AcceptBatch =>
  async ({ payer, drafts, kept, partial }) => {
    await Promise.resolve();
    world.before();
    expect(partial).toBe(false);
    expect(drafts.length).toBeLessThanOrEqual(BATCH_MESSAGES_MAX);
    if (drafts.length * PRICE > world.balance) throw insufficientBalance(drafts.length, world.balance);
    const messages = drafts.map(() => ({ id: id(), encoding: "gsm7" as const, parts: 1, cost: PRICE }));
    const accepted: AcceptedBatch = {
      id: id(),
      lane: "normal",
      messages,
      cost: drafts.length * PRICE,
      balanceAfter: 0,
      unpaid: "insufficient_balance",
      guaranteedByMs: null,
    };
    if (kept !== null) {
      if (world.keys.has(kept.key.key)) throw new KeyTakenError([]);
      const { status } = kept;
      world.keys.set(kept.key.key, { hash: kept.key.hash, status, answer: kept.answerOf(accepted) });
    }
    world.balance -= drafts.length * PRICE;
    world.batches.push(drafts.length);
    world.payers.push(payer);
    for (const { text } of drafts) world.accepted.set(text, (world.accepted.get(text) ?? 0) + 1);
    world.after();
    return { accepted, rate: null };
  };

export const read = (line: Uint8Array): Read => {
  const text = Buffer.from(line).toString();
  if (text.startsWith("bad")) return { kind: "refused", code: "malformed_json", detail: "x", errors: [] };
  return { kind: "draft", draft: { phone: text, text } as Draft };
};
const write = (result: LineResult): string =>
  `${result.index} ${"message" in result ? result.message.id : result.refused.code}\n`;

export async function* linesOf(texts: readonly string[], error?: Error): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text));
  if (error !== undefined) throw error;
}

type Request = UploadRequest<Payer>;
export const PAYER = { customerId: 1 } as Payer;
export type Run = { results: string[]; error: unknown };
type RunOptions = Partial<Request> & { mostPieces?: number; acceptBatch?: AcceptBatch };
export async function run(
  world: World,
  lines: AsyncIterable<Uint8Array>,
  { mostPieces = Number.POSITIVE_INFINITY, acceptBatch = acceptIn(world), ...fields }: RunOptions = {},
): Promise<Run> {
  const find = ({ key }: KeyRef) => Promise.resolve(world.keys.get(key) ?? null);
  const optOuts = {
    hasNone: () => world.out.size === 0,
    refused: (_: number, drafts: readonly { phone: string }[]) =>
      Promise.resolve(new Set(drafts.flatMap(({ phone }, at) => (world.out.has(phone) ? [at] : [])))),
  };
  const sleep = (ms: number) => Promise.resolve(void (world.nowMs += ms));
  const deps = { now: () => world.nowMs, acceptBatch, optOuts, find, sleep };
  const request: Request = {
    payer: PAYER,
    payerNow: () => Promise.resolve(PAYER),
    lines,
    read,
    write,
    key: "k",
    traceparent: "",
    isGone: neverGone,
    isStopping: () => false,
    ...fields,
  };
  const results: string[] = [];
  let pieces = 0;
  try {
    for await (const text of upload(deps, request)) {
      results.push(...text.split("\n").slice(0, -1));
      if (++pieces >= mostPieces) break;
    }
    return { results, error: null };
  } catch (error) {
    return { results, error };
  }
}
export const codeOf = ({ error }: Run): string | null =>
  error instanceof SluiceError ? error.code : String(error);
export const texts = (count: number, first = 0) => Array.from({ length: count }, (_, n) => `t${first + n}`);
export const indexes = ({ results }: Run) => results.map((line) => Number(line.split(" ")[0]));
export const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);
