// Accepting a message without any door: what is priced, reserved and stored, what is stored under its key,
// and that a refusal leaves nothing behind. Queue, credit and rate limit are scripted.

import { expect, test } from "bun:test";
import { CallerGoneError, neverGone } from "../core/caller.ts";
import type { Draft } from "../core/draft.ts";
import { insufficientBalance, SluiceError } from "../core/errors.ts";
import { createIdFactory } from "../core/id.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { OPTED_OUT_REASON } from "../core/opt-out.ts";
import { type KeyClaim, KeyTakenError, type RequestKey } from "../ledger/idempotency.ts";
import type { NewOtp } from "../ledger/otps.ts";
import {
  type AcceptDeps,
  type Accepted,
  createAcceptMessage,
  type OtpOfMessage,
  type Payer,
} from "./accept-message.ts";
import { promiseOf } from "./express-promise.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { Lease, Paid } from "./lease-table.ts";
import { createRateLimits } from "./rate-limits.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const payer = {
  customerId: 7,
  priceNormal: 500,
  priceExpress: 700,
  currency: "IRR",
  rateLimit: 100,
  resendsUnknown: false,
};
const contents = {
  phone: "+989121234567",
  text: "hello",
  lane: "normal",
  from: null,
  reference: "r",
  callbackUrl: null,
  encoding: "gsm7",
  parts: 2,
} as const;
const draft: Draft = { ...contents, validForMs: null };
const rate = [{ unit: "parts", size: 100, fillS: 60, left: 98, fullInS: 2 }] as const;

const terms = { usualMs: 5_000, largestMs: 30_000 };

/** `isOut`: whether the phone opted out; null: none of the customer's did. */
function setUp(
  fails: { reserve?: Error; store?: Error } = {},
  waitMs = 0,
  isOut: boolean | null = null,
  limits?: AcceptDeps["limits"],
) {
  const done: string[] = [];
  const stored: { record: LaneRecord; key: KeyClaim | null; otp: NewOtp | undefined }[] = [];
  const accept = createAcceptMessage(
    {
      id: createIdFactory({ now: () => NOW_MS }),
      optOuts: {
        hasNone: () => isOut === null,
        refused: () => Promise.resolve(new Set(isOut === true ? [0] : [])),
      },
      promise: () => promiseOf(waitMs, terms),
      saturated: {
        refused: () => void done.push("refused"),
        fallback: () => void done.push("fallback"),
      },
      limits: limits ?? {
        take: (_, parts) => (done.push(`take ${parts}`), rate),
        giveBack: (_, parts) => void done.push(`give back ${parts}`),
      },
      book: {
        reserveOrStore(_: number, cost: number): Paid {
          done.push(`reserve ${cost}`);
          if (fails.reserve !== undefined) throw fails.reserve;
          return { lease: {} as Lease, cost, balanceAfter: 4_000 };
        },
      } as never,
      commits: {
        admit: () => void done.push("admit"),
        leave: () => void done.push("leave"),
        store(...[record, , key, , , otp]: Parameters<GroupCommit["store"]>) {
          done.push("store");
          stored.push({ record, key, otp });
          return fails.store === undefined ? Promise.resolve() : Promise.reject(fails.store);
        },
      } as never,
    },
    terms,
  );
  type Request = { by?: Payer; fallback?: "normal" | null; otp?: OtpOfMessage; promiseMaxMs?: number };
  const send = (
    fields: Partial<Draft> = {},
    key: RequestKey | null = null,
    { by = payer, fallback = null, ...more }: Request = {},
  ) => {
    const answerOf = (accepted: Accepted) => `told ${accepted.id}`;
    const kept = key === null ? null : { key, status: 202, answerOf };
    const wanted = { ...draft, ...fields };
    return accept({ payer: by, draft: wanted, fallback, kept, traceparent: "t", isGone: neverGone, ...more });
  };
  return { done, stored, send };
}

test("a draft is priced by its lane, reserved and stored; the result has all that a door may answer", async () => {
  const { send, stored, done } = setUp();
  const { accepted, rate: told } = await send();
  const [{ record }] = stored as [(typeof stored)[0]];
  expect(accepted).toEqual({
    id: record.id,
    customerId: 7,
    lane: "normal",
    encoding: "gsm7",
    parts: 2,
    cost: 1_000,
    currency: "IRR",
    balanceAfter: 4_000,
    status: "queued",
    guaranteedByMs: null,
  });
  const { callbackUrl, ...asDrafted } = contents;
  expect(callbackUrl).toBeNull();
  const times = { createdAtMs: NOW_MS, validUntilMs: null };
  expect(record).toMatchObject({ ...asDrafted, ...times, cost: 1_000, attempt: 0, traceparent: "t" });
  expect([told, done]).toEqual([rate, ["take 2", "admit", "reserve 1000", "store"]]);
});

