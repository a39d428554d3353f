// Clocks that are wrong, jump and stand still, simulated by clocks of the test's own.

import { expect, test } from "bun:test";
import { createMysqlClock } from "./mysql-clock.ts";

const START_MS = 1_795_000_000_000;
const DAY_MS = 86_400_000;

function setUp({ aheadMs = 0 } = {}) {
  const clock = { wallMs: START_MS + aheadMs, monotonicMs: 5_000.25 };
  const clocks = { now: () => clock.wallMs, monotonicMs: () => clock.monotonicMs };
  const pass = (ms: number) => {
    clock.wallMs += ms;
    clock.monotonicMs += ms;
  };
  return { clock, clocks, pass, mysql: createMysqlClock(clocks) };
}

test("the time is MySQL's, however far off the machine's clock is", () => {
  for (const aheadMs of [0, 4_000, -5_000, DAY_MS, -DAY_MS]) {
    const { mysql, pass } = setUp({ aheadMs });
    mysql.observe(-aheadMs);
    expect(mysql.skewMs() + aheadMs).toBe(0);
    pass(700);
    expect(Math.abs(mysql.now() - START_MS - 700)).toBeLessThanOrEqual(1);
    expect(Number.isInteger(mysql.now())).toBe(true);
  }
});

test("a clock is right up to a second off, and a jump is noticed at once", () => {
  for (const [skewMs, isRight] of [
    [1_000, true],
    [-1_000, true],
    [1_001, false],
    [-1_001, false],
  ] as const) {
    const { mysql, pass } = setUp();
    mysql.observe(skewMs);
    expect(mysql.isRight()).toBe(isRight);
    pass(DAY_MS);
    expect(mysql.isRight()).toBe(isRight);
    const jumped = setUp();
    jumped.clock.wallMs -= skewMs;
    expect(jumped.mysql.isRight()).toBe(isRight);
  }
});

test("after a step back of the wall clock the time goes on", () => {
  const { clock, pass, mysql } = setUp();
  clock.wallMs -= 5_000;
  pass(100);
  expect(Math.abs(mysql.now() - START_MS - 100)).toBeLessThanOrEqual(1);
});

test("after a sleep, through which the monotonic clock stood still, no time is missing", () => {
  const { clock, mysql } = setUp({ aheadMs: 3_000 });
  mysql.observe(-3_000);
  clock.wallMs += 10_000;
  expect(Math.abs(mysql.now() - START_MS - 10_000)).toBeLessThanOrEqual(1);
});

test("a comparison of more than a second changes nothing, unless there is no other", () => {
  const { mysql } = setUp();
  mysql.observe(-1_400, 3_000);
  expect(mysql.skewMs()).toBe(-1_400);
  mysql.observe(20, 10);
  expect(mysql.skewMs()).toBe(15);
  mysql.observe(-600, 1_001);
  expect(mysql.skewMs()).toBe(15);
});

test("a comparison changes no more than it proves: MySQL's clock was read at some moment meanwhile", () => {
  const { clock, mysql, pass } = setUp();
  mysql.observe(3, 0);
  // MySQL read it at once, and then this process stood still.
  pass(900);
  mysql.observe(-447, 900);
  expect(mysql.skewMs()).toBe(3);
  expect(mysql.now()).toBe(clock.wallMs + 3);
  mysql.observe(600, 1_000);
  expect(mysql.skewMs()).toBe(100);
  mysql.observe(0, 1_000);
  expect(mysql.skewMs()).toBe(100);
});

test("another thread has the same time, also after comparisons that it didn't make", () => {
  const { clocks, mysql } = setUp({ aheadMs: 4_000 });
  const other = createMysqlClock(clocks, mysql.shared);
  expect(other.now()).toBe(mysql.now());
  mysql.observe(-4_000);
  expect(other.now()).toBe(mysql.now());
  expect(other.isRight()).toBe(false);
});
