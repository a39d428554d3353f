#!/usr/bin/env node
// Mutation testing of the modules that decide about money (modules.ts), with Stryker's command runner: each
// mutant runs the module's own tests in a process of its own. Prints the score and every survivor with its
// explanation (survivors.ts); exits 1 below KILLED_PERCENT_MIN or with an unexplained survivor.
//   node test/mutation/run.ts                        all modules, two at a time
//   node test/mutation/run.ts src/core/money.ts      one
// Runs on Node, which Stryker needs; the tests run on Bun. Copies of the tree live in .sluice-mutation/.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Stryker } from "@stryker-mutator/core";
import { KILLED_PERCENT_MIN, MODULES, type Module } from "./modules.ts";
import { failuresOf, type Mutant, needless, oneLine, type Score, scoreOf } from "./score.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** A mutant that loops for ever counts as killed; the tests of a module take some 0.1 to 0.6 s. */
const TIMEOUT_MS = 4_000;
const CONCURRENCY = 2;
// The same inputs for every mutant and every run, only a quarter of the usual number, and no search for the
// smallest counterexample (test/support/seed.ts).
process.env.SEED = "1";
process.env.SLUICE_MUTANTS = "1";

type Results = Awaited<ReturnType<Stryker["runMutationTest"]>>;

async function mutantsOf({ file, tests }: Module): Promise<Mutant[]> {
  const results = await new Stryker({
    testRunner: "command",
    commandRunner: { command: `bun test --bail ${tests.map((test) => `./${test}`).join(" ")}` },
    mutate: [file],
    coverageAnalysis: "off",
    concurrency: CONCURRENCY,
    timeoutMS: TIMEOUT_MS,
    tempDirName: ".sluice-mutation",
    cleanTempDir: "always",
    // Its preprocessor needs TypeScript's old API; Bun runs the copy without a tsconfig.
    ignorePatterns: [".sluice*", "bench", "docs", "sql", "tools", "tsconfig.json"],
    disableTypeChecks: false,
    reporters: [],
    logLevel: "error" as never,
    allowConsoleColors: false,
    thresholds: { high: 100, low: 0, break: null },
  }).runMutationTest();
  const source = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8").split("\n");
  return results.map((result) => toMutant(result, file, source));
}

function toMutant(result: Results[number], file: string, source: string[]): Mutant {
  const { start, end } = result.location;
  // Lines and columns count from 1.
  const lines = source.slice(start.line - 1, end.line);
  const last = lines.length - 1;
  lines[last] = (lines[last] ?? "").slice(0, end.column - 1);
  lines[0] = (lines[0] ?? "").slice(start.column - 1);
  return {
    file,
    line: start.line,
    code: (source[start.line - 1] ?? "").trim(),
    mutator: result.mutatorName,
    original: lines.join("\n"),
    replacement: result.replacement,
    status: statusOf(result.status),
  };
}

function statusOf(status: Results[number]["status"]): Mutant["status"] {
  if (status === "Killed") return "killed";
  if (status === "Timeout") return "timeout";
  return status === "Survived" || status === "NoCoverage" ? "survived" : "error";
}

function print(name: string, score: Score, seconds: number): void {
  const { mutants, killed, timeouts, percent, survivors } = score;
  const figures = `${killed} of ${mutants} killed (${timeouts} by time-out), ${percent.toFixed(1)} %`;
  console.log(`${name.padEnd(28)} ${figures}, ${survivors.length} survived, ${seconds.toFixed(0)} s`);
  for (const { mutant, why } of survivors) {
    console.log(`  line ${mutant.line}: ${oneLine(mutant.original)}  →  ${oneLine(mutant.replacement)}`);
    console.log(`    ${why ?? "NOT EXPLAINED: write a test, or explain it in test/mutation/survivors.ts"}`);
  }
}

async function main(): Promise<void> {
  process.chdir(root);
  const wanted = process.argv.slice(2);
  const modules = MODULES.filter(({ file }) => wanted.length === 0 || wanted.includes(file));
  if (modules.length === 0) throw new Error(`no such module; there are ${MODULES.map((m) => m.file)}`);
  const all: Mutant[] = [];
  const failures: string[] = [];
  const began = performance.now();
  for (const module of modules) {
    const start = performance.now();
    const mutants = await mutantsOf(module);
    const score = scoreOf(mutants);
    print(module.file, score, (performance.now() - start) / 1_000);
    failures.push(...failuresOf(score, module.file, KILLED_PERCENT_MIN));
    all.push(...mutants);
  }
  const { mutants, killed, percent } = scoreOf(all);
  const seconds = ((performance.now() - began) / 1_000).toFixed(0);
  console.log(`\nall: ${killed} of ${mutants} mutants killed, ${percent.toFixed(1)} %, in ${seconds} s`);
  for (const e of needless(all)) console.log(`explained, but killed by now: ${e.file} ${e.code} → ${e.to}`);
  for (const failure of failures) console.log(`FAILED: ${failure}`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

await main();
