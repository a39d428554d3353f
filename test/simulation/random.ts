// Randomness under a seed: sfc32, seeded by splitmix32. The only source of randomness in a simulated run.

export type Random = {
  /** At least 0 and below 1. */
  next(): number;
  /** 0 to n − 1. */
  int(n: number): number;
  chance(p: number): boolean;
  between(low: number, high: number): number;
  pick<T>(from: readonly T[]): T;
};

export function createRandom(seed: number): Random {
  let state = seed | 0;
  const start = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) | 0;
  };
  let [a, b, c, d] = [start(), start(), start(), start()];
  const next = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    c |= 0;
    return (t >>> 0) / 4_294_967_296;
  };
  for (let i = 0; i < 12; i++) next();
  const int = (n: number): number => Math.floor(next() * n);
  return {
    next,
    int,
    chance: (p) => next() < p,
    between: (low, high) => low + next() * (high - low),
    pick: <T>(from: readonly T[]): T => from[int(from.length)] as T,
  };
}
