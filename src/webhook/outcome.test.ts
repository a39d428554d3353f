// What answers mean, and when a delivery is tried again.

import { expect, test } from "bun:test";
import { WEBHOOK_RETRY_MS } from "../core/webhook-limits.ts";
import type { CallAnswer } from "./call.ts";
import { errorOf, outcomeOf, probeDelayMs, resultOf } from "./outcome.ts";

const answered = (code: number): CallAnswer => ({ kind: "answered", code });
const timedOut: CallAnswer = { kind: "failed", reason: "no answer within 5000 ms", timedOut: true };
const fresh = { eventId: "e", giveUpAtMs: 0, attempts: 0 };
const most = () => 1;

test("any 2xx acknowledges, 410 ends it, and everything else is tried again", () => {
  for (const code of [200, 201, 204, 299])
    expect(outcomeOf(fresh, answered(code), 1_000_000, most)).toMatchObject({ state: "delivered", code });
  expect(outcomeOf(fresh, answered(410), 1_000_000, most)).toMatchObject({ state: "failed", code: 410 });
  for (const code of [0, 101, 199, 300, 302, 400, 401, 404, 429, 500, 503])
    expect(outcomeOf(fresh, answered(code), 1_000_000, most)).toMatchObject({ state: "pending", code });
  expect(outcomeOf(fresh, timedOut, 1_000_000, most)).toMatchObject({ state: "pending", code: null });
  expect(errorOf(answered(302))).toBe("answered 302: redirects are not followed");
});

test("Jasmin's receivers acknowledge by their body, and are not called again after a 404", () => {
  const ack = (code: number, body: string): CallAnswer => ({ kind: "answered", code, body });
  const state = (answer: CallAnswer) => outcomeOf(fresh, answer, 1_000_000, most, "jasmin").state;
  expect(["ACK/Jasmin", " ACK/Jasmin\r\n"].map((body) => state(ack(200, body)))).toEqual([
    "delivered",
    "delivered",
  ]);
  for (const answer of [ack(200, ""), ack(200, "OK"), ack(500, "ACK/Jasmin"), answered(204), timedOut])
    expect(state(answer)).toBe("pending");
  expect(state(ack(404, "ACK/Jasmin"))).toBe("failed");
  expect(errorOf(ack(200, "OK"), "jasmin")).toBe("answered 200 without ACK/Jasmin");
  expect(outcomeOf(fresh, answered(404), 1_000_000, most, "kannel").state).toBe("pending");
});

test("every kind of failure has its own name in the metrics", () => {
  expect(
    [
      answered(204),
      answered(500),
      answered(410),
      timedOut,
      { kind: "failed", reason: "the connection was closed", timedOut: false } as const,
      { kind: "not-allowed", reason: "x" } as const,
    ].map((answer) => resultOf(answer)),
  ).toEqual(["acknowledged", "refused", "gone", "timed_out", "not_connected", "not_allowed"]);
});

test("the delay doubles from 5 s to 3 h, and a delivery gives up after 24 h with a last try at the end", () => {
  const delay = (attempts: number, leftMs = WEBHOOK_RETRY_MS) =>
    outcomeOf({ ...fresh, attempts }, timedOut, leftMs, most).delayMs;
  expect([0, 1, 2, 3].map((attempts) => delay(attempts))).toEqual([5_000, 10_000, 20_000, 40_000]);
  expect(delay(60)).toBe(3 * 3_600_000);
  let [leftMs, tries, last] = [WEBHOOK_RETRY_MS, 0, ""];
  for (; last !== "failed" && tries < 100; tries++) {
    const outcome = outcomeOf({ ...fresh, attempts: tries }, timedOut, leftMs, () => 0);
    leftMs -= outcome.delayMs;
    last = outcome.state;
  }
  expect(last).toBe("failed");
  expect(leftMs).toBe(0);
  expect(tries).toBeGreaterThan(15);
  expect(tries).toBeLessThan(40);
});

test("an endpoint that keeps failing is asked less and less often, at least every quarter of an hour", () => {
  const delays = [5, 6, 7, 8].map((failures) => probeDelayMs(failures, 5, most));
  expect(delays).toEqual([1_000, 1_000, 2_000, 4_000]);
  expect(probeDelayMs(1_000, 5, most)).toBe(15 * 60_000);
});
