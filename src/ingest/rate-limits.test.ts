// A client that waits as long as Retry-After says is admitted, however long the text and however small the
// limit.

import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../test/support/seed.ts";
import { SluiceError } from "../core/errors.ts";
import { TEXT_PARTS_MAX } from "../core/limits.ts";
import { createRateLimits, type RateLimitedError } from "./rate-limits.ts";

// The bucket reads performance.now(), which stands still here until a test advances it.
let nowMs = 0;
let clock: ReturnType<typeof spyOn<Performance, "now">>;
beforeEach(() => {
  nowMs = 1_000;
  clock = spyOn(performance, "now").mockImplementation(() => nowMs);
});
afterEach(() => clock.mockRestore());

const refusalOf = (run: () => unknown): SluiceError => {
  try {
    run();
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error("was let in");
};

test("the longest message fits any limit, at once and again after Retry-After", () => {
  for (const rateLimit of [1, 3, 9, 10, 11, 10_000]) {
    const limits = createRateLimits();
    const owner = { customerId: 1, rateLimit };
    limits.take(owner, TEXT_PARTS_MAX);
    for (let left = Math.max(rateLimit, TEXT_PARTS_MAX) - TEXT_PARTS_MAX; left > 0; left -= TEXT_PARTS_MAX)
      limits.take(owner, Math.min(left, TEXT_PARTS_MAX));
    const refused = refusalOf(() => limits.take(owner, TEXT_PARTS_MAX));
    expect(refused.code).toBe("rate_limited");
    nowMs += (refused.retryAfterS as number) * 1_000;
    limits.take(owner, TEXT_PARTS_MAX);
  }
});

test("Retry-After is sufficient after any history, and at most a second too long", () => {
  const history = fc.record({
    rateLimit: fc.integer({ min: 1, max: 200 }),
    sends: fc.array(fc.tuple(fc.integer({ min: 1, max: TEXT_PARTS_MAX }), fc.nat(20_000)), { maxLength: 60 }),
  });
  holds("retry-after", history, ({ rateLimit, sends }) => {
    const limits = createRateLimits();
    const owner = { customerId: 1, rateLimit };
    for (const [parts, gapMs] of sends) {
      nowMs += gapMs;
      try {
        limits.take(owner, parts);
      } catch (error) {
        const waitMs = ((error as SluiceError).retryAfterS as number) * 1_000;
        if (waitMs > 1_000) {
          nowMs += waitMs - 1_001;
          expect(refusalOf(() => limits.take(owner, parts)).code).toBe("rate_limited");
          nowMs += 1_001;
        } else nowMs += waitMs;
        limits.take(owner, parts);
      }
    }
  });
});

test("the state says how much the bucket holds and how long it takes to fill", () => {
  const limits = createRateLimits();
  expect(limits.take({ customerId: 1, rateLimit: null }, 1)).toBeNull();
  expect(limits.take({ customerId: 2, rateLimit: 120 }, 1)).toEqual([
    { unit: "parts", size: 120, fillS: 60, left: 119, fullInS: 1 },
  ]);
  expect(limits.take({ customerId: 3, rateLimit: 3 }, 5)).toEqual([
    { unit: "parts", size: TEXT_PARTS_MAX, fillS: 200, left: 5, fullInS: 100 },
  ]);
});

test("what is given back can be taken again, and never fills the bucket beyond its size", () => {
  const limits = createRateLimits();
  const owner = { customerId: 1, rateLimit: 20 };
  limits.take(owner, 20);
  expect(refusalOf(() => limits.take(owner, 5)).code).toBe("rate_limited");
  limits.giveBack(owner, 5);
  limits.take(owner, 5);
  limits.giveBack(owner, 5);
  limits.giveBack(owner, 100);
  limits.take(owner, 20);
  expect(refusalOf(() => limits.take(owner, 1)).code).toBe("rate_limited");
  limits.giveBack({ customerId: 2, rateLimit: null }, 5);
});

test("a batch of more parts than the bucket holds needs a full one, and what it took beyond that is waited for", () => {
  const limits = createRateLimits();
  const owner = { customerId: 1, rateLimit: 60 };
  expect(limits.take(owner, 180)).toEqual([{ unit: "parts", size: 60, fillS: 60, left: 0, fullInS: 180 }]);
  nowMs += 120_000;
  expect(refusalOf(() => limits.take(owner, 1)).retryAfterS).toBe(2);
  nowMs += 30_000;
  const refused = refusalOf(() => limits.take(owner, 180));
  expect(refused.retryAfterS).toBe(31);
  nowMs += 31_000;
  limits.take(owner, 180);
});

test("what is given back pays a debt first", () => {
  const limits = createRateLimits();
  const owner = { customerId: 1, rateLimit: 60 };
  limits.take(owner, 100);
  limits.giveBack(owner, 50);
  expect(limits.take(owner, 10)).toMatchObject([{ left: 0 }]);
  expect(refusalOf(() => limits.take(owner, 1)).code).toBe("rate_limited");
});

describe("requests", () => {
  const owner = { customerId: 1, rateLimit: null, requestLimit: 3 };

  test("have a bucket of their own, of exactly a minute's worth", () => {
    const limits = createRateLimits();
    for (let n = 0; n < 3; n++) limits.takeRequest(owner);
    const refused = refusalOf(() => limits.takeRequest(owner));
    expect([refused.code, refused.retryAfterS]).toEqual(["rate_limited", 21]);
    expect((refused as RateLimitedError).rates).toEqual([
      { unit: "requests", size: 3, fillS: 60, left: 0, fullInS: 60 },
    ]);
    nowMs += 21_000;
    limits.takeRequest(owner);
    limits.takeRequest({ customerId: 1, rateLimit: 5 }); // no limit of requests
  });

  test("and parts are told together, whichever is used up", () => {
    const limits = createRateLimits();
    const both = { ...owner, rateLimit: 60 };
    limits.takeRequest(both);
    const told = [
      { unit: "parts", left: 0, fullInS: 60 },
      { unit: "requests", left: 2, fullInS: 20 },
    ];
    expect(limits.take(both, 60)).toMatchObject(told);
    expect((refusalOf(() => limits.take(both, 1)) as RateLimitedError).rates).toMatchObject(told);
    expect(limits.take(owner, 1_000)).toMatchObject([{ unit: "requests", left: 2 }]);
  });
});

describe("buckets of several processes", () => {
  const owner = { customerId: 1, rateLimit: 60 };
  const tell = (limits: ReturnType<typeof createRateLimits>, used: number) =>
    limits.learn([{ customerId: 1, unit: "parts", perMinute: 60, used }]);

  test("what was taken or asked for is collected once, and what was given back less", () => {
    const limits = createRateLimits();
    limits.take(owner, 40);
    limits.giveBack(owner, 5);
    expect(limits.collect()).toEqual([{ customerId: 1, unit: "parts", perMinute: 60, taken: 35 }]);
    expect(limits.collect()).toEqual([]);
    refusalOf(() => limits.take(owner, 60));
    expect(limits.collect()).toEqual([{ customerId: 1, unit: "parts", perMinute: 60, taken: 0 }]);
  });

  test("what others took is missing here, and what was taken meanwhile is not forgotten", () => {
    const limits = createRateLimits();
    limits.take(owner, 10);
    limits.collect();
    limits.take(owner, 5);
    tell(limits, 30);
    expect(limits.take(owner, 1)).toMatchObject([{ left: 24 }]);
    expect(limits.collect()).toMatchObject([{ taken: 6 }]);
  });

  test("more than all was taken: the debt is waited for", () => {
    const limits = createRateLimits();
    limits.take(owner, 50);
    limits.collect();
    tell(limits, 110);
    expect(refusalOf(() => limits.take(owner, 10)).retryAfterS).toBe(61);
    nowMs += 61_000;
    limits.take(owner, 10);
  });

  test("what came back before it was told does not come back twice", () => {
    const limits = createRateLimits();
    limits.take(owner, 60);
    limits.collect();
    nowMs += 30_000;
    tell(limits, 30); // by the clock of MySQL half of it has come back
    expect(limits.take(owner, 1)).toMatchObject([{ left: 29 }]);
  });

  test("under another limit the same share is missing, at once and in what is told", () => {
    const limits = createRateLimits();
    const of = (rateLimit: number) => ({ customerId: 1, rateLimit });
    limits.take(of(1_000), 800);
    expect(limits.take(of(100), 1)).toMatchObject([{ left: 19 }]);
    expect(limits.collect()).toEqual([{ customerId: 1, unit: "parts", perMinute: 100, taken: 81 }]);
    expect(limits.take(of(1_000), 1)).toMatchObject([{ left: 189 }]);
    expect(limits.take(of(2), 1)).toMatchObject([{ size: TEXT_PARTS_MAX, left: 0 }]);
  });

  test("a debt is not waited for under another limit", () => {
    const limits = createRateLimits();
    limits.take(owner, 6_000);
    expect(refusalOf(() => limits.take({ customerId: 1, rateLimit: 30 }, 1)).retryAfterS).toBe(3);
  });

  test("what was told under another limit is not learnt", () => {
    const limits = createRateLimits();
    limits.take({ customerId: 1, rateLimit: 1_000 }, 500);
    limits.collect();
    limits.take(owner, 1);
    limits.learn([{ customerId: 1, unit: "parts", perMinute: 1_000, used: 500 }]);
    expect(limits.take(owner, 1)).toMatchObject([{ left: 28 }]);
  });

  test("of customers that it doesn't know a process learns nothing", () => {
    const limits = createRateLimits();
    tell(limits, 60);
    expect(limits.take(owner, 1)).toMatchObject([{ left: 59 }]);
  });
});
