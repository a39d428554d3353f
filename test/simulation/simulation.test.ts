// The simulator as a test: some runs of the code as it is, and every planted bug caught. `make simulate` is
// the same over 10,000 seeds.

import { expect, test } from "bun:test";
import { BUGS } from "./bugs.ts";
import { patchedSimulator } from "./patched.ts";
import { simulateAll } from "./simulate.ts";

/** As many as fit into the time, on whatever machine. */
const SEEDS_MIN = 25;
const SEEDS_MAX = 300;
const SEEDS_MS = 20_000;
/** The rarest of them needs some 40 seeds. */
const SEEDS_PER_BUG_MAX = 400;
const MOST_MS = 300_000;

test(
  `no invariant breaks in up to ${SEEDS_MAX} runs`,
  async () => {
    const startedMs = performance.now();
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      if (seed > SEEDS_MIN && performance.now() - startedMs > SEEDS_MS) break;
      const { violation } = await simulateAll(seed);
      expect({ seed, violation }).toEqual({ seed, violation: null });
    }
  },
  MOST_MS,
);

test(
  "the same seed is the same run, event by event, and another one is another",
  async () => {
    const [once, again, other] = [await simulateAll(7), await simulateAll(7), await simulateAll(8)];
    expect([again.hash, again.events, again.trace]).toEqual([once.hash, once.events, once.trace]);
    expect(other.hash).not.toBe(once.hash);
  },
  MOST_MS,
);

for (const { area, name, edits } of BUGS) {
  test(
    `a planted bug is caught: ${area}: ${name}`,
    async () => {
      const patched = await patchedSimulator(edits);
      try {
        let caughtBy: string | null = null;
        for (let seed = 1; seed <= SEEDS_PER_BUG_MAX && caughtBy === null; seed++)
          caughtBy = (await patched.simulate(seed)).violation?.invariant ?? null;
        expect(caughtBy).not.toBeNull();
      } finally {
        patched.remove();
      }
    },
    MOST_MS,
  );
}
