import { expect, test } from "bun:test";
import { BAD_MAX, createBreaker, PAUSE_FIRST_MS, PAUSE_MOST_MS } from "./breaker.ts";

function breakerAt() {
  const clock = { ms: 0 };
  return { clock, breaker: createBreaker(() => clock.ms) };
}

test("it opens after BAD_MAX bad answers with no good one in between", () => {
  const { breaker } = breakerAt();
  breaker.report({ good: 0, bad: BAD_MAX - 1 });
  breaker.report({ good: 1, bad: 1 });
  breaker.report({ good: 0, bad: BAD_MAX - 1 });
  expect(breaker.allow()).toBe(Number.POSITIVE_INFINITY);
  breaker.report({ good: 0, bad: 1 });
  expect(breaker.state()).toBe("open");
  expect(breaker.allow()).toBe(0);
});

test("after its pause it lets one probe through, and a good answer closes it", () => {
  const { clock, breaker } = breakerAt();
  breaker.report({ good: 0, bad: BAD_MAX });
  clock.ms = PAUSE_FIRST_MS;
  expect([breaker.allow(), breaker.allow()]).toEqual([1, 0]);
  breaker.report({ good: 1, bad: 0 });
  expect(breaker.state()).toBe("closed");
});

test("a bad probe opens it for longer, up to a bound; an unused probe may be used again", () => {
  const { clock, breaker } = breakerAt();
  breaker.report({ good: 0, bad: BAD_MAX });
  let pauseMs = PAUSE_FIRST_MS;
  for (let n = 0; n < 8; n++) {
    clock.ms += pauseMs;
    expect(breaker.allow()).toBe(1);
    breaker.report({ good: 0, bad: 0 });
    expect(breaker.allow()).toBe(1);
    breaker.report({ good: 0, bad: 1 });
    pauseMs = Math.min(pauseMs * 2, PAUSE_MOST_MS);
    clock.ms += pauseMs - 1;
    expect(breaker.allow()).toBe(0);
    clock.ms += 1 - pauseMs;
  }
});
