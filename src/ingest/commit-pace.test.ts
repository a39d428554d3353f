import { expect, test } from "bun:test";
import { COMMIT_ROWS_MAX } from "../core/limits.ts";
import { createCommitPace } from "./commit-pace.ts";

function setUp() {
  let nowMs = 1_000;
  const pace = createCommitPace(() => nowMs);
  const commit = (rows: number, tookMs: number) => {
    const ended = pace.begin(rows);
    nowMs += tookMs;
    ended();
  };
  return { pace, commit, pass: (ms: number) => void (nowMs += ms) };
}

test("the first message doesn't wait, nor one after a commit of one", () => {
  const { pace, commit } = setUp();
  expect(pace.waitMs(1)).toBe(0);
  commit(1, 2);
  expect(pace.waitMs(1)).toBe(0);
});

test("after a commit of several the next begins 2.5 ms after it began, while commits are quick", () => {
  const { pace, commit, pass } = setUp();
  commit(3, 1);
  expect(pace.waitMs(1)).toBe(1.5);
  pass(1.5);
  expect(pace.waitMs(1)).toBe(0);
});

test("a busy machine gets fewer commits, and no message waits longer than 15 ms for that", () => {
  const { pace, commit, pass } = setUp();
  for (const [tookMs, paceMs] of [
    [3.5, 2.5],
    [4, 3],
    [5, 6],
    [7, 12],
  ] as const) {
    for (let i = 0; i < 100; i++) commit(3, tookMs);
    pass(100);
    pace.begin(3);
    expect(pace.waitMs(1)).toBeCloseTo(paceMs, 1);
  }
  for (let i = 0; i < 100; i++) commit(3, 60);
  pace.begin(3);
  expect(pace.waitMs(1)).toBe(15);
});

test("it waits for no more messages than the largest of the last eight commits held, nor than half a batch", () => {
  const { pace, commit } = setUp();
  commit(5, 0);
  for (let i = 0; i < 7; i++) commit(3, 0);
  expect(pace.waitMs(4)).toBe(2.5);
  expect(pace.waitMs(5)).toBe(0);
  commit(3, 0);
  expect(pace.waitMs(3)).toBe(0);
  commit(COMMIT_ROWS_MAX, 0);
  expect(pace.waitMs(COMMIT_ROWS_MAX / 2 - 1)).toBe(2.5);
  expect(pace.waitMs(COMMIT_ROWS_MAX / 2)).toBe(0);
});
