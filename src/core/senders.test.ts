// Which senders a customer may use.

import { expect, test } from "bun:test";
import { fromProblem, senderKey } from "./senders.ts";

test("without a list any sound sender may be used, with one only those in it", () => {
  expect(fromProblem("Acme", undefined)).toBeNull();
  const senders = new Set(["Acme", "98300045"]);
  for (const from of ["Acme", "98300045", "+98300045"]) expect(fromProblem(from, senders)).toBeNull();
  for (const from of ["acme", "Acme ", "9830004", "98300045x"])
    expect(fromProblem(from, senders)).toContain("none of the sender ids");
});

test("an empty list allows none, and what is no sender is refused as ever", () => {
  expect(fromProblem("Acme", new Set())).toContain("none of the sender ids");
  expect(fromProblem("a name too long", new Set(["a name too long"]))).toContain("at most 11 characters");
});

test("a number has no plus in a list, a name keeps its own", () => {
  expect([senderKey("+98300045"), senderKey("98300045"), senderKey("+Acme")]).toEqual([
    "98300045",
    "98300045",
    "+Acme",
  ]);
});
