// A copy of the source and the simulator with some text changed, in a temporary folder, loaded as separate
// modules.
// Invariant: every edit changes exactly one place, otherwise nothing is made.

import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Edit } from "./bug.ts";
import type { Result } from "./simulate.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const FOLDERS = [
  "src/core",
  "src/platform",
  "src/ledger",
  "src/customers",
  "src/control",
  "src/ingest",
  "src/api",
  "src/relay",
  "src/operators",
  "src/dlr",
  "src/reports",
  "src/webhook",
];

export type Patched = { simulate: (seed: number) => Promise<Result>; remove: () => void };

/** @throws Error when an edit's text occurs nowhere or more than once */
export async function patchedSimulator(edits: readonly Edit[]): Promise<Patched> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-simulation-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    for (const path of [...FOLDERS, "src/sender", "test/simulation", "test/simulated-mysql"])
      cpSync(join(root, path), join(folder, path), { recursive: true });
    for (const path of ["node_modules", "sql", "package.json"])
      symlinkSync(join(root, path), join(folder, path));
    for (const { file, find, replace } of edits) {
      const path = join(folder, file);
      const parts = readFileSync(path, "utf8").split(find);
      if (parts.length !== 2) throw new Error(`${file} holds ${parts.length - 1} times: ${find}`);
      writeFileSync(path, parts.join(replace));
    }
    const module = (await import(join(folder, "test/simulation/simulate.ts"))) as {
      simulateAll: Patched["simulate"];
    };
    return { simulate: module.simulateAll, remove };
  } catch (error) {
    remove();
    throw error;
  }
}
