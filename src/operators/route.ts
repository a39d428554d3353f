// Decides which operators may take a message, and which one is next. Pure: no clock, no state; randomness is
// passed in.

import type { OperatorTerms } from "./connectors/connector.ts";

/** An operator that may take the current message. */
export type Candidate = {
  /** Its index in the table of operators. */
  operator: number;
  price: number;
  weight: number;
  /** Submits it may still get: 0 while its breaker is open or its window is full. */
  free: number;
  /** Already tried for this message, in this claim. */
  tried: boolean;
};

/**
 * The operators for a phone (E.164): those with the longest of all prefixes that match it. Empty if no
 * operator takes such numbers.
 */
export function candidatesFor(
  operators: readonly Pick<OperatorTerms, "price" | "weight" | "prefixes">[],
  phone: string,
): Candidate[] {
  let longest = 0;
  let candidates: Candidate[] = [];
  for (const [operator, { price, weight, prefixes }] of operators.entries()) {
    let own = 0;
    for (const prefix of prefixes) if (prefix.length > own && phone.startsWith(prefix)) own = prefix.length;
    if (own === 0 || own < longest) continue;
    if (own > longest) candidates = [];
    longest = own;
    candidates.push({ operator, price, weight, free: 0, tried: false });
  }
  return candidates;
}

/** The cheapest candidate with room, chosen by weight among equals; null if none. `random` is in [0, 1). */
export function route(candidates: readonly Candidate[], random: () => number): Candidate | null {
  let bestPrice = Number.POSITIVE_INFINITY;
  let totalWeight = 0;
  for (const c of candidates) {
    if (c.tried || c.free <= 0 || c.price > bestPrice) continue;
    if (c.price < bestPrice) totalWeight = 0;
    bestPrice = c.price;
    totalWeight += c.weight;
  }
  if (totalWeight === 0) return null;
  let left = random() * totalWeight;
  let last: Candidate | null = null;
  for (const c of candidates) {
    if (c.tried || c.free <= 0 || c.price !== bestPrice) continue;
    last = c;
    left -= c.weight;
    if (left < 0) break;
  }
  return last;
}
