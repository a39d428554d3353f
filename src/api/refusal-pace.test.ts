// How many refusals are answered at once, and what becomes of the others.

import { beforeEach, expect, test } from "bun:test";
import { createRefusalPace, LATE_MS, LEAST, MOST, PERIOD_MS, type RefusalPace } from "./refusal-pace.ts";

let nowMs = 0;
let due: (() => void)[] = [];
let pace: RefusalPace;
beforeEach(() => {
  nowMs = 1_000;
  due = [];
  pace = createRefusalPace({ monotonicMs: () => nowMs, after: (_, run) => void due.push(run) });
});
/** Ends the period, so late. */
const end = (lateMs = 0): void => {
  nowMs += PERIOD_MS + lateMs;
  for (const run of due.splice(0)) run();
};
/** How many of so many are refused at once. */
const ask = (requests: number): number => {
  let now = 0;
  for (let n = 0; n < requests; n++) if (pace() === null) now++;
  return now;
};
const start = 5 * LEAST;

test("a few are refused at once, and no timer runs without them", () => {
  for (let periods = 0; periods < 3; periods++) {
    expect(ask(start)).toBe(start);
    expect(due).toHaveLength(1);
    end();
    expect(due).toHaveLength(0);
  }
});

test("more wait for the next period, in their order, and those that come then wait behind them", async () => {
  ask(start);
  const order: number[] = [];
  for (let n = 0; n < 400; n++) void pace()?.then(() => order.push(n));
  end();
  await Promise.resolve();
  expect(order).toEqual(Array.from({ length: 150 }, (_, n) => n));
  expect(pace()).not.toBeNull();
  end();
  await Promise.resolve();
  expect(order).toHaveLength(150 + 225);
  end();
  await Promise.resolve();
  expect(order).toEqual(Array.from({ length: 400 }, (_, n) => n));
});

test("while timers are in time, more and more are refused at once, up to a bound", () => {
  for (let periods = 0; periods < 20; periods++) {
    ask(MOST);
    end(LATE_MS);
  }
  for (let periods = 0; periods < 20; periods++) end();
  expect(ask(2 * MOST)).toBe(MOST);
});

test("late timers halve them, down to a bound; what is not used up changes nothing", () => {
  ask(1);
  end(LATE_MS + 1);
  ask(1);
  end();
  expect(ask(1_000)).toBe(start / 2);
  for (let periods = 0; periods < 50; periods++) end(LATE_MS + 1);
  expect(ask(1_000)).toBe(LEAST);
});
