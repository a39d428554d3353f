// Which rate of a plan decides: against a naive search on random plans, and by example.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { allowSlowRuns, holds } from "../../test/support/seed.ts";
import {
  createPricePlan,
  isPrefix,
  NO_RATE,
  type OwnPrices,
  type PricePlan,
  priceOf,
  pricesOf,
  type Rate,
  refusalsOf,
} from "./price-plan.ts";

allowSlowRuns();

const rate = (prefix: string, validFromMs: number, normal: number | null): Rate => ({
  prefix,
  validFromMs,
  prices: normal === null ? null : { normal, express: normal + 200 },
});
const OWN = { priceNormal: 500, priceExpress: 700 };
const payer = (...rates: Rate[]): OwnPrices & { plan: PricePlan } => ({
  ...OWN,
  plan: createPricePlan(rates),
});

/** Few digits and moments, so that prefixes and times often meet. */
const digits = fc.string({ unit: fc.constantFrom("1", "2", "9"), maxLength: 5 });
const moment = fc.integer({ min: 0, max: 4 });
const rates = fc
  .array(
    fc.record({
      prefix: digits.map((text) => `+${text}`),
      validFromMs: moment,
      prices: fc.option(fc.record({ normal: fc.integer({ min: 1 }), express: fc.integer({ min: 1 }) }), {
        nil: null,
      }),
    }),
    { maxLength: 30 },
  )
  .map((all) => [...new Map(all.map((one) => [`${one.prefix} ${one.validFromMs}`, one])).values()]);

function naive(all: readonly Rate[], phone: string, atMs: number): Rate | null {
  const fitting = all.filter(({ prefix, validFromMs }) => phone.startsWith(prefix) && validFromMs <= atMs);
  fitting.sort((a, b) => b.prefix.length - a.prefix.length || b.validFromMs - a.validFromMs);
  return fitting[0] ?? null;
}

test("the longest prefix with a rate in force decides, and of its rates the one that began last", () => {
  holds(
    "choice of rates",
    fc.tuple(rates, digits, moment),
    ([all, number, atMs]) => {
      const plan = createPricePlan(all);
      const found = plan.rateAt(`+${number}`, atMs);
      const expected = naive(all, `+${number}`, atMs);
      expect(found === NO_RATE ? null : (plan.rates[found] as Rate)).toEqual(expected);
      expect(refusalsOf({ plan }, () => atMs)?.(`+${number}`)).toBe(
        expected !== null && expected.prices === null,
      );
      for (const lane of ["normal", "express"] as const) {
        const own = lane === "normal" ? OWN.priceNormal : OWN.priceExpress;
        const price = expected === null ? own : (expected.prices?.[lane] ?? null);
        expect(priceOf({ ...OWN, plan }, lane, `+${number}`, atMs)).toBe(price);
      }
    },
    5_000,
  );
});

test("the order in which rates are given changes nothing", () => {
  holds("order of rates", fc.tuple(rates, digits, moment), ([all, number, atMs]) => {
    const [one, other] = [createPricePlan(all), createPricePlan(all.toReversed())];
    const rateIn = (plan: PricePlan) => plan.rates[plan.rateAt(`+${number}`, atMs)];
    expect(rateIn(one)).toEqual(rateIn(other) as Rate);
  });
});

test("numbers may have 15 digits, and so may prefixes", () => {
  const longest = `+${"9".repeat(15)}`;
  const of = payer(rate(longest, 0, 7), rate("+", 0, 9));
  expect(priceOf(of, "normal", longest, 1)).toBe(7);
  expect(priceOf(of, "normal", `+${"9".repeat(14)}8`, 1)).toBe(9);
});

describe("a customer", () => {
  test("without a plan pays its own prices, by lane", () => {
    expect(priceOf(OWN, "normal", "+989121234567", 0)).toBe(500);
    expect(priceOf(OWN, "express", "+989121234567", 0)).toBe(700);
    expect(refusalsOf({}, () => 0)).toBeUndefined();
  });
  test("pays its own prices for numbers of which its plan says nothing", () => {
    expect(pricesOf(payer(rate("+44", 0, 9)), "+989121234567", 1)).toEqual({ normal: 500, express: 700 });
  });
  test("pays a rate from its moment on, and the one before until then", () => {
    const of = payer(rate("+98", 10, 1), rate("+98", 20, 2));
    const at = (ms: number) => priceOf(of, "normal", "+989121234567", ms);
    expect([at(9), at(10), at(19), at(20)]).toEqual([500, 1, 1, 2]);
  });
  test("is refused a destination in both lanes, but not a longer prefix of it that has prices", () => {
    const of = payer(rate("+98", 0, null), rate("+98912", 0, 3));
    expect(pricesOf(of, "+982112345678", 1)).toBeNull();
    expect(pricesOf(of, "+989121234567", 1)).toEqual({ normal: 3, express: 203 });
  });
});

test("a prefix is a plus and up to 15 digits", () => {
  expect(["+", "+9", `+${"1".repeat(15)}`].map(isPrefix)).toEqual([true, true, true]);
  expect(["", "98", "+ 9", "+9a", "++", `+${"1".repeat(16)}`].map(isPrefix)).not.toContain(true);
});

test("a look-up makes no objects: 100,000 of them leave the heap as it is", () => {
  const plan = createPricePlan(
    Array.from({ length: 2_000 }, (_, n) => rate(`+98${n}`, n % 3, n % 7 === 0 ? null : n + 1)),
  );
  const of = { ...OWN, plan };
  const phones = Array.from({ length: 64 }, (_, n) => `+98${n * 31}1234567`.slice(0, 13));
  let sum = 0;
  const look = () => {
    for (let n = 0; n < 100_000; n++)
      sum += priceOf(of, n % 2 === 0 ? "normal" : "express", phones[n % 64] as string, 5) ?? 0;
  };
  look();
  Bun.gc(true);
  const before = process.memoryUsage().heapUsed;
  look();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(1_000_000);
  expect(sum).toBeGreaterThan(0);
});
