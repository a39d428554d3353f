// The operators as the sender's main thread knows them: the breaker and the rate of each, by name. Owns what
// lasts beyond a change of the routes file: an operator that stays keeps its breaker. Leaves submits, windows
// and the choice to the workers.

import type { OperatorTerms } from "../operators/terms.ts";
import { type Breaker, createBreaker } from "./breaker.ts";
import type { Allowance, Tallies } from "./dispatch.ts";

type Member = { breaker: Breaker; rate: number };
export type Fleet = {
  /** From now on these are the operators. */
  use(operators: readonly Pick<OperatorTerms, "name" | "rate">[]): void;
  names(): string[];
  /** How many submits the next batch may make. Call it once per batch, and report the batch's tallies. */
  allow(): Allowance;
  /** Operators without a tally were not asked: they get back the probes they were allowed. */
  report(tallies: Tallies): void;
  /** Whether its breaker is not closed. */
  isAvoided(name: string): boolean;
  /** Parts that all operators together take in a second; infinite if one has no rate. */
  perSecond(): number;
};

export function createFleet(monotonicMs: () => number): Fleet {
  let members = new Map<string, Member>();
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
    allow: () => new Map([...members].map(([name, { breaker }]) => [name, breaker.allow()])),
    report(tallies) {
      for (const [name, { breaker }] of members) breaker.report(tallies.get(name) ?? { good: 0, bad: 0 });
    },
    isAvoided: (name) => members.get(name)?.breaker.state() !== "closed",
    perSecond: () => [...members.values()].reduce((sum, { rate }) => sum + rate, 0),
  };
}
