// The simulator as a test: some runs of the unchanged code, and every planted bug must be caught. `make
// simulate` does the same over 10,000 seeds.

import { expect, test } from "bun:test";
import { BUGS } from "./bugs.ts";
import { simulateAll } from "./simulate.ts";

/** On a fast machine more run, as many as fit into the time. */
const SEEDS_MIN = 25;
const SEEDS_MAX = 300;
const SEEDS_MS = 20_000;
const MOST_MS = 600_000;

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
  "the same seed gives the same run, event by event, and another seed another run",
  async () => {
    const [once, again, other] = [await simulateAll(7), await simulateAll(7), await simulateAll(8)];
    expect([again.hash, again.events, again.trace]).toEqual([once.hash, once.events, once.trace]);
    expect(other.hash).not.toBe(once.hash);
  },
  MOST_MS,
);

// In a separate process: a planted bug may throw where nothing awaits it, which is caught there but would
// fail any test in here. It has no FTL: each bug is code of its own, which ends before that pays.
test(
  `each of ${BUGS.length} planted bugs is caught`,
  async () => {
    const run = Bun.spawn([process.execPath, `${import.meta.dir}/run.ts`, "--bugs", "--first"], {
      stdout: "pipe",
      stderr: "inherit",
      env: { ...process.env, BUN_JSC_useFTLJIT: "0" },
    });
    const output = await new Response(run.stdout).text();
    console.log(output);
    const missed = output.split("\n").filter((line) => line.startsWith("0/"));
    expect({ missed, code: await run.exited }).toEqual({ missed: [], code: 0 });
    expect(output).toContain(`${BUGS.length} of ${BUGS.length} planted bugs caught`);
  },
  MOST_MS,
);
