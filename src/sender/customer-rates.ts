// The rates of customers in one sender, in parts a second: a token bucket each (rate.ts), for installations
// that limit what any one customer may have sent. A customer may go below zero by its last take, and then
// waits for that.
// Bound: buckets that are full again are forgotten once there are KEPT_MAX.

import { createRate, type Rate } from "./rate.ts";

export type CustomerRates = {
  /** How long until this customer may have another part; 0: now. */
  waitMs(customerId: number): number;
  take(customerId: number, parts: number): void;
};

const KEPT_MAX = 10_000;

/** Undefined for a rate of 0: no limit. */
export function createCustomerRates(
  partsPerSecond: number,
  monotonicMs: () => number,
): CustomerRates | undefined {
  if (partsPerSecond === 0) return undefined;
  const rates = new Map<number, Rate>();
  const rateOf = (customerId: number): Rate => {
    let rate = rates.get(customerId);
    if (rate === undefined) {
      if (rates.size >= KEPT_MAX) forgetFull();
      rates.set(customerId, (rate = createRate(partsPerSecond, monotonicMs)));
    }
    return rate;
  };
  // A bucket lets a message as large as itself go only when it is full.
  const forgetFull = () => {
    for (const [customerId, rate] of rates)
      if (rate.waitMs(Number.MAX_SAFE_INTEGER) === 0) rates.delete(customerId);
  };
  return {
    waitMs: (customerId) => rates.get(customerId)?.waitMs(1) ?? 0,
    take: (customerId, parts) => rateOf(customerId).take(parts),
  };
}
