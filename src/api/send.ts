// POST /v1/sms/send: check, price, take the credit, store in the group commit, and only then say 202. The hot
// path.

import { CallerGoneError, type IsGone } from "../core/caller.ts";
import { SluiceError } from "../core/errors.ts";
import type { IdFactory } from "../core/id.ts";
import { ulidTimeMs } from "../core/id.ts";
import { TEXT_PARTS_MAX } from "../core/limits.ts";
import { cost as costOf } from "../core/money.ts";
import { countParts, labelProblem, senderProblem, textProblem } from "../core/parts.ts";
import { parsePhone } from "../core/phone.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { KeyOwner } from "../customers/api-keys.ts";
import type { RequestKey } from "../ledger/idempotency.ts";
import type { GroupCommit } from "../ingest/group-commit.ts";
import { type Call, parseJson, type Route, readBody } from "./http.ts";
import type { Idempotency, Reply } from "../ingest/idempotency.ts";
import type { LeaseBook } from "../ingest/lease-book.ts";
import type { Reservation } from "../ingest/lease-table.ts";
import type { RateLimits } from "../ingest/rate-limits.ts";
import { checkerOf, SendBody } from "./schemas.ts";

export type SendDeps = {
  book: LeaseBook;
  commits: GroupCommit;
  limits: RateLimits;
  keys: Idempotency;
  id: IdFactory;
};

const NOT_YET = ["send_at", "valid_for", "callback_url"];
const check = checkerOf<SendBody>(SendBody, NOT_YET);

export function createSend(deps: SendDeps, options: { expressPromiseMs: number }): Route {
  const handle = async (call: Call): Promise<Reply> => {
    const body = await readBody(call.request);
    const {
      isGone,
      owner: { customerId },
    } = call;
    const header = call.request.headers.get("idempotency-key");
    return deps.keys.once({ customerId, operation: "send", header, body, isGone }, (key) =>
      accept(deps, options, call, body, key),
    );
  };
  return { method: "POST", path: "/v1/sms/send", scope: "send", handle };
}

async function accept(
  { book, commits, limits, id }: SendDeps,
  { expressPromiseMs }: { expressPromiseMs: number },
  { owner, traceparent, isGone }: Call,
  body: Uint8Array,
  key: RequestKey | null,
): Promise<Reply> {
  const record = toRecord(check(parseJson(body)), owner, id, traceparent, expressPromiseMs);
  const headers = limits.take(owner, record.parts);
  commits.admit(owner.customerId);
  try {
    const reservation = await reserve(book, commits, record, isGone);
    const answer = answerOf(record, owner, reservation.balanceAfter);
    const claim = key === null ? null : { ...key, owner: record.id, status: 202, answer };
    await commits.store(record, reservation, claim, isGone);
    return { status: 202, body: answer, ...(headers === null ? {} : { headers }) };
  } catch (error) {
    if (error instanceof CallerGoneError) limits.giveBack(owner, record.parts);
    throw error;
  }
}

function reserve(
  book: LeaseBook,
  commits: GroupCommit,
  { customerId, cost }: LaneRecord,
  isGone: IsGone,
): Reservation | Promise<Reservation> {
  const left = (error: unknown): never => {
    commits.leave(customerId);
    throw error;
  };
  try {
    const taken = book.reserve(customerId, cost, isGone);
    return taken instanceof Promise ? taken.catch(left) : taken;
  } catch (error) {
    return left(error);
  }
}

function toRecord(
  body: SendBody,
  owner: KeyOwner,
  id: IdFactory,
  traceparent: string,
  expressPromiseMs: number,
): LaneRecord {
  const phone = parsePhone(body.phone, owner.region);
  const problem = textProblem(body.text);
  const size = problem === null ? countParts(body.text) : null;
  const from = body.from === undefined ? null : senderProblem(body.from);
  const reference = body.reference === undefined ? null : labelProblem(body.reference);
  if (
    !("e164" in phone) ||
    size === null ||
    size.parts > TEXT_PARTS_MAX ||
    from !== null ||
    reference !== null
  ) {
    const tooLong = size !== null && size.parts > TEXT_PARTS_MAX;
    const why = tooLong ? `needs ${size.parts} parts; at most ${TEXT_PARTS_MAX} are allowed` : problem;
    const errors = [
      { field: "phone", reason: "e164" in phone ? null : phone.reason },
      { field: "text", reason: why },
      { field: "from", reason: from },
      { field: "reference", reason: reference },
    ].filter((e): e is { field: string; reason: string } => e.reason !== null);
    throw new SluiceError("validation_failed", { errors });
  }
  const express = body.type === "express";
  const messageId = id();
  const createdAtMs = ulidTimeMs(messageId);
  return {
    id: messageId,
    customerId: owner.customerId,
    phone: phone.e164,
    text: body.text,
    from: body.from ?? null,
    reference: body.reference ?? null,
    lane: body.type,
    encoding: size.encoding,
    parts: size.parts,
    cost: costOf(size.parts, express ? owner.priceExpress : owner.priceNormal),
    createdAtMs,
    attempt: 0,
    guaranteedByMs: express ? createdAtMs + expressPromiseMs : null,
    traceparent,
  };
}

// By hand: nothing in it can need escaping, and it runs for every message.
function answerOf(r: LaneRecord, owner: KeyOwner, balanceAfter: number): string {
  const promised =
    r.guaranteedByMs === null ? "" : `,"guaranteed_by":"${new Date(r.guaranteedByMs).toISOString()}"`;
  return (
    `{"enqueued":true,"id":"${r.id}","customer_id":"${r.customerId}","type":"${r.lane}",` +
    `"encoding":"${r.encoding}","parts":${r.parts},"cost":${r.cost},` +
    `"currency":"${owner.currency}","balance_after":${balanceAfter},` +
    `"status":"queued"${promised}}`
  );
}
