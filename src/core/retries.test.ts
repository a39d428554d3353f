// When messages are tried again: the delays, their jitter, and the end of a message's time.

import { expect, test } from "bun:test";
import {
  MESSAGE_ATTEMPTS_MAX,
  RETRY_DELAY_MAX_MS,
  SUBMIT_TIMEOUT_MS,
  VALID_FOR_MIN_MS,
  VALID_FOR_MS,
} from "./limits.ts";
import { LANES, type Lane } from "./message.ts";
import { retryDelayMaxMs, retryInMs, submitByOf, validUntilOf } from "./retries.ts";

const AT_MS = 1_000_000;
const message = (attempt: number, fields: { validUntilMs?: number; guaranteedByMs?: number } = {}) => ({
  lane: (fields.guaranteedByMs === undefined ? "normal" : "express") as Lane,
  attempt,
  createdAtMs: AT_MS,
  validUntilMs: null,
  guaranteedByMs: null,
  ...fields,
});
/** The times at which a message that is always refused at once is tried, after its acceptance. */
function attemptsOf(fields: Parameters<typeof message>[1], random: () => number): number[] {
  let nowMs = AT_MS;
  const at = [0];
  for (let attempt = 0; attempt < 10_000; attempt++) {
    const inMs = retryInMs(message(attempt, fields), nowMs, random());
    if (inMs === null) return at;
    nowMs += inMs;
    at.push(nowMs - AT_MS);
  }
  throw new Error("it never ends");
}

test("a submit of express begins early enough to time out before its promise; a normal one has no such moment", () => {
  expect(submitByOf({ guaranteedByMs: 10_000 })).toBe(10_000 - SUBMIT_TIMEOUT_MS);
  expect(submitByOf({ guaranteedByMs: null })).toBe(Number.POSITIVE_INFINITY);
});

test("a message is valid for 72 hours, unless it says how long", () => {
  expect(validUntilOf(message(0))).toBe(AT_MS + VALID_FOR_MS);
  expect(validUntilOf(message(0, { validUntilMs: AT_MS + 1 }))).toBe(AT_MS + 1);
});

test("delays double up to a quarter of an hour, and in the express lane from a third of a second to ten", () => {
  const delays = (lane: Lane) => [0, 1, 2, 3, 6, 10, 11, 999].map((n) => retryDelayMaxMs(lane, n));
  expect(delays("normal")).toEqual([0, 1_000, 2_000, 4_000, 32_000, 512_000, 900_000, 900_000]);
  expect(delays("express")).toEqual([0, 300, 600, 1_200, 9_600, 10_000, 10_000, 10_000]);
  for (const lane of LANES) expect(Math.max(...delays(lane))).toBeLessThanOrEqual(RETRY_DELAY_MAX_MS);
});

test("jitter takes up to half of a delay, and never adds to it", () => {
  expect(retryInMs(message(3), AT_MS, 0)).toBe(4_000);
  expect(retryInMs(message(3), AT_MS, 0.5)).toBe(6_000);
  expect(retryInMs(message(3), AT_MS, 1)).toBe(8_000);
});

test("a message that is always refused is tried some hundred times in 72 hours, and never after them", () => {
  for (const random of [() => 0, () => 1, Math.random]) {
    const at = attemptsOf({}, random);
    expect(at.length).toBeGreaterThan(250);
    expect(at.length).toBeLessThan(MESSAGE_ATTEMPTS_MAX);
    expect(at.at(-1)).toBeLessThan(VALID_FOR_MS);
  }
});

test("the last attempt is made shortly before the end, not a whole delay before it", () => {
  const at = attemptsOf({ validUntilMs: AT_MS + VALID_FOR_MIN_MS }, () => 1);
  expect(at).toEqual([0, 1_000, 3_000, 7_000, 15_000, 31_000, VALID_FOR_MIN_MS - 10_000]);
});

test("an attempt that just leaves its room before the end is made, and the last one only after a while", () => {
  const inMs = (attempt: number, validForMs: number) =>
    retryInMs(message(attempt, { validUntilMs: AT_MS + validForMs }), AT_MS, 1);
  expect([inMs(0, 11_000), inMs(0, 10_999)]).toEqual([1_000, null]);
  expect([inMs(9, 20_001), inMs(9, 20_000)]).toEqual([10_001, null]);
});

test("express is tried until its promise, however long it is valid", () => {
  const at = attemptsOf({ guaranteedByMs: AT_MS + 5_000, validUntilMs: AT_MS + VALID_FOR_MS }, () => 1);
  expect(at).toEqual([0, 300, 900, 2_000]);
  expect(retryInMs(message(0, { guaranteedByMs: AT_MS }), AT_MS, 0)).toBeNull();
});
