// Accepting several messages together, without any door: one reservation, one commit, one answer. Queue,
// credit and rate limit are scripted.

import { describe, expect, test } from "bun:test";
import { CallerGoneError, neverGone } from "../core/caller.ts";
import type { Draft } from "../core/draft.ts";
import { insufficientBalance, SluiceError } from "../core/errors.ts";
import { createIdFactory } from "../core/id.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { type KeyClaim, KeyTakenError, type RequestKey } from "../ledger/idempotency.ts";
import { type AcceptedBatch, createAcceptBatch } from "./accept-batch.ts";
import type { AcceptDeps, Payer } from "./accept-message.ts";
import { promiseOf } from "./express-promise.ts";
import type { Lease, Reservation } from "./lease-table.ts";
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
const draft = (parts = 1, lane: Draft["lane"] = "normal"): Draft => ({
  phone: "+989121234567",
  text: "hello",
  lane,
  from: null,
  reference: null,
  callbackUrl: null,
  encoding: "gsm7",
  parts,
  validForMs: null,
});
const rate = [{ unit: "parts", size: 100, fillS: 60, left: 98, fullInS: 2 }] as const;
const terms = { usualMs: 5_000, largestMs: 30_000 };

/** `balances`: what the wallet holds at each reservation in turn; more than enough afterwards. */
function setUp({
  balances = [] as number[],
  fails = {} as { reserve?: Error; store?: Error },
  waitMs = 0,
  isOut = null as boolean | null,
  limits = undefined as AcceptDeps["limits"] | undefined,
} = {}) {
  const done: string[] = [];
  const stored: { records: LaneRecord[]; cost: number; key: KeyClaim | null }[] = [];
  const accept = createAcceptBatch(
    {
      id: createIdFactory({ now: () => NOW_MS }),
      optOuts: {
        hasNone: () => isOut === null,
        refused: () => Promise.resolve(new Set(isOut === true ? [0] : [])),
      },
      promise: () => promiseOf(waitMs, terms),
      saturated: { refused: () => void done.push("refused"), fallback: () => void done.push("fallback") },
      limits: limits ?? {
        take: (_, parts) => (done.push(`take ${parts}`), rate),
        giveBack: (_, parts) => void done.push(`give back ${parts}`),
      },
      book: {
        reserve(_: number, cost: number, __: unknown, unit: number): Reservation {
          done.push(`reserve ${cost} of ${unit}`);
          if (fails.reserve !== undefined) throw fails.reserve;
          const balance = balances.shift();
          if (balance !== undefined && balance < cost) throw insufficientBalance(cost, balance);
          return { lease: {} as Lease, cost, balanceAfter: 4_000 };
        },
      } as never,
      commits: {
        admit: (_: number, messages: number) => void done.push(`admit ${messages}`),
        leave: (_: number, messages: number) => void done.push(`leave ${messages}`),
        store(
          record: LaneRecord,
          reservation: Reservation | null,
          key: KeyClaim | null,
          _: unknown,
          others: LaneRecord[],
        ) {
          done.push("store");
          stored.push({ records: [record, ...others], cost: reservation?.cost ?? 0, key });
          return fails.store === undefined ? Promise.resolve() : Promise.reject(fails.store);
        },
      } as never,
    },
    terms,
  );
  type Request = { by?: Payer; partial?: boolean; key?: RequestKey | null; fallback?: "normal" | null };
  const send = (
    drafts: Draft[],
    { by = payer, partial = false, key = null, fallback = null }: Request = {},
  ) => {
    const answerOf = (accepted: AcceptedBatch) => `told ${accepted.messages.length}`;
    const kept = key === null ? null : { key, status: 202, answerOf };
    return accept({ payer: by, drafts, fallback, partial, kept, traceparent: "t", isGone: neverGone });
  };
  return { done, stored, send };
}
const codeOf = (error: { code?: string; name: string }) => error.code ?? error.name;

test("all messages have one reservation of their cost and one commit, in order", async () => {
  const { send, stored, done } = setUp();
  const { accepted, rate: told } = await send([draft(1), draft(2), draft(1)]);
  expect(done).toEqual(["take 4", "admit 3", "reserve 2000 of 667", "store"]);
  const [{ records, cost }] = stored as [(typeof stored)[0]];
  expect(records.map((r) => [r.parts, r.cost])).toEqual([
    [1, 500],
    [2, 1_000],
    [1, 500],
  ]);
  const ids = records.map(({ id }) => id);
  expect([accepted.id, ...ids]).toEqual([accepted.id, ...ids].toSorted());
  expect(new Set([accepted.id, ...ids]).size).toBe(4);
  expect(accepted).toMatchObject({
    lane: "normal",
    cost: 2_000,
    balanceAfter: 4_000,
    guaranteedByMs: null,
    messages: records.map(({ id }) => ({ id })),
  });
  expect([cost, told]).toEqual([2_000, rate]);
});

