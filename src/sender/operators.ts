// The operators this sender may use. Owns the table; route.ts chooses from it. Their contracts live here
// until they are kept in the database.

import { OPERATOR_NAME_CHARS_MAX } from "../core/limits.ts";
import assert from "node:assert/strict";

export type OperatorSpec = {
  name: string;
  /** http://host:port */
  origin: string;
  /** What a part costs us; the cheapest is preferred. */
  price: number;
  /** Share among operators of one price. */
  weight: number;
  /** Submits under way at once, in one sender. */
  window: number;
};

// A takes what fits its window and the others share the rest, so a slow operator fills up and is passed by.
// 3,500/s at 30 ms are 105 submits under way.
const WINDOW = 96;

export function localOperators(host: string, firstPort: number): OperatorSpec[] {
  const operators = [
    { name: "A", price: 90, weight: 1 },
    { name: "B", price: 100, weight: 2 },
    { name: "C", price: 100, weight: 1 },
  ].map((o, index) => ({ ...o, origin: `http://${host}:${firstPort + index}`, window: WINDOW }));
  for (const { name } of operators) assert(/^\w+$/.test(name) && name.length <= OPERATOR_NAME_CHARS_MAX);
  return operators;
}
