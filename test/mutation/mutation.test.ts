// Tests mutation testing itself: an unexplained survivor and a low score both fail, explanations still match
// their lines, and Stryker runs here.

import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { KILLED_PERCENT_MIN, MODULES } from "./modules.ts";
import { failuresOf, type Mutant, needless, scoreOf } from "./score.ts";
import { EXPLAINED } from "./survivors.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const mutant = (status: Mutant["status"], fields: Partial<Mutant> = {}): Mutant => ({
  file: "a.ts",
  line: 3,
  code: "if (a < b) return 1;",
  mutator: "EqualityOperator",
  original: "a < b",
  replacement: "a <= b",
  status,
  ...fields,
});
const explained = [{ file: "a.ts", code: "if (a < b)", from: "a < b", to: "a <= b", why: "never equal" }];

test("a score counts the killed mutants among those that could run, including time-outs", () => {
  const mutants = [
    mutant("killed"),
    mutant("timeout"),
    mutant("survived"),
    mutant("error"),
    mutant("killed"),
  ];
  expect(scoreOf(mutants, explained)).toMatchObject({ mutants: 4, killed: 3, timeouts: 1, percent: 75 });
});

test("an explained survivor passes with its reason, and one that isn't explained fails the run", () => {
  const killed = Array.from({ length: 9 }, () => mutant("killed"));
  const known = scoreOf([...killed, mutant("survived", { line: 30 })], explained);
  expect(known.survivors.map((s) => s.why)).toEqual(["never equal"]);
  expect(failuresOf(known, "a.ts", 85)).toEqual([]);
  for (const other of [
    { replacement: "a > b" },
    { file: "b.ts" },
    { code: "while (a < b)" },
    { original: "a" },
  ]) {
    const score = scoreOf([...killed, mutant("survived", other)], explained);
    expect(failuresOf(score, "a.ts", 85)).toEqual(["a.ts: 1 survivors without an explanation"]);
  }
});

test("a score below the least fails, however well its survivors are explained", () => {
  const score = scoreOf([mutant("killed"), mutant("survived")], explained);
  expect(failuresOf(score, "a.ts", 85)).toEqual(["a.ts: 50.0 % killed, 85 are wanted"]);
  expect(failuresOf(scoreOf([], explained), "none", 85)).toHaveLength(1);
});

test("an explanation whose mutant is killed by now is reported, one of another module is not", () => {
  expect(needless([mutant("killed")], explained)).toEqual(explained);
  expect(needless([mutant("survived")], explained)).toEqual([]);
  expect(needless([mutant("killed", { file: "b.ts" })], explained)).toEqual([]);
});

test("every module and its tests exist, and every explanation matches a line of a module", () => {
  for (const { file, tests } of MODULES)
    for (const path of [file, ...tests]) expect([path, existsSync(`${root}${path}`)]).toEqual([path, true]);
  expect(KILLED_PERCENT_MIN).toBeGreaterThanOrEqual(85);
  for (const { file, code } of EXPLAINED) {
    expect(MODULES.map((m) => m.file)).toContain(file);
    const lines = readFileSync(`${root}${file}`, "utf8").split("\n");
    expect([code, lines.some((line) => line.includes(code))]).toEqual([code, true]);
  }
});

test("Stryker runs here: one module, its score and its explained survivor in a few seconds", async () => {
  const run = Bun.spawn(["node", "test/mutation/run.ts", "src/core/money.ts"], { cwd: root, stderr: "pipe" });
  const [out, err] = await Promise.all([new Response(run.stdout).text(), new Response(run.stderr).text()]);
  expect([await run.exited, err]).toEqual([0, ""]);
  expect(out).toMatch(/^src\/core\/money\.ts +\d+ of \d+ killed/);
  expect(out).toContain("equal: a number that passes");
  expect(out).toMatch(/all: \d+ of \d+ mutants killed, \d+\.\d %/);
}, 180_000);
