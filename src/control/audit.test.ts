import { expect, test } from "bun:test";
import { difference } from "./audit.ts";

test("what changed is told before and after; what didn't is left out", () => {
  const before = { name: "a", price: 5, addresses: ["::1"], plan: null };
  expect(difference(before, { ...before, price: 6, addresses: ["::2"] })).toEqual({
    old: { price: 5, addresses: ["::1"] },
    new: { price: 6, addresses: ["::2"] },
  });
  expect(difference(before, structuredClone(before))).toBeNull();
  expect(difference({}, { url: "x" })).toEqual({ old: { url: null }, new: { url: "x" } });
});