test("mode async asks for a place and no credit: the message says so, and nobody what is left", async () => {
  const { send, stored, done } = setUp({ reserve: new Error("no credit") });
  const { accepted } = await send({}, null, { by: { ...payer, isAsync: true } });
  expect(accepted).toMatchObject({ cost: 1_000, balanceAfter: null, status: "queued" });
  expect(stored.map(({ record }) => record.unreserved)).toEqual([true]);
  expect(done).toEqual(["take 2", "admit", "store"]);
});

test("a record carries what its customer wants to be told, and nothing for the others", async () => {
  const { send, stored } = setUp();
  const callbackUrl = "https://example.com/hook";
  await send();
  await send({}, null, { by: { ...payer, webhook: { statuses: 32, hasUrl: false } } });
  await send({}, null, { by: { ...payer, webhook: { statuses: 32, hasUrl: true } } });
  await send({ callbackUrl }, null, { by: { ...payer, webhook: { statuses: 32, hasUrl: true } } });
  expect(stored.map(({ record }) => record.callback)).toEqual([
    undefined,
    undefined,
    { url: null, statuses: 32 },
    { url: callbackUrl, statuses: 32 },
  ]);
});

test("a one-time code is stored together with its message, and the record has it sealed", async () => {
  const { send, stored } = setUp();
  const hash = Buffer.alloc(32, 1);
  await send({ lane: "express" }, null, { otp: { otpId: "o", hash, sealedCode: "sealed", ttlMs: 300_000 } });
  await send({ lane: "express" });
  const [one, other] = stored as [(typeof stored)[0], (typeof stored)[0]];
  expect(one.record.sealedCode).toBe("sealed");
  const { customerId, phone, id: messageId } = one.record;
  const expiresAtMs = NOW_MS + 300_000;
  expect(one.otp).toEqual({ otpId: "o", customerId, phone, messageId, hash, expiresAtMs });
  expect([other.otp, Object.hasOwn(other.record, "sealedCode")]).toEqual([undefined, false]);
});

test("express has its own price, and says by when an operator will have accepted it", async () => {
  const { accepted } = await setUp().send({ lane: "express" });
  expect(accepted).toMatchObject({ cost: 1_400, guaranteedByMs: NOW_MS + 5_000 });
});

test("express may be sent again when its answer is lost if its customer wants that; normal never is", async () => {
  for (const [lane, resendsUnknown, expected] of [
    ["express", true, true],
    ["express", false, undefined],
    ["normal", true, undefined],
  ] as const) {
    const { send, stored } = setUp();
    await send({ lane }, null, { by: { ...payer, resendsUnknown } });
    expect(stored[0]?.record.mayResend).toBe(expected);
  }
});

test("a message that says how long it is valid is valid for that long after its acceptance", async () => {
  const { send, stored } = setUp();
  await send({ validForMs: 60_000 });
  expect(stored[0]?.record.validUntilMs).toBe(NOW_MS + 60_000);
});

test("what is sent later is scheduled, and its validity and its promise count from then", async () => {
  const sendAtMs = NOW_MS + 3_600_000;
  // However long messages wait now: nobody knows how long they will then.
  const { send, stored } = setUp({}, 20_000);
  const { accepted } = await send({ lane: "express", validForMs: 60_000, sendAtMs });
  expect(accepted).toMatchObject({
    status: "scheduled",
    sendAtMs,
    guaranteedByMs: sendAtMs + 5_000,
    cost: 1_400,
  });
  expect(stored[0]?.record).toMatchObject({ sendAtMs, validUntilMs: sendAtMs + 60_000, createdAtMs: NOW_MS });
});

test("a slower express lane gets a later guaranteed_by", async () => {
  const { accepted } = await setUp({}, 4_000).send({ lane: "express" });
  expect(accepted).toMatchObject({ lane: "express", guaranteedByMs: NOW_MS + 11_000 });
});

test("a door may promise less than the lane could, never more, and to a normal message nothing", async () => {
  const promised = async (lane: "express" | "normal", waitMs: number, promiseMaxMs: number) =>
    (await setUp({}, waitMs).send({ lane }, null, { promiseMaxMs })).accepted.guaranteedByMs;
  expect(await promised("express", 0, 4_500)).toBe(NOW_MS + 4_500);
  expect(await promised("express", 4_000, 4_500)).toBe(NOW_MS + 4_500);
  expect(await promised("express", 0, 60_000)).toBe(NOW_MS + 5_000);
  expect(await promised("normal", 0, 4_500)).toBeNull();
});

