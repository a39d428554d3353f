// Placeholders in the texts of a routes file: `${SLUICE_OPERATOR_PORT}` is that setting, and
// `${SLUICE_OPERATOR_PORT + 1}` the next number (docs/decisions/0008); one that stands alone is a number.
// Invariant: no other setting gets into the file, because it could carry a secret to an operator.

import { loadConfig } from "../platform/config.ts";
import { join, type Reading } from "./read-schema.ts";
import type { Tree } from "./yaml-tree.ts";

const PLACEHOLDERS = { SLUICE_API_HOST: "apiHost", SLUICE_OPERATOR_PORT: "operatorPort" } as const;
const PLACEHOLDER = /\$\{(SLUICE_\w+)(?: \+ (\d{1,2}))?\}/g;
const PORT_ALONE = /^\$\{SLUICE_OPERATOR_PORT(?: \+ \d{1,2})?\}$/;

/** The tree with all placeholders replaced. */
export function withPlaceholders(reading: Reading, tree: Tree, path: string): Tree {
  if (tree.kind === "list")
    return { ...tree, items: tree.items.map((item, n) => withPlaceholders(reading, item, `${path}[${n}]`)) };
  if (tree.kind === "map") {
    const entries = [...tree.entries].map(
      ([name, { key, value }]) =>
        [name, { key, value: withPlaceholders(reading, value, join(path, name)) }] as const,
    );
    return { ...tree, entries: new Map(entries) };
  }
  if (typeof tree.value !== "string" || !tree.value.includes("${SLUICE_")) return tree;
  const value = tree.value.replace(PLACEHOLDER, (whole, name: string, plus: string | undefined) => {
    const setting = PLACEHOLDERS[name as keyof typeof PLACEHOLDERS];
    if (setting !== undefined) {
      const found = loadConfig(reading.env)[setting];
      if (plus === undefined) return String(found);
      if (typeof found === "number") return String(found + Number(plus));
    }
    const known = Object.keys(PLACEHOLDERS).join(" or ");
    reading.fault(
      tree,
      path,
      `${whole} is not known: a placeholder is ${known}, "\${SLUICE_OPERATOR_PORT + 1}"`,
    );
    return "";
  });
  return { ...tree, value: PORT_ALONE.test(tree.value) ? Number(value) : value };
}
