// The pages that people read, for tests that compare them with the code.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "../../src/stack/tools.ts";

export type Page = { path: string; text: string };

/** A file of the project, by its path from the root. */
export const read = (path: string): string => readFileSync(join(projectRoot, path), "utf8");

/** The files below a folder whose names end like this, by their paths from the root. */
export const below = (folder: string, end: string): string[] =>
  readdirSync(join(projectRoot, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(end) && !path.includes("node_modules"))
    .map((path) => `${folder}/${path}`);

export const pages: Page[] = ["README.md", "CONTRIBUTING.md", ...below("docs", ".md")].map((path) => ({
  path,
  text: read(path),
}));
