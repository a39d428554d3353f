// The seed of a property test: a new one for each run, printed; or SEED from the environment to repeat a
// failure. A failure of fast-check also prints its path: with SEED_PATH, only that counterexample runs.

import { setDefaultTimeout } from "bun:test";
import fc from "fast-check";

/**
 * Call it once at the top of each file with properties: thousands of runs take a second or two, but much
 * longer on a busy machine. (Bun applies the limit to the file that sets it.)
 */
export const allowSlowRuns = (): void => setDefaultTimeout(60_000);

/** Prints and returns the seed of this file's properties: `SEED=… bun test <file>` repeats them. */
export function printedSeed(name: string): number {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`${name}: SEED=${seed}`);
  return seed;
}

/** Numbers in [0, 1) from a seed (mulberry32), for loops that are too long for fast-check. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Runs a property with a printed seed; a failure shows the smallest counterexample and how to repeat it. */
export function holds<T>(
  name: string,
  arbitrary: fc.Arbitrary<T>,
  property: (value: T) => void,
  runs = 1_000,
): void {
  fc.assert(fc.property(arbitrary, property), optionsOf<[T]>(name, runs));
}

/** The same for a property that waits. */
export async function holdsAsync<T>(
  name: string,
  arbitrary: fc.Arbitrary<T>,
  property: (value: T) => Promise<void>,
  runs = 100,
): Promise<void> {
  await fc.assert(fc.asyncProperty(arbitrary, property), optionsOf<[T]>(name, runs));
}

function optionsOf<T>(name: string, runs: number): fc.Parameters<T> {
  const path = process.env.SEED_PATH;
  // Mutation tests only need to see a failure quickly, not the smallest example.
  const forMutants = process.env.SLUICE_MUTANTS === "1";
  return {
    seed: printedSeed(name),
    numRuns: forMutants ? Math.ceil(runs / 4) : runs,
    endOnFailure: forMutants,
    ...(path === undefined ? {} : { path }),
    reporter: (run) => {
      if (!run.failed) return;
      const again = `SEED=${run.seed} SEED_PATH=${run.counterexamplePath} bun test <file> -t <title>`;
      throw new Error(`${fc.defaultReportMessage(run)}\nSee it again: ${again}`, {
        cause: run.errorInstance,
      });
    },
  };
}
