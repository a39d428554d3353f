// Which customer's held rows are next: surplus round robin by parts. In its turn a customer gets TURN_PARTS;
// a batch that takes more, which is known only afterwards, is paid back in its next turns. Pure except for
// its own state. Bound: the customers that held.ts finds.

import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import type { CustomerRates } from "./customer-rates.ts";

export type HeldTurns = {
  /** These customers have held rows; those it knows already keep their turns. */
  found(customers: readonly number[]): void;
  /** The next one; null if there is none, or none that its rate allows. It goes to the end. */
  next(): number | null;
  /**
   * Those whose turns come after that, in order: they may fill up what the next one leaves. Without those
   * that have had more than their turns.
   */
  after(most: number): number[];
  took(customerId: number, parts: number): void;
  /** It has no more rows. */
  ended(customerId: number): void;
  isEmpty(): boolean;
};

/** A full batch of messages of one part. */
const TURN_PARTS = CLAIM_ROWS_MAX;

export function createHeldTurns(rates: CustomerRates | undefined): HeldTurns {
  /** What each customer may still take; a Map keeps the order of turns. */
  const credit = new Map<number, number>();
  return {
    found(customers) {
      for (const customerId of customers) if (!credit.has(customerId)) credit.set(customerId, 0);
    },
    next() {
      // Everyone who is not throttled has credit after so many rounds as its largest batch has turns' worth.
      for (let passed = 0; passed < credit.size; ) {
        const [customerId, left] = credit.entries().next().value as [number, number];
        const isThrottled = rates !== undefined && rates.waitMs(customerId) > 0;
        const now = isThrottled ? left : Math.min(TURN_PARTS, left + TURN_PARTS);
        credit.delete(customerId);
        credit.set(customerId, now);
        if (!isThrottled && now > 0) return customerId;
        passed = isThrottled ? passed + 1 : 0;
      }
      return null;
    },
    after(most) {
      const found: number[] = [];
      for (const [customerId, left] of credit) {
        if (found.length >= most) break;
        if (left >= 0 && (rates === undefined || rates.waitMs(customerId) === 0)) found.push(customerId);
      }
      return found;
    },
    took(customerId, parts) {
      const left = credit.get(customerId);
      if (left !== undefined) credit.set(customerId, left - parts);
      rates?.take(customerId, parts);
    },
    ended: (customerId) => void credit.delete(customerId),
    isEmpty: () => credit.size === 0,
  };
}
