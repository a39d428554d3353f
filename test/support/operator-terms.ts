// The terms of an operator for tests: all that a routes file may leave out, at its default.

import type { OperatorTerms } from "../../src/operators/terms.ts";

export const operatorTerms = (terms: Partial<OperatorTerms> = {}): OperatorTerms => ({
  name: "A",
  prefixes: ["+"],
  lanes: ["normal", "express"],
  priority: 0,
  price: 1,
  weight: 1,
  window: 96,
  ...terms,
});
