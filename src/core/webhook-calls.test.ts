// What a delivery's row remembers of its calls.

import { expect, test } from "bun:test";
import { callsOf, withCall } from "./webhook-calls.ts";
import { WEBHOOK_CALLS_KEPT_MAX, WEBHOOK_TIMEOUT_MS } from "./webhook-limits.ts";

test("calls are read as they were added, the last ones of many", () => {
  const call = (n: number) => ({ atMs: 1_790_000_000_000 + n, code: n % 2 === 0 ? 500 : null, tookMs: n });
  let text: string | null = null;
  for (let n = 0; n < WEBHOOK_CALLS_KEPT_MAX + 5; n++) text = withCall(text, call(n));
  const wanted = Array.from({ length: WEBHOOK_CALLS_KEPT_MAX }, (_, at) => call(at + 5));
  expect(callsOf(text)).toEqual(wanted);
});

test("they fit their column, and what is none is left out", () => {
  const longest = { atMs: 99_999_999_999_999, code: 599, tookMs: 10 * WEBHOOK_TIMEOUT_MS };
  let text: string | null = null;
  for (let n = 0; n < WEBHOOK_CALLS_KEPT_MAX; n++) text = withCall(text, longest);
  expect(text?.length).toBeLessThanOrEqual(2_000);
  expect(callsOf(null)).toEqual([]);
  expect(withCall("x' 17:200:3", { atMs: 18, code: 410, tookMs: 0.4 })).toBe("17:200:3 18:410:0");
  expect(callsOf("x 1:2 17:200:3.5 17:200:3")).toEqual([{ atMs: 17, code: 200, tookMs: 3 }]);
});
