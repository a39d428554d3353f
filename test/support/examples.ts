// The routes files that a page of the documentation shows: its blocks of YAML that begin with `operators:`,
// an operator each.

import { readFileSync } from "node:fs";

export type Example = {
  /** The whole file. */
  text: string;
  operator: string;
  /** What the operator has, without its indentation. */
  entry: string;
  /** The variables that it keeps secrets in. */
  env: string[];
};

export function examplesOf(page: URL): Example[] {
  const blocks = readFileSync(page, "utf8").matchAll(/^```yaml\n(operators:\n[\s\S]*?)^```$/gm);
  return [...blocks].map(([, text = ""]) => {
    const [, operator = "", entry = ""] = /^operators:\n {2}(\w+):\n([\s\S]*)$/.exec(text) ?? [];
    return {
      text,
      operator,
      entry: entry.replaceAll(/^ {4}/gm, ""),
      env: [...text.matchAll(/env: (\w+)/g)].map(([, name = ""]) => name),
    };
  });
}
