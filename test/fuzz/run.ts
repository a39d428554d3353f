// `make fuzz`: the HTTP contracts of the customers' API and of the admin API against schemathesis, on a
// gateway of its own, in rounds of both until there were as many cases as wanted. Exit 0: nothing was found,
// every operation was answered with a success, and the books are clean. Leaves a run to schemathesis.ts and
// the gateway to gateway.ts.

import { Command } from "commander";
import { reconciled } from "../support/launcher.ts";
import { cancelScheduled, startFuzzGateway } from "./gateway.ts";
import { type Count, runSchemathesis, sumOf, type Target, unanswered } from "./schemathesis.ts";

const EXAMPLES_DEFAULT = 60;
const PROGRESS_MS = 10_000;

const options = new Command("test/fuzz/run")
  .description(
    "Sends valid and invalid requests, made by schemathesis from GET /openapi.json of the customers' API " +
      "and of the admin API, to a gateway with all roles, holds every answer against the document, and " +
      "proves the books at the end.",
  )
  .option("--cases <n>", "requests to send, at least", Number, 50_000)
  .option("--seconds <n>", "begin no further round after this many seconds, and end each by then", Number)
  .option("--examples <n>", "cases that a round makes for each operation, at most", Number, EXAMPLES_DEFAULT)
  .option("--api <name>", "only this API: customers or admins")
  .option("--seed <n>", "repeats a run; each round adds 1", Number, Math.floor(Math.random() * 2 ** 31))
  .option("--only <operationIds...>", "only these operations")
  .option("--json", "print the result as JSON")
  .addHelpText(
    "after",
    "\nIt runs its own stack: state in .sluice-test-fuzz/, ports: the gateway's + 13,300. Each finding " +
      "is printed with a curl command; test/fuzz/schemathesis.toml has the exceptions, with their reasons.",
  )
  .parse()
  .opts<{
    cases: number;
    seconds?: number;
    examples: number;
    api?: string;
    seed: number;
    only?: string[];
    json?: true;
  }>();

for (const name of ["cases", "examples"] as const)
  if (!(Number.isInteger(options[name]) && options[name] >= 1))
    throw new Error(`--${name}: a whole number of at least 1`);
if (!Number.isInteger(options.seed)) throw new Error("--seed: a whole number");

const say = (line: string) => console.error(line);
const startedMs = performance.now();
const elapsedS = () => Math.round((performance.now() - startedMs) / 1_000);
const leftS = () => (options.seconds === undefined ? undefined : options.seconds - elapsedS());

say(`seed ${options.seed}; starting the gateway`);
const gateway = await startFuzzGateway();
const counts: Count[] = [];
let findings = 0;
try {
  const targets = gateway.targets.filter(({ name }) => (options.api ?? name) === name);
  for (let round = 0; sumOf(counts) < options.cases && (leftS() ?? 1) > 0; round++) {
    for (const [at, target] of targets.entries())
      if (!(await oneRun(target, round, targets.length - at))) findings++;
    if (sumOf(counts) === 0) throw new Error("not one case was made: see --api and --only");
  }
  await cancelScheduled(gateway);
  const books = await reconciled(gateway.launcher);
  const never = options.only === undefined ? unanswered(counts) : [];
  const isSound = findings === 0 && books === "clean" && never.length === 0;
  const result = { seed: options.seed, cases: sumOf(counts), seconds: elapsedS(), findings, never, books };
  if (options.json === true) console.log(JSON.stringify({ ...result, counts }));
  else {
    console.log(`${result.cases} cases in ${result.seconds} s; runs with findings: ${findings}`);
    console.log(`  by status: ${JSON.stringify(byStatus())}`);
    if (never.length > 0) console.log(`  never answered with a success: ${never.join(", ")}`);
    console.log(`  reconcile --settled: ${books}`);
  }
  process.exitCode = isSound ? 0 : 1;
} finally {
  await gateway.stop();
}

/** False if it found something. `share`: it may take this part of the time that is left. */
async function oneRun(target: Target, round: number, share: number): Promise<boolean> {
  const before = sumOf(counts);
  const left = leftS();
  let toldMs = performance.now();
  const {
    ok,
    output,
    counts: own,
  } = await runSchemathesis({
    ...target,
    seed: options.seed + round,
    examples: options.examples,
    ...(left === undefined ? {} : { maxS: Math.max(1, Math.floor(left / share)) }),
    only: options.only ?? [],
    progress(cases) {
      if (performance.now() - toldMs < PROGRESS_MS) return;
      toldMs = performance.now();
      say(`  ${before + cases} of ${options.cases} cases, ${elapsedS()} s`);
    },
  });
  counts.push(...own);
  const found = ok ? "nothing found" : "FINDINGS";
  say(`round ${round + 1}, ${target.name}, seed ${options.seed + round}: ${sumOf(own)} cases, ${found}`);
  if (!ok) say(output);
  return ok;
}

function byStatus(): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { status, cases } of counts) found[status] = (found[status] ?? 0) + cases;
  return found;
}