test("of mode async all are taken without credit, and nobody says what is left", async () => {
  const { send, stored, done } = setUp({ fails: { reserve: new Error("no credit") } });
  const by: Payer = { ...payer, isAsync: true };
  const { accepted } = await send([draft(1), draft(2)], { by, partial: true });
  expect(accepted).toMatchObject({ cost: 1_500, balanceAfter: null });
  expect(stored[0]?.records.map(({ unreserved }) => unreserved)).toEqual([true, true]);
  expect(done).toEqual(["take 3", "admit 2", "store"]);
});

test("a batch of one is a batch", async () => {
  const { send, stored } = setUp();
  expect((await send([draft()])).accepted.messages).toHaveLength(1);
  expect(stored[0]?.records).toHaveLength(1);
});

test("a key is stored once, for the first message, with the answer to all of them", async () => {
  const { send, stored } = setUp();
  const key: RequestKey = { customerId: 7, operation: "batch", key: "k", hash: Buffer.from("h") };
  const { accepted } = await send([draft(), draft()], { key });
  expect(stored[0]?.key).toEqual({
    ...key,
    owner: accepted.messages[0]?.id as string,
    status: 202,
    answer: "told 2",
  });
});

describe("express", () => {
  test("says by when operators will have taken all of them, which is the latest of theirs", async () => {
    const { send, stored } = setUp();
    const { accepted } = await send([draft(1, "express"), draft(1, "express")]);
    const times = stored[0]?.records.map(({ guaranteedByMs }) => guaranteedByMs) as number[];
    expect(accepted).toMatchObject({ lane: "express", cost: 1_400, guaranteedByMs: Math.max(...times) });
    expect(times).toEqual([NOW_MS + 5_000, NOW_MS + 5_000]);
  });

  test("to which nothing can be promised is refused as a whole, or goes as normal as a whole", async () => {
    const refused = setUp({ waitMs: 20_000 });
    expect(await refused.send([draft(1, "express")]).catch(codeOf)).toBe("lane_saturated");
    expect([refused.stored, refused.done]).toEqual([[], ["refused"]]);
    const { send, stored, done } = setUp({ waitMs: 20_000 });
    await send([draft(1, "express"), draft(1, "express")], { fallback: "normal" });
    expect(stored[0]?.records.map(({ lane, cost }) => [lane, cost])).toEqual([
      ["normal", 500],
      ["normal", 500],
    ]);
    expect(done[0]).toBe("fallback");
  });
});

