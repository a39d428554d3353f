import { expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../test/support/seed.ts";
import { createRate } from "./rate.ts";

function rateAt(partsPerSecond: number) {
  const clock = { ms: 1_000 };
  return { clock, rate: createRate(partsPerSecond, () => clock.ms) };
}

test("a tenth of a second's parts go at once, then one each time its share of the second has passed", () => {
  const { clock, rate } = rateAt(100);
  for (let n = 0; n < 10; n++) {
    expect(rate.waitMs(1)).toBe(0);
    rate.take(1);
  }
  expect(rate.waitMs(1)).toBe(10);
  expect(rate.waitMs(3)).toBe(30);
  clock.ms += 10;
  expect(rate.waitMs(1)).toBe(0);
});

test("a long message goes when the bucket is full, and the next one waits for all its parts", () => {
  const { clock, rate } = rateAt(5);
  expect(rate.waitMs(10)).toBe(0);
  rate.take(10);
  expect(rate.waitMs(1)).toBe(2_000);
  clock.ms += 2_000;
  expect(rate.waitMs(10)).toBe(0);
});

test("unused time is not saved up", () => {
  const { clock, rate } = rateAt(20);
  clock.ms += 3_600_000;
  rate.take(1);
  rate.take(1);
  expect(rate.waitMs(1)).toBe(50);
});

test("whatever is sent as soon as it may: in any second at most the rate, a tenth of it, and one message", () => {
  const messages = fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 50, maxLength: 300 });
  holds(
    "rate",
    fc.record({ partsPerSecond: fc.integer({ min: 1, max: 500 }), parts: messages }),
    ({ partsPerSecond, parts }) => {
      const { clock, rate } = rateAt(partsPerSecond);
      const sent: { ms: number; parts: number }[] = [];
      for (const some of parts) {
        clock.ms += rate.waitMs(some);
        expect(rate.waitMs(some)).toBeLessThan(1e-6);
        rate.take(some);
        sent.push({ ms: clock.ms, parts: some });
      }
      for (const { ms } of sent) {
        const within = sent.filter((each) => each.ms >= ms && each.ms < ms + 1_000);
        const sum = within.reduce((total, each) => total + each.parts, 0);
        expect(sum).toBeLessThanOrEqual(partsPerSecond * 1.1 + 10 + 1);
      }
      // And it is used: no message waits longer than all parts before it take.
      const before = parts.slice(0, -1).reduce((total, each) => total + each, 0);
      expect(clock.ms - 1_000).toBeLessThanOrEqual((before * 1_000) / partsPerSecond + 1e-3);
    },
    300,
  );
});
