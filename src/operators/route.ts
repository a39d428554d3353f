// Decides which operators may take a message, and which one is next: the table of the routes file, by lane
// and prefix. Pure: no clock, no state; randomness is passed in.

import { type Lane, LANES } from "../core/message.ts";
import type { OperatorTerms } from "./terms.ts";

/** An operator and its share among those beside it. */
export type Share = { operator: string; weight: number };
/** Operators in the order in which they are asked: all of the first tier, then those of the next. */
export type Tiers = readonly (readonly Share[])[];
/** A route of the file, its fallbacks included. Without prefixes it is only the fallback of others. */
export type NamedRoute = {
  name: string;
  prefixes: readonly string[];
  lanes: readonly Lane[];
  tiers: Tiers;
};

/**
 * `route`: the name of the route in the file; null if the operators' own terms decide. `link`: the names of
 * the operators, in alphabetical order, separated by blanks.
 */
export type Found = { prefix: string; route: string | null; tiers: Tiers; link: string };
export type Router = {
  /** What the longest prefix of this phone (E.164) leads to; null if no operator takes such numbers. */
  find(phone: string, lane: Lane): Found | null;
};

type RoutingTerms = Pick<OperatorTerms, "name" | "prefixes" | "lanes" | "priority" | "price" | "weight">;

/**
 * At each prefix a route decides, or, where the file has none, the operators which have that very prefix. A
 * phone belongs to its longest prefix.
 */
export function createRouter(operators: readonly RoutingTerms[], routes: readonly NamedRoute[]): Router {
  const tables = LANES.map((lane) => {
    const table = tableOf(lane, operators, routes);
    return [lane, { table, longest: Math.max(0, ...[...table.keys()].map((prefix) => prefix.length)) }];
  });
  const byLane = Object.fromEntries(tables) as Record<Lane, { table: Map<string, Found>; longest: number }>;
  return {
    find(phone, lane) {
      const { table, longest } = byLane[lane];
      for (let length = Math.min(longest, phone.length); length > 0; length--) {
        const found = table.get(phone.slice(0, length));
        if (found !== undefined) return found;
      }
      return null;
    },
  };
}

function tableOf(
  lane: Lane,
  operators: readonly RoutingTerms[],
  routes: readonly NamedRoute[],
): Map<string, Found> {
  const table = new Map<string, Found>();
  const taking = operators.filter(({ lanes }) => lanes.includes(lane));
  for (const prefix of new Set(taking.flatMap(({ prefixes }) => prefixes))) {
    const own = taking.filter(({ prefixes }) => prefixes.includes(prefix));
    table.set(prefix, foundOf(prefix, null, tiersOf(own)));
  }
  for (const { name, prefixes, lanes, tiers } of routes)
    if (lanes.includes(lane)) for (const prefix of prefixes) table.set(prefix, foundOf(prefix, name, tiers));
  return table;
}

const foundOf = (prefix: string, route: string | null, tiers: Tiers): Found => {
  const names = tiers.flat().map(({ operator }) => operator);
  return { prefix, route, tiers, link: names.toSorted().join(" ") };
};

/**
 * The link of a message: all operators that may take it, whatever their order. Messages of one link can be
 * sent when any of them can. "" if no operator takes it. One text for each prefix, made with the table.
 */
export const linkOf = (router: Router, { phone, lane }: { phone: string; lane: Lane }): string =>
  router.find(phone, lane)?.link ?? "";

/** By priority, then price; those equal in both share by weight. */
function tiersOf(operators: readonly RoutingTerms[]): Tiers {
  const tiers: Share[][] = [];
  let last: RoutingTerms | undefined;
  for (const each of operators.toSorted((a, b) => a.priority - b.priority || a.price - b.price)) {
    if (each.priority !== last?.priority || each.price !== last.price) tiers.push([]);
    tiers.at(-1)?.push({ operator: each.name, weight: each.weight });
    last = each;
  }
  return tiers;
}

/** An operator that may take the current message. */
export type Candidate = {
  operator: string;
  /** Its place in the order: those of a lower tier go first. */
  tier: number;
  weight: number;
  /** It shares its tier by percent, with an operator that it is compared with. */
  split: boolean;
  /** Its breaker lets it have another submit. */
  allowed: boolean;
  /** Submits it may still get: 0 if it isn't allowed any, its window is full or its rate used up. */
  free: number;
  /** Already tried for this message, in this claim. */
  tried: boolean;
};

export const candidatesOf = (found: Found | null): Candidate[] =>
  (found?.tiers ?? []).flatMap((shares, tier) => {
    // In a route only a split has several operators in one tier.
    const split = found?.route !== null && shares.length > 1;
    const none = { allowed: false, free: 0, tried: false };
    return shares.map(({ operator, weight }) => ({ operator, tier, weight, split, ...none }));
  });

/** A candidate with room from the first tier that has one, chosen by weight; null if none has. */
export const route = (candidates: readonly Candidate[], random: () => number): Candidate | null =>
  pick(candidates, ({ free }) => free > 0, random);

/**
 * For a message whose first tier is a split: the candidate that it falls to, whether or not that has room
 * now; null if it isn't one, or nobody of it is allowed a submit.
 */
export function draw(candidates: readonly Candidate[], random: () => number): Candidate | null {
  const drawn = pick(candidates, ({ allowed }) => allowed, random);
  return drawn?.split === true ? drawn : null;
}

/** By weight, among those of the first tier in which any may be picked. `random` is in [0, 1). */
function pick(
  candidates: readonly Candidate[],
  may: (candidate: Candidate) => boolean,
  random: () => number,
): Candidate | null {
  let first = Number.POSITIVE_INFINITY;
  let totalWeight = 0;
  for (const c of candidates) {
    if (c.tried || c.tier > first || !may(c)) continue;
    if (c.tier < first) totalWeight = 0;
    first = c.tier;
    totalWeight += c.weight;
  }
  if (totalWeight === 0) return null;
  let left = random() * totalWeight;
  let last: Candidate | null = null;
  for (const c of candidates) {
    if (c.tried || c.tier !== first || !may(c)) continue;
    last = c;
    left -= c.weight;
    if (left < 0) break;
  }
  return last;
}
