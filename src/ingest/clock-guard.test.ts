// Clocks that jump, simulated by a clock of the test's own.

import { expect, test } from "bun:test";
import { ulidTimeMs } from "../core/id.ts";
import { createClockGuard } from "./clock-guard.ts";

const DAY_MS = 86_400_000;

function setUp() {
  const clock = { wallMs: 1_795_000_000_000, monotonicMs: 5_000 };
  const guard = createClockGuard({ now: () => clock.wallMs, monotonicMs: () => clock.monotonicMs });
  const pass = (ms: number) => {
    clock.wallMs += ms;
    clock.monotonicMs += ms;
  };
  return { clock, guard, pass };
}
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "none";
};

test("passing time is not a jump", () => {
  const { clock, guard, pass } = setUp();
  pass(DAY_MS);
  expect(guard.isRight()).toBe(true);
  expect(ulidTimeMs(guard.messageId())).toBe(clock.wallMs);
});

test("no message gets an id between a jump and the next comparison with MySQL's clock", () => {
  for (const jumpMs of [1_001, -1_001, DAY_MS, -DAY_MS]) {
    const { clock, guard } = setUp();
    clock.wallMs += jumpMs;
    expect(codeOf(guard.messageId)).toBe("unavailable");
    expect(guard.isRight()).toBe(false);
    guard.observe(-jumpMs);
    expect(codeOf(guard.messageId)).toBe("unavailable");
  }
});

test("a small step of up to a second is tolerated, either way", () => {
  for (const jumpMs of [1_000, -1_000]) {
    const { clock, guard } = setUp();
    clock.wallMs += jumpMs;
    expect(codeOf(guard.messageId)).toBe("none");
  }
});

test("a clock that is wrong from the start is noticed by comparison with MySQL's", () => {
  const { guard } = setUp();
  guard.observe(-5_000);
  expect(codeOf(guard.messageId)).toBe("unavailable");
  guard.observe(3);
  expect(codeOf(guard.messageId)).toBe("none");
});

test("after a jump ahead and back, message ids carry the present again, and entry ids continue throughout", () => {
  const { clock, guard, pass } = setUp();
  clock.wallMs += DAY_MS;
  expect(ulidTimeMs(guard.entryId())).toBe(clock.wallMs);
  pass(100);
  clock.wallMs -= DAY_MS;
  guard.observe(0);
  expect(ulidTimeMs(guard.messageId())).toBe(clock.wallMs + DAY_MS - DAY_MS);
});

test("on a machine whose clock stays wrong, entry ids have MySQL's time once that is known", () => {
  for (const aheadMs of [DAY_MS, -DAY_MS]) {
    const { clock, guard, pass } = setUp();
    guard.entryId();
    guard.observe(-aheadMs);
    pass(10);
    expect(ulidTimeMs(guard.entryId())).toBe(clock.wallMs - aheadMs);
    expect(codeOf(guard.messageId)).toBe("unavailable");
  }
});

test("without a jump the factory is kept: ids increase across comparisons", () => {
  const { guard, pass } = setUp();
  const ids: string[] = [];
  for (let n = 0; n < 50; n++) {
    ids.push(guard.messageId(), guard.messageId());
    guard.observe(n % 7);
    if (n % 3 === 0) pass(1);
  }
  expect(ids).toEqual([...new Set(ids)].sort());
});
