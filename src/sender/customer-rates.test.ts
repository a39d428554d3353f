// The rates of customers in one sender: each waits for its own, and none that owes something is forgotten.

import { expect, test } from "bun:test";
import { createCustomerRates, type CustomerRates } from "./customer-rates.ts";

test("a rate of 0 is no limit", () => {
  expect(createCustomerRates(0, () => 0)).toBeUndefined();
});

test("a customer waits for what its last message was beyond its rate, and the others don't", () => {
  let nowMs = 0;
  const rates = createCustomerRates(10, () => nowMs) as CustomerRates;
  expect(rates.waitMs(1)).toBe(0);
  rates.take(1, 5);
  expect([rates.waitMs(1), rates.waitMs(2)]).toEqual([500, 0]);
  nowMs = 499;
  expect(rates.waitMs(1)).toBe(1);
  nowMs = 500;
  expect(rates.waitMs(1)).toBe(0);
});

test("however many customers come after it, one that owes something still does", () => {
  let nowMs = 0;
  const rates = createCustomerRates(10, () => nowMs) as CustomerRates;
  rates.take(0, 1_000);
  // More than are kept; each is full again a tenth of a second later.
  for (let customerId = 1; customerId <= 20_001; customerId++) {
    rates.take(customerId, 1);
    nowMs += 2;
    if (customerId % 1_000 === 0) nowMs += 100;
  }
  expect(rates.waitMs(0)).toBe(100_000 - nowMs);
  expect(rates.waitMs(0)).toBeGreaterThan(0);
  expect(rates.waitMs(1)).toBe(0);
});
