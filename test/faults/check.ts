// The checker's command: `bun test/faults/check.ts <folder>` judges a kept run again, offline. Exit 1 if
// anything is wrong.

import { check, type Verdict, VIOLATIONS } from "./checker.ts";
import { readEvidence } from "./evidence.ts";

/** A verdict as text. */
export function asText({ violations, counts }: Verdict): string {
  const lines = Object.entries(counts).map(([name, value]) => `  ${name}: ${JSON.stringify(value)}`);
  if (violations.length === 0) lines.push("no violation");
  for (const { violation, count, examples } of violations) {
    lines.push(`VIOLATION ${violation} × ${count}: ${VIOLATIONS[violation]}`);
    lines.push(...examples.map((example) => `    ${example}`));
  }
  return lines.join("\n");
}

if (import.meta.main) {
  const folder = process.argv[2];
  if (folder === undefined || folder.startsWith("-")) {
    console.log(
      "bun test/faults/check.ts FOLDER: judges the evidence that a run of the fault suite left there",
    );
    process.exit(folder === "--help" ? 0 : 64); // EX_USAGE
  }
  const verdict = check(readEvidence(folder));
  console.log(asText(verdict));
  process.exit(verdict.violations.length === 0 ? 0 : 1);
}
