// Which operator a message goes to next. Pure: no clock, no state; randomness is given.

export type Candidate = {
  price: number;
  weight: number;
  /** Submits it may still be given: 0 while its breaker is open or its window is full. */
  free: number;
  /** Tried for this message already, in this claim. */
  tried: boolean;
};

/** Index of the cheapest operator with room, by weight among equals; -1 when none has. `random` in [0, 1). */
export function route(candidates: readonly Candidate[], random: () => number): number {
  let bestPrice = Number.POSITIVE_INFINITY;
  let totalWeight = 0;
  for (const c of candidates) {
    if (c.tried || c.free <= 0 || c.price > bestPrice) continue;
    if (c.price < bestPrice) totalWeight = 0;
    bestPrice = c.price;
    totalWeight += c.weight;
  }
  if (totalWeight === 0) return -1;
  let left = random() * totalWeight;
  let last = -1;
  for (let index = 0; index < candidates.length; index++) {
    const c = candidates[index] as Candidate;
    if (c.tried || c.free <= 0 || c.price !== bestPrice) continue;
    last = index;
    left -= c.weight;
    if (left < 0) break;
  }
  return last;
}
