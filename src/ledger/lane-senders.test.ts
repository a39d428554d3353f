import { expect, test } from "bun:test";
import { laneWaitOf } from "./lane-senders.ts";

const said = (waitMs: number, ageMs: number) => ({ waitMs, ageMs });

test("a lane is as slow as its slowest sender, or its outbox", () => {
  expect(laneWaitOf([said(120, 300), said(900, 10)], 0)).toBe(900);
  expect(laneWaitOf([said(120, 300)], 4_000)).toBe(4_000);
});

test("before the first sender has said anything, nothing is known", () => {
  expect(laneWaitOf([], 0)).toBe(0);
  expect(laneWaitOf([], 70)).toBe(70);
});

test("a sender that says nothing any more is as far behind as its row is old", () => {
  expect(laneWaitOf([said(100, 1_900)], 0)).toBe(100);
  expect(laneWaitOf([said(100, 9_000)], 0)).toBe(9_100);
  expect(laneWaitOf([said(100, 9_000), said(50, 200)], 0)).toBe(9_100);
});

test("after half a minute its partitions have another reader, if there is one; if not, messages still wait", () => {
  expect(laneWaitOf([said(100, 31_000), said(50, 200)], 0)).toBe(50);
  expect(laneWaitOf([said(100, 300_000), said(50, 90_000)], 0)).toBe(90_000);
});
