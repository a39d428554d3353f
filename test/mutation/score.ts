// Turns the results of a run of mutants into the score, and the survivors with the reason why each may
// survive. Pure; run.ts gets the results from Stryker. An explanation identifies its mutant by the text it
// changes, not by position, so it moves along with its line.

import { EXPLAINED, type Explained } from "./survivors.ts";

export type Status = "killed" | "timeout" | "survived" | "error";
export type Mutant = {
  file: string;
  /** 1-based */
  line: number;
  /** The first line of the mutated code, without indentation. */
  code: string;
  mutator: string;
  original: string;
  replacement: string;
  status: Status;
};
export type Survivor = { mutant: Mutant; why: string | null };
export type Score = {
  mutants: number;
  killed: number;
  /** Of the killed ones: those that never ended, so that the tests timed out. */
  timeouts: number;
  percent: number;
  survivors: Survivor[];
};

/** Mutants that can't run at all (errors) are not counted. */
export function scoreOf(mutants: readonly Mutant[], explained: readonly Explained[] = EXPLAINED): Score {
  const valid = mutants.filter((m) => m.status !== "error");
  const survivors = valid
    .filter((m) => m.status === "survived")
    .map((mutant) => ({ mutant, why: explained.find((e) => explains(e, mutant))?.why ?? null }));
  const killed = valid.length - survivors.length;
  return {
    mutants: valid.length,
    killed,
    timeouts: valid.filter((m) => m.status === "timeout").length,
    percent: valid.length === 0 ? 0 : (100 * killed) / valid.length,
    survivors,
  };
}

/** The reasons why the run fails; empty if it passes. */
export function failuresOf(score: Score, name: string, percentMin: number): string[] {
  const unexplained = score.survivors.filter((s) => s.why === null).length;
  return [
    ...(score.percent < percentMin
      ? [`${name}: ${score.percent.toFixed(1)} % killed, ${percentMin} are wanted`]
      : []),
    ...(unexplained > 0 ? [`${name}: ${unexplained} survivors without an explanation`] : []),
  ];
}

/** Explanations whose mutants ran and did not survive: remove them. */
export function needless(
  mutants: readonly Mutant[],
  explained: readonly Explained[] = EXPLAINED,
): Explained[] {
  const files = new Set(mutants.map((m) => m.file));
  const survived = mutants.filter((m) => m.status === "survived");
  return explained.filter((e) => files.has(e.file) && !survived.some((m) => explains(e, m)));
}

function explains(e: Explained, m: Mutant): boolean {
  return (
    e.file === m.file &&
    m.code.includes(e.code) &&
    (e.from === undefined || oneLine(m.original) === e.from) &&
    oneLine(m.replacement) === e.to
  );
}

export const oneLine = (code: string): string => code.replace(/\s+/g, " ").trim();
