// The table of operators that this sender may use; route.ts chooses from it. Their terms stay here until they
// are kept in the database.

import assert from "node:assert/strict";
import { OPERATOR_NAME_CHARS_MAX } from "../core/limits.ts";
import type { OperatorSpec } from "./connectors/kinds.ts";

// Operator A gets what fits its window and the others share the rest, so a slow operator's window fills up
// and messages go to the others. 3,500/s at 30 ms are 105 submits under way.
const WINDOW = 96;

export function localOperators(host: string, firstPort: number): OperatorSpec[] {
  const operators = [
    { name: "A", price: 90, weight: 1 },
    { name: "B", price: 100, weight: 2 },
    { name: "C", price: 100, weight: 1 },
  ].map(
    (terms, index): OperatorSpec => ({
      ...terms,
      kind: "http",
      origin: `http://${host}:${firstPort + index}`,
      window: WINDOW,
      prefixes: ["+"],
    }),
  );
  for (const { name } of operators) assert(/^\w+$/.test(name) && name.length <= OPERATOR_NAME_CHARS_MAX);
  return operators;
}
