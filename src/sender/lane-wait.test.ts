import { expect, test } from "bun:test";
import { createLaneWait } from "./lane-wait.ts";

function waitAt() {
  const clock = { ms: 50_000 };
  return { clock, wait: createLaneWait({ monotonicMs: () => clock.ms, now: () => 1_000_000 + clock.ms }) };
}

test("an idle lane has no wait; a busy one that of the slowest of a hundred", () => {
  const { wait } = waitAt();
  expect(wait.waitMs(null)).toBe(0);
  for (let n = 1; n <= 200; n++) wait.took(n);
  expect(wait.waitMs(null)).toBe(199);
});

test("one slow message in many says nothing about the lane", () => {
  const { wait } = waitAt();
  for (let n = 0; n < 199; n++) wait.took(80);
  wait.took(9_000);
  expect(wait.waitMs(null)).toBe(80);
});

test("what was taken more than five seconds ago is forgotten", () => {
  const { wait, clock } = waitAt();
  wait.took(4_000);
  clock.ms += 4_999;
  expect(wait.waitMs(null)).toBe(4_000);
  clock.ms += 1;
  expect(wait.waitMs(null)).toBe(0);
});

test("a message that still waits counts with its age, however fast the last ones were", () => {
  const { wait, clock } = waitAt();
  wait.took(100);
  expect(wait.waitMs(1_000_000 + clock.ms - 7_000)).toBe(7_000);
  expect(wait.waitMs(1_000_000 + clock.ms - 20)).toBe(100);
});
