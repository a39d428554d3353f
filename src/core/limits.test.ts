// The relations between limits are asserted when limits.ts loads; this tests that each limit is well formed.

import { expect, test } from "bun:test";
import * as limits from "./limits.ts";

test("every limit is a positive whole number", () => {
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value <= 0) throw new Error(`${name} is ${value}`);
  }
});

test("names end with what they count or with their unit", () => {
  const units = /_(MAX|MS|DEFAULT)$/;
  for (const name of Object.keys(limits)) expect(name).toMatch(units);
});