describe("a wallet that can't pay for all", () => {
  test("pays for none; their places are freed, and they don't count against the rate", async () => {
    const { send, stored, done } = setUp({ balances: [1_400] });
    expect(await send([draft(), draft(), draft()]).catch(codeOf)).toBe("insufficient_balance");
    expect(stored).toEqual([]);
    expect(done).toEqual(["take 3", "admit 3", "reserve 1500 of 500", "leave 3", "give back 3"]);
  });

  test("is told so however often, and the same batch may be repeated with `partial`, whatever the limit", async () => {
    const balances = [900, 900, 900, 900];
    const { send } = setUp({ balances, limits: createRateLimits() });
    const by = { ...payer, rateLimit: 10 };
    const drafts = Array.from({ length: 10 }, () => draft());
    for (let n = 0; n < 3; n++) expect(await send(drafts, { by }).catch(codeOf)).toBe("insufficient_balance");
    const { accepted } = await send(drafts, { by, partial: true });
    expect(accepted.messages).toHaveLength(1);
    expect((await send(drafts.slice(1), { by })).accepted.messages).toHaveLength(9);
    expect(await send(drafts, { by }).catch(codeOf)).toBe("rate_limited");
  });

  test("pays for the first ones if the caller wants that; the others free their places and their parts", async () => {
    const { send, stored, done } = setUp({ balances: [1_900] });
    const { accepted } = await send([draft(1), draft(2), draft(3), draft(1)], { partial: true });
    expect(done).toEqual([
      "take 7",
      "admit 4",
      "reserve 3500 of 875",
      "leave 2",
      "reserve 1500 of 750",
      "give back 4",
      "store",
    ]);
    expect(stored[0]?.records.map(({ parts }) => parts)).toEqual([1, 2]);
    expect([accepted.messages.length, accepted.cost, stored[0]?.cost]).toEqual([2, 1_500, 1_500]);
  });

  test("is asked again with what it still pays for, when others spend at the same time", async () => {
    const { send, done } = setUp({ balances: [1_999, 1_000, 999] });
    const { accepted } = await send([draft(), draft(), draft(), draft()], { partial: true });
    expect(accepted.messages).toHaveLength(1);
    expect(done.filter((what) => what.startsWith("reserve"))).toEqual([
      "reserve 2000 of 500",
      "reserve 1500 of 500",
      "reserve 1000 of 500",
      "reserve 500 of 500",
    ]);
    expect(done.filter((what) => what.startsWith("leave"))).toEqual(["leave 1", "leave 1", "leave 1"]);
  });

  test("can't pay for the first: 402 with its cost, and nothing is taken, also with `partial`", async () => {
    const { send, done, stored } = setUp({ balances: [499] });
    const error = (await send([draft(), draft()], { partial: true }).catch((e: unknown) => e)) as SluiceError;
    expect([error.code, error.extra]).toEqual(["insufficient_balance", { required: 500, balance: 499 }]);
    expect(done.slice(-2)).toEqual(["leave 2", "give back 2"]);
    expect(stored).toEqual([]);
  });

  test("that shrinks again and again is a 503 in the end, and nothing is taken", async () => {
    const { send, done, stored } = setUp({ balances: Array.from({ length: 20 }, (_, n) => 500 * (19 - n)) });
    const drafts = Array.from({ length: 20 }, () => draft());
    expect(await send(drafts, { partial: true }).catch(codeOf)).toBe("credit_elsewhere");
    expect(stored).toEqual([]);
    const left = done.flatMap((what) => (what.startsWith("leave") ? [Number(what.slice(6))] : []));
    expect(left.reduce((sum, n) => sum + n, 0)).toBe(20);
  });

  test("another error is not mistaken for that", async () => {
    const { send, done } = setUp({ fails: { reserve: new SluiceError("credit_elsewhere") } });
    expect(await send([draft(), draft()], { partial: true }).catch(codeOf)).toBe("credit_elsewhere");
    expect(done).toEqual(["take 2", "admit 2", "reserve 1000 of 500", "leave 2", "give back 2"]);
  });
});

test("what is certainly not stored does not count against the rate; what may be stored does", async () => {
  const refusals = [new CallerGoneError(), new KeyTakenError(["other"]), new SluiceError("overloaded")];
  for (const refusal of refusals) {
    for (const at of ["reserve", "store"] as const) {
      const { send, done } = setUp({ fails: { [at]: refusal } });
      expect(await send([draft(1), draft(2)]).catch((error: unknown) => error)).toBe(refusal);
      expect(done.at(-1)).toBe("give back 3");
    }
    const { send, done } = setUp({ balances: [500], fails: { store: refusal } });
    await send([draft(1), draft(2)], { partial: true }).catch(() => undefined);
    expect(done.filter((what) => what.startsWith("give back"))).toEqual(["give back 2", "give back 1"]);
  }
  for (const doubt of [new SluiceError("outcome_unknown"), new Error("a bug")]) {
    const { send, done } = setUp({ fails: { store: doubt } });
    expect(await send([draft(1), draft(2)]).catch((error: unknown) => error)).toBe(doubt);
    expect(done.at(-1)).toBe("store");
  }
});

test("messages of a batch may be for several times; the batch has one only if it is that of all", async () => {
  const { send, stored } = setUp();
  const [sooner, later] = [NOW_MS + 60_000, NOW_MS + 120_000];
  const times = async (...of: (number | undefined)[]) => {
    const drafts = of.map((sendAtMs) => (sendAtMs === undefined ? draft() : { ...draft(), sendAtMs }));
    const { accepted } = await send(drafts);
    return [accepted.sendAtMs, ...accepted.messages.map(({ sendAtMs }) => sendAtMs)];
  };
  expect(await times(sooner, sooner)).toEqual([sooner, sooner, sooner]);
  expect(await times(sooner, undefined)).toEqual([undefined, sooner, undefined]);
  expect(await times(undefined, later)).toEqual([undefined, undefined, later]);
  expect(await times(sooner, later)).toEqual([undefined, sooner, later]);
  expect(stored).toHaveLength(4);
});

test("none of a batch is taken if one of its phones opted out", async () => {
  const { send, stored, done } = setUp({ isOut: true });
  expect(await send([draft(), draft()]).then(() => "taken", codeOf)).toBe("validation_failed");
  expect([stored, done]).toEqual([[], []]);
});
