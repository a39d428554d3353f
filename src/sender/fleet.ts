// The operators as the sender's main thread knows them: the breaker and the rate of each, by name. Owns what
// lasts beyond a change of the routes file: an operator that stays keeps its breaker. Leaves submits, windows
// and the choice to the workers.

import type { OperatorTerms } from "../operators/terms.ts";
import { type Breaker, createBreaker } from "./breaker.ts";
import type { Allowance, Tallies, Tally } from "./dispatch.ts";

type Member = { breaker: Breaker; rate: number };
export type Fleet = {
  /** From now on these are the operators. */
  use(operators: readonly Pick<OperatorTerms, "name" | "rate">[]): void;
  names(): string[];
  /**
   * How many submits the next batch of this link may make; only its own operators are probed. Call it once
   * per batch, and report the batch's tallies.
   */
  allow(link: string): Allowance;
  /** Operators of the link without a tally were not asked: they get back the probes they were allowed. */
  report(link: string, tallies: Tallies): void;
  /** Whether its breaker is not closed. */
  isAvoided(name: string): boolean;
  /**
   * Parts that all operators, or those of a link, together take in a second; infinite if one has no rate, or
   * if there is none: then their messages end at once.
   */
  perSecond(link?: string): number;
};

const NOT_ASKED: Tally = { good: 0, bad: 0 };

/**
 * How many messages a batch of this allowance may have. In a lane that no operator takes, as many as there
 * are: they end when they are submitted, as those to a number that none takes do.
 */
export const allowedBy = (allowance: Allowance): number =>
  allowance.size === 0
    ? Number.POSITIVE_INFINITY
    : [...allowance.values()].reduce((sum, submits) => sum + submits, 0);

export function createFleet(monotonicMs: () => number): Fleet {
  let members = new Map<string, Member>();
  // A link from before a change of the routes file may have none of them: then any may get its messages.
  const operatorsOf = (link: string): string[] => {
    const own = link.split(" ").filter((name) => members.has(name));
    return own.length > 0 ? own : [...members.keys()];
  };
  return {
    use(operators) {
      const memberOf = ({ name, rate }: Pick<OperatorTerms, "name" | "rate">): [string, Member] => [
        name,
        {
          breaker: members.get(name)?.breaker ?? createBreaker(monotonicMs),
          rate: rate ?? Number.POSITIVE_INFINITY,
        },
      ];
      members = new Map(operators.map(memberOf));
    },
    names: () => [...members.keys()],
    allow(link) {
      const own = operatorsOf(link);
      const allowed = ([name, { breaker }]: [string, Member]): number => {
        if (own.includes(name)) return breaker.allow();
        return breaker.state() === "closed" ? Number.POSITIVE_INFINITY : 0;
      };
      return new Map([...members].map((one) => [one[0], allowed(one)]));
    },
    report(link, tallies) {
      const own = operatorsOf(link);
      for (const [name, { breaker }] of members) {
        const tally = tallies.get(name) ?? (own.includes(name) ? NOT_ASKED : undefined);
        if (tally !== undefined) breaker.report(tally);
      }
    },
    isAvoided: (name) => members.get(name)?.breaker.state() !== "closed",
    perSecond(link) {
      if (members.size === 0) return Number.POSITIVE_INFINITY;
      const names = link === undefined ? [...members.keys()] : operatorsOf(link);
      return names.reduce((sum, name) => sum + (members.get(name)?.rate ?? 0), 0);
    },
  };
}
