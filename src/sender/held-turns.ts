// Which customer's held rows are next: surplus round robin by parts. In its turn a customer gets TURN_PARTS;
// what it takes beyond that, which is known only afterwards, is paid back in its next turns. Pure except for
// its own state. Bound: the customers that held.ts finds.

import { CLAIM_ROWS_MAX, TEXT_PARTS_MAX } from "../core/limits.ts";
import type { CustomerRates } from "./customer-rates.ts";

export type HeldTurns = {
  /**
   * These customers have held rows; those it knows already keep their turns. `isAll`: nobody else has any.
   */
  found(customers: readonly number[], isAll: boolean): void;
  /** The next one; null if there is none, or none that its rate allows. It goes to the end. */
  next(): number | null;
  /**
   * Those who may fill up what the next one leaves, so that no room is lost: in the order of their turns, and
   * behind them those that have had more than theirs, beginning with the one that has had least of that.
   */
  after(most: number): number[];
  took(customerId: number, parts: number): void;
  /** It has no more rows. */
  ended(customerId: number): void;
  isEmpty(): boolean;
};

/** A full batch of messages of one part. */
const TURN_PARTS = CLAIM_ROWS_MAX;
/** A full batch of the longest messages. More isn't paid back: it took room that nobody else wanted. */
const DEBT_PARTS_MAX = CLAIM_ROWS_MAX * TEXT_PARTS_MAX;

export function createHeldTurns(rates: CustomerRates | undefined): HeldTurns {
  /** What each customer may still take; a Map keeps the order of turns. */
  const credit = new Map<number, number>();
  return {
    found(customers, isAll) {
      const present = new Set(customers);
      if (isAll)
        for (const customerId of credit.keys()) if (!present.has(customerId)) credit.delete(customerId);
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
      const free = [...credit].filter(
        ([customerId]) => rates === undefined || rates.waitMs(customerId) === 0,
      );
      const debtOf = ([, left]: [number, number]): number => Math.max(0, -left);
      free.sort((a, b) => debtOf(a) - debtOf(b));
      return free.slice(0, most).map(([customerId]) => customerId);
    },
    took(customerId, parts) {
      const left = credit.get(customerId);
      if (left !== undefined) credit.set(customerId, Math.max(-DEBT_PARTS_MAX, left - parts));
      rates?.take(customerId, parts);
    },
    ended: (customerId) => void credit.delete(customerId),
    isEmpty: () => credit.size === 0,
  };
}
