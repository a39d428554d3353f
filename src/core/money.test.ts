// Amounts are exact or refused, never rounded. The model computes the same with big integers.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds, allowSlowRuns } from "../../test/support/seed.ts";
import { assertMoney, cost, decimalOf, MONEY_MAX, moneyOf } from "./money.ts";

allowSlowRuns();

test("a cost is exact or refused", () => {
  expect(cost(3, 500)).toBe(1_500);
  expect(cost(1, 0)).toBe(0);
  expect(cost(1, MONEY_MAX)).toBe(MONEY_MAX);
  expect(() => cost(2, MONEY_MAX)).toThrow();
  expect(() => cost(1.5, 500)).toThrow();
  expect(() => cost(-1, 500)).toThrow();
  expect(() => cost(-1, -500)).toThrow();
  expect(() => cost(0.5, 2)).toThrow();
  expect(() => cost(2, 0.5)).toThrow();
});

test("a stored amount comes back exact, and one above 2^53 is refused rather than rounded", () => {
  expect(moneyOf(5)).toBe(5);
  expect(moneyOf("9007199254740991")).toBe(MONEY_MAX);
  for (const value of ["9007199254740993", "9223372036854775807", "-1", "1e3", "", null, 0.1])
    expect(() => moneyOf(value)).toThrow();
  expect(() => assertMoney(-1)).toThrow("not an amount of money: -1");
});

test("the largest amount is the largest integer that JSON readers agree on", () => {
  expect(MONEY_MAX).toBe(2 ** 53 - 1);
  assertMoney(MONEY_MAX);
  expect(() => assertMoney(MONEY_MAX + 1)).toThrow();
});

// Amounts of every size: drawn by their number of bits, so that small ones are as frequent as those at the
// edge.
const amount = fc
  .tuple(fc.integer({ min: 0, max: 53 }), fc.maxSafeNat())
  .map(([bits, value]) => (bits === 0 ? MONEY_MAX - (value % 8) : value % 2 ** bits));

/** The same computation with big integers; null where the result is not an amount. */
const model = (parts: number, price: number): number | null => {
  const product = BigInt(parts) * BigInt(price);
  return product <= BigInt(MONEY_MAX) ? Number(product) : null;
};
const mine = (parts: number, price: number): number | null => {
  try {
    return cost(parts, price);
  } catch {
    return null;
  }
};

describe("laws", () => {
  test("a cost equals the product of big integers where that is an amount, and is refused where it is not", () => {
    let refused = 0;
    holds("cost", fc.tuple(amount, amount), ([parts, price]) => {
      const expected = model(parts, price);
      if (expected === null) refused++;
      expect(mine(parts, price)).toBe(expected);
    });
    expect(refused).toBeGreaterThan(0);
  });

  test("the smallest product that is too large is refused, and the largest that is not is exact", () => {
    holds("cost at the edge", fc.integer({ min: 1, max: 1_000_000 }), (parts) => {
      const most = Math.floor(MONEY_MAX / parts);
      expect(BigInt(cost(parts, most))).toBe(BigInt(parts) * BigInt(most));
      expect(mine(parts, most + 1)).toBeNull();
    });
  });

  test("the order of the factors changes nothing", () => {
    holds("cost commutes", fc.tuple(amount, amount), ([a, b]) => expect(mine(a, b)).toBe(mine(b, a)));
  });

  test("a message costs what its parts cost alone, however they are counted together", () => {
    const small = fc.integer({ min: 0, max: 2 ** 25 });
    holds("cost distributes", fc.tuple(small, small, small), ([a, b, price]) =>
      expect(cost(a + b, price)).toBe(cost(a, price) + cost(b, price)),
    );
  });

  test("more parts or a higher price never cost less", () => {
    const small = fc.integer({ min: 0, max: 2 ** 25 });
    holds("cost grows", fc.tuple(small, small), ([parts, price]) => {
      expect(cost(parts + 1, price)).toBeGreaterThanOrEqual(cost(parts, price));
      expect(cost(parts, price + 1)).toBeGreaterThanOrEqual(cost(parts, price));
    });
  });
});

describe("what is an amount", () => {
  const isAmount = (value: unknown): boolean =>
    typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MONEY_MAX;
  const accepted = (value: unknown): boolean => {
    try {
      assertMoney(value);
      return true;
    } catch {
      return false;
    }
  };

  test("any value is an amount only if it is a whole number from 0 to MONEY_MAX", () => {
    const any = fc.oneof(fc.double(), fc.anything(), amount, amount.map(String), fc.bigInt());
    holds("assertMoney", any, (value) => expect(accepted(value)).toBe(isAmount(value)));
  });

  test("a factor that is not an amount is refused, on either side", () => {
    const bad = fc.oneof(fc.double(), fc.integer({ max: -1 })).filter((value) => !isAmount(value));
    holds("bad factor", fc.tuple(bad, fc.integer({ min: 0, max: 10 })), ([value, other]) => {
      expect(mine(value, other)).toBeNull();
      expect(mine(other, value)).toBeNull();
    });
  });

  test("a stored amount comes back equal as a number and as its digits", () => {
    holds("moneyOf", amount, (value) => {
      expect(moneyOf(value)).toBe(value);
      expect(moneyOf(String(value))).toBe(value);
    });
  });

  test("digits above MONEY_MAX are refused, never rounded to an amount near them", () => {
    const above = fc.bigInt({ min: BigInt(MONEY_MAX) + 1n, max: 2n ** 64n });
    holds("moneyOf above", above, (value) => expect(() => moneyOf(String(value))).toThrow());
  });

  test("a string of anything but digits is not an amount, whatever Number() makes of it", () => {
    const near = fc.stringMatching(/^[ +-]?\d{0,3}[.eE_xn ]\d{0,3}\n?$/);
    holds("moneyOf strings", fc.oneof(near, fc.string()), (text) => {
      if (/^[0-9]+$/.test(text) && !text.includes("\n")) return;
      expect(() => moneyOf(text)).toThrow();
    });
  });
});

test("an amount in the major unit is exact, with the digits of its currency", () => {
  expect(["IRR", "USD", "JPY", "KWD", "CLF"].map((currency) => decimalOf(99_300, currency))).toEqual([
    "993.00",
    "993.00",
    "99300",
    "99.300",
    "9.9300",
  ]);
  expect([0, 5, 50].map((amount) => decimalOf(amount, "USD"))).toEqual(["0.00", "0.05", "0.50"]);
  expect(decimalOf(MONEY_MAX, "USD")).toBe("90071992547409.91");
  expect(() => decimalOf(0.5, "USD")).toThrow();
});
