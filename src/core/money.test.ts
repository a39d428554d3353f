// Amounts: exact or refused, never rounded.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../test/support/seed.ts";
import { assertMoney, cost, MONEY_MAX, moneyOf } from "./money.ts";

test("a cost is exact, or it is not made", () => {
  expect(cost(3, 500)).toBe(1_500);
  expect(cost(1, 0)).toBe(0);
  expect(cost(1, MONEY_MAX)).toBe(MONEY_MAX);
  expect(() => cost(2, MONEY_MAX)).toThrow();
  expect(() => cost(1.5, 500)).toThrow();
  expect(() => cost(-1, 500)).toThrow();
});

test("costs equal the same product of big integers", () => {
  const factors = fc.tuple(
    fc.integer({ min: 1, max: 10 }),
    fc.integer({ min: 0, max: Math.floor(MONEY_MAX / 10) }),
  );
  holds("cost", factors, ([parts, price]) =>
    expect(BigInt(cost(parts, price))).toBe(BigInt(parts) * BigInt(price)),
  );
});

test("a stored amount comes back exact, and one above 2^53 is refused rather than rounded", () => {
  expect(moneyOf(5)).toBe(5);
  expect(moneyOf("9007199254740991")).toBe(MONEY_MAX);
  for (const value of ["9007199254740993", "9223372036854775807", "-1", "1e3", "", null, 0.1])
    expect(() => moneyOf(value)).toThrow();
  expect(() => assertMoney(-1)).toThrow("not an amount of money: -1");
});
