// A copy of the simulator, and of the source that it runs, with some text changed: one file made by Bun's
// bundler in a temporary folder, so that loading a copy takes a tenth of a second.
// Invariant: every edit changes exactly one place, otherwise nothing is made.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Edit } from "./bug.ts";
import type { Result } from "./simulate.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

export type Patched = { simulate: (seed: number) => Promise<Result>; remove: () => void };

/** @throws Error when an edit's text occurs nowhere or more than once */
export async function patchedSimulator(edits: readonly Edit[]): Promise<Patched> {
  const source = await bundle(editedFiles(edits));
  const folder = mkdtempSync(join(tmpdir(), "sluice-simulation-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    // Where the sources are, as seen from the simulator: they find files from there.
    mkdirSync(join(folder, "test/simulation"), { recursive: true });
    for (const path of ["node_modules", "sql", "package.json"])
      symlinkSync(join(root, path), join(folder, path));
    const file = join(folder, "test/simulation/simulate.js");
    writeFileSync(file, source);
    const module = (await import(file)) as { simulateAll: Patched["simulate"] };
    return { simulate: module.simulateAll, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** What the files of these edits are to hold, by their paths. */
function editedFiles(edits: readonly Edit[]): Map<string, string> {
  const edited = new Map<string, string>();
  for (const { file, find, replace } of edits) {
    const path = join(root, file);
    const parts = (edited.get(path) ?? readFileSync(path, "utf8")).split(find);
    if (parts.length !== 2) throw new Error(`${file} holds ${parts.length - 1} times: ${find}`);
    edited.set(path, parts.join(replace));
  }
  return edited;
}

async function bundle(edited: ReadonlyMap<string, string>): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [join(root, "test/simulation/simulate.ts")],
    target: "bun",
    packages: "external",
    plugins: [
      {
        name: "edits",
        setup(build) {
          build.onLoad({ filter: filterOf([...edited.keys()]) }, ({ path }) => ({
            contents: edited.get(path) ?? "",
            loader: "ts",
          }));
        },
      },
    ],
  });
  const [output] = outputs;
  if (output === undefined) throw new Error("the bundler made nothing");
  return output.text();
}

const filterOf = (paths: readonly string[]): RegExp =>
  new RegExp(`^(${paths.map(RegExp.escape).join("|")})$`);
