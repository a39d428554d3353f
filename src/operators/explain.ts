// Which operators would take a number, in which order, and why: for `route explain` and the admin API.
// Leaves the choice itself to route.ts.

import type { Lane } from "../core/message.ts";
import { createRouter, type Found } from "./route.ts";
import type { RoutesFile } from "./routes-file.ts";
import type { OperatorTerms } from "./terms.ts";

export type Explained = {
  lane: Lane;
  /** The prefix that decides, and the route, if it is not the operators' own terms. */
  prefix: string | null;
  route: string | null;
  /** In the order in which they are asked; `share` is of 1, among those of one tier. */
  operators: { operator: string; tier: number; share: number; why: string }[];
};

/** Pure. What a sender would do while every operator is healthy and has room. */
export function explain(file: RoutesFile, phone: string, lanes: readonly Lane[]): Explained[] {
  const router = createRouter(file.operators, file.routes);
  const terms = new Map(file.operators.map((operator) => [operator.name, operator]));
  return lanes.map((lane) => {
    const found = router.find(phone, lane);
    return {
      lane,
      prefix: found?.prefix ?? null,
      route: found?.route ?? null,
      operators: found === null ? [] : ordered(found, terms),
    };
  });
}

function ordered(found: Found, terms: ReadonlyMap<string, OperatorTerms>): Explained["operators"] {
  return found.tiers.flatMap((shares, tier) => {
    const total = shares.reduce((sum, { weight }) => sum + weight, 0);
    return shares.map(({ operator, weight }) => {
      const { priority = 0, price = 0 } = terms.get(operator) ?? {};
      const place = found.route === null ? `priority ${priority}, price ${price}` : `route ${found.route}`;
      const among = shares.length === 1 ? "" : `, weight ${weight} of ${total}`;
      return { operator, tier: tier + 1, share: weight / total, why: place + among };
    });
  });
}
