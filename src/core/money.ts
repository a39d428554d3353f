// Money: integers in the currency's minor unit, exact within 2^53 in JSON, JavaScript and BIGINT alike.
// Leaves to others: what an amount does (src/ledger). Invariant: no float, no rounding, nothing above
// MONEY_MAX.

import assert from "node:assert/strict";

/** 2^53 - 1: the largest integer that JSON readers agree on (RFC 8259, section 6). */
export const MONEY_MAX = Number.MAX_SAFE_INTEGER;

export type ParsedAmount = { amount: number } | { reason: string };

/** parts × price, in minor units. @throws AssertionError when a factor or the product isn't an amount */
export function cost(parts: number, price: number): number {
  assertMoney(parts);
  assertMoney(price);
  const product = parts * price;
  assertMoney(product);
  return product;
}

/** An amount from outside: a JSON number, whole, 1 to MONEY_MAX. Strings are refused, also "5". */
export function parseAmount(value: unknown): ParsedAmount {
  if (typeof value !== "number") return { reason: "must be a number" };
  if (!Number.isInteger(value)) return { reason: "must be a whole number of minor units" };
  if (value <= 0) return { reason: "must be greater than 0" };
  if (value > MONEY_MAX) return { reason: `must be at most ${MONEY_MAX}` };
  return { amount: value };
}

/**
 * A stored amount: mysql2 gives BIGINT above 2^53 as a string (`supportBigNumbers`), which is refused here
 * and not rounded.
 * @throws AssertionError
 */
export function moneyOf(value: unknown): number {
  const amount = typeof value === "string" && /^\d{1,16}$/.test(value) ? Number(value) : value;
  assertMoney(amount);
  return amount;
}

export function assertMoney(value: unknown): asserts value is number {
  assert(Number.isSafeInteger(value) && (value as number) >= 0, `not an amount of money: ${String(value)}`);
}
