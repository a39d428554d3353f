// Money: integers in the currency's minor unit, exact in JSON, JavaScript and BIGINT alike up to 2^53 - 1.
// Leaves to others: what is done with an amount (src/ledger). Invariant: no floats, no rounding, nothing
// above MONEY_MAX.

import assert from "node:assert/strict";

/** 2^53 - 1: the largest integer that JSON readers agree on (RFC 8259, section 6). */
export const MONEY_MAX = Number.MAX_SAFE_INTEGER;

/** parts × price, in minor units. @throws AssertionError when a factor or the product isn't an amount */
export function cost(parts: number, price: number): number {
  assertMoney(parts);
  assertMoney(price);
  const product = parts * price;
  assertMoney(product);
  return product;
}

/**
 * Reads a stored amount: mysql2 returns a BIGINT above 2^53 as a string (`supportBigNumbers`), which is
 * refused here rather than rounded.
 * @throws AssertionError
 */
export function moneyOf(value: unknown): number {
  const amount = typeof value === "string" && /^\d{1,16}$/.test(value) ? Number(value) : value;
  assertMoney(amount);
  return amount;
}

// ISO 4217: the currencies whose minor unit is not a hundredth.
const DIGITS: Readonly<Record<string, number>> = {
  ...Object.fromEntries(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(" ").map((c) => [c, 0]),
  ),
  ...Object.fromEntries("BHD IQD JOD KWD LYD OMR TND".split(" ").map((c) => [c, 3])),
  ...Object.fromEntries("CLF UYW".split(" ").map((c) => [c, 4])),
};
const DIGITS_USUAL = 2;

/** An amount of minor units in the currency's major unit, exact: 99300 IRR is "993.00". */
export function decimalOf(amount: number, currency: string): string {
  assertMoney(amount);
  const digits = DIGITS[currency] ?? DIGITS_USUAL;
  if (digits === 0) return String(amount);
  const padded = String(amount).padStart(digits + 1, "0");
  return `${padded.slice(0, -digits)}.${padded.slice(-digits)}`;
}

/** @throws AssertionError unless the value is a whole number from 0 to MONEY_MAX */
export function assertMoney(value: unknown): asserts value is number {
  assert(Number.isSafeInteger(value) && (value as number) >= 0, `not an amount of money: ${String(value)}`);
}
