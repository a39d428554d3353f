import { expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../test/support/seed.ts";
import { EXPRESS_PROMISE_MOST_MS, NOT_TAKEN_WAIT_MS, SUBMIT_TIMEOUT_MS } from "../core/limits.ts";
import { promiseOf, retryAfterS } from "./express-promise.ts";

const terms = { usualMs: 5_000, largestMs: 30_000 };

test("while the lane is as fast as usual, the usual time is promised", () => {
  for (const waitMs of [0, 300, 1_250])
    expect(promiseOf(waitMs, terms)).toEqual({ kind: "promised", withinMs: 5_000 });
});

test("a slower lane gets a longer promise, up to the largest; then nothing is promised", () => {
  expect(promiseOf(1_251, terms)).toEqual({ kind: "promised", withinMs: 6_000 });
  expect(promiseOf(4_000, terms)).toEqual({ kind: "promised", withinMs: 11_000 });
  expect(promiseOf(13_750, terms)).toEqual({ kind: "promised", withinMs: 30_000 });
  expect(promiseOf(13_751, terms)).toEqual({ kind: "saturated", neededMs: 31_000 });
});

test("a promise is never shorter than twice the wait and a submit's time-out, nor than the usual one", () => {
  holds("promises", fc.nat({ max: 100_000 }), (waitMs) => {
    const promised = promiseOf(waitMs, terms);
    const needed = 2 * waitMs + SUBMIT_TIMEOUT_MS;
    if (promised.kind === "saturated") expect(promised.neededMs).toBeGreaterThan(terms.largestMs);
    else expect(promised.withinMs).toBeGreaterThanOrEqual(Math.max(needed, terms.usualMs));
    if (promised.kind === "promised") expect(promised.withinMs).toBeLessThanOrEqual(terms.largestMs);
  });
});

test("while operators take nothing, nothing is promised, however long a promise may be", () => {
  const longest = { usualMs: EXPRESS_PROMISE_MOST_MS, largestMs: EXPRESS_PROMISE_MOST_MS };
  expect(promiseOf(NOT_TAKEN_WAIT_MS, longest).kind).toBe("saturated");
});

test("the time to try again is when the lane may have caught up, half a minute at most", () => {
  expect([31_000, 40_000, 600_000].map((neededMs) => retryAfterS(neededMs, terms))).toEqual([1, 5, 30]);
});