test("express to which nothing can be promised is refused, with what could be; it costs and counts for nothing", async () => {
  const { send, stored, done } = setUp({}, 20_000);
  expect(send({ lane: "express" })).rejects.toMatchObject({
    code: "lane_saturated",
    status: 503,
    extra: { could_promise_s: 43, promise_max_s: 30 },
    retryAfterS: 7,
  });
  expect([stored, done]).toEqual([[], ["refused"]]);
});

test("with a fallback it is accepted as a normal message, at that price and without a promise", async () => {
  const { send, done } = setUp({}, 20_000);
  const { accepted } = await send({ lane: "express" }, null, { fallback: "normal" });
  expect(accepted).toMatchObject({ lane: "normal", cost: 1_000, guaranteedByMs: null });
  expect(done[0]).toBe("fallback");
});

test("a fallback changes nothing for express that can be promised, nor for a normal message", async () => {
  const express = await setUp().send({ lane: "express" }, null, { fallback: "normal" });
  expect(express.accepted).toMatchObject({ lane: "express", guaranteedByMs: NOW_MS + 5_000 });
  const normal = await setUp({}, 20_000).send({}, null, { fallback: "normal" });
  expect(normal.accepted).toMatchObject({ lane: "normal", guaranteedByMs: null });
});

test("a key is stored with the message, together with the door's answer", async () => {
  const { send, stored } = setUp();
  const key: RequestKey = { customerId: 7, operation: "send", key: "k", hash: Buffer.from("h") };
  const { accepted } = await send({}, key);
  expect(stored[0]?.key).toEqual({
    ...key,
    owner: accepted.id,
    status: 202,
    answer: `told ${accepted.id}`,
  });
});

test("without credit its place in the queue is freed, and nothing is stored", async () => {
  const { send, done } = setUp({ reserve: insufficientBalance(1_000, 3) });
  expect(send()).rejects.toMatchObject({ code: "insufficient_balance" });
  expect(done).toEqual(["take 2", "admit", "reserve 1000", "leave", "give back 2"]);
});

test("what is certainly not stored does not count against the rate; what may be stored does", async () => {
  const gone = new CallerGoneError();
  const refusals = [gone, new SluiceError("overloaded"), new SluiceError("unavailable")];
  for (const refusal of refusals)
    for (const at of ["reserve", "store"] as const) {
      const { send, done } = setUp({ [at]: refusal });
      expect(await send().catch((error: unknown) => error)).toBe(refusal);
      expect(done.at(-1)).toBe("give back 2");
    }
  const taken = setUp({ store: new KeyTakenError(["other"]) });
  await taken.send().catch(() => undefined);
  expect(taken.done.at(-1)).toBe("give back 2");
  for (const doubt of [new SluiceError("outcome_unknown"), new Error("a bug")]) {
    const { send, done } = setUp({ store: doubt });
    expect(await send().catch((error: unknown) => error)).toBe(doubt);
    expect(done.at(-1)).toBe("store");
  }
});

test("nothing is given back of what the limit itself refused", async () => {
  const limits = createRateLimits();
  const poor = setUp({ reserve: insufficientBalance(1_000, 3) }, 0, null, limits);
  const rich = setUp({}, 0, null, limits);
  const by = { ...payer, rateLimit: 10 };
  const sendCode = (of: typeof rich, parts: number) =>
    of.send({ parts }, null, { by }).then(
      () => "accepted",
      (error: SluiceError) => error.code,
    );
  for (let n = 0; n < 20; n++) expect(await sendCode(poor, 10)).toBe("insufficient_balance");
  expect(await sendCode(rich, 9)).toBe("accepted");
  for (let n = 0; n < 3; n++) expect(await sendCode(rich, 10)).toBe("rate_limited");
  expect(await sendCode(poor, 1)).toBe("insufficient_balance");
  expect(await sendCode(rich, 10)).toBe("rate_limited");
});

test("a phone that opted out is refused before anything is taken or reserved; another one is not", async () => {
  const { send, stored, done } = setUp({}, 0, true);
  const error = (await send().catch((thrown: unknown) => thrown)) as SluiceError;
  expect([error.code, error.errors]).toEqual([
    "validation_failed",
    [{ field: "phone", reason: OPTED_OUT_REASON }],
  ]);
  expect([stored, done]).toEqual([[], []]);
  const other = setUp({}, 0, false);
  await other.send();
  expect(other.stored).toHaveLength(1);
});
