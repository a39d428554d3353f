// A small run of the fault suite with 20 faults: kills, cut connections, a full disk, offsets set back, a
// sleeping sender, a broker that is away. `make faults` runs 200 of them, with the same checker.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { projectRoot } from "../../src/stack/tools.ts";
import { asText } from "./check.ts";
import { makePlan } from "./plan.ts";
import { runPart, STACK_SETTINGS } from "./part.ts";
import { whyNoDisk } from "./disk.ts";

const SEED = Number(process.env.SEED ?? 3);
const FAULTS = 20;
const MESSAGES = 10_000;

test(`${FAULTS} faults under load: nothing accepted is lost, nothing is charged twice, every sum is right`, async () => {
  const noDisk = whyNoDisk(join(projectRoot, ".sluice-faults", "probe"));
  if (noDisk !== null) console.log(`LEFT OUT: disk-full, as nobody may mount a tmpfs here: ${noDisk}`);
  const plan = makePlan({
    seed: SEED,
    faults: FAULTS,
    everyMs: 3_000,
    profile: "quick",
    only: null,
    without: noDisk === null ? [] : ["disk-full"],
  });
  const result = await runPart({
    folder: join(projectRoot, ".sluice-faults", "make-test"),
    seed: SEED,
    plan,
    messages: MESSAGES,
    ratePerS: 250,
    keys: true,
    diskMb: noDisk === null ? 6_000 : null,
    env: STACK_SETTINGS,
    report: (line) => console.log(line),
    progress: () => undefined,
    keepLogs: false,
  });
  const { verdict, starts, seconds } = result;
  console.log(`SEED=${SEED}\n${asText(verdict)}\n  starts: ${JSON.stringify(starts)}`);
  console.log(`  seconds: ${JSON.stringify(seconds)}`);
  expect(result.failures).toEqual([]);
  expect(Object.values(result.done).reduce((all, n) => all + n, 0)).toBe(FAULTS);
  expect(verdict.counts.accepted).toBeGreaterThanOrEqual(MESSAGES);
  expect(verdict.counts.callbacks).toBeGreaterThan(50);
}, 900_000);
