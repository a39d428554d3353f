import { expect, test } from "bun:test";
import { BAD_MAX } from "./breaker.ts";
import { allowedBy, createFleet } from "./fleet.ts";

const lost = (name: string) => new Map([[name, { good: 0, bad: BAD_MAX }]]);

test("over a change of operators, the breaker of one that stays stays as it is; a new one begins closed", () => {
  const fleet = createFleet(() => 0);
  fleet.use([{ name: "A" }, { name: "B" }]);
  fleet.report("A B", lost("A"));
  expect([fleet.isAvoided("A"), fleet.isAvoided("B")]).toEqual([true, false]);
  fleet.use([{ name: "A", rate: 5 }, { name: "C" }]);
  expect(fleet.names()).toEqual(["A", "C"]);
  expect([fleet.isAvoided("A"), fleet.isAvoided("C")]).toEqual([true, false]);
  expect([...fleet.allow("A C")]).toEqual([
    ["A", 0],
    ["C", Number.POSITIVE_INFINITY],
  ]);
  // A batch of before reports about one that is gone.
  fleet.report("A B", lost("B"));
  expect(fleet.names()).toEqual(["A", "C"]);
  fleet.use([{ name: "C" }]);
  fleet.use([{ name: "A" }, { name: "C" }]);
  expect(fleet.isAvoided("A")).toBe(false);
});

test("an operator that a batch did not ask gets back the probe that it was allowed", () => {
  const clock = { ms: 0 };
  const fleet = createFleet(() => clock.ms);
  fleet.use([{ name: "A" }]);
  fleet.report("A", lost("A"));
  clock.ms = 5_000;
  expect([fleet.allow("A").get("A"), fleet.allow("A").get("A")]).toEqual([1, 0]);
  fleet.report("A", new Map());
  expect(fleet.allow("A").get("A")).toBe(1);
});

test("an operator is probed by its own links: a batch of another one neither gets the probe nor gives it back", () => {
  const clock = { ms: 0 };
  const fleet = createFleet(() => clock.ms);
  fleet.use([{ name: "A" }, { name: "B" }]);
  fleet.report("A", lost("A"));
  clock.ms = 5_000;
  expect([...fleet.allow("B")]).toEqual([
    ["A", 0],
    ["B", Number.POSITIVE_INFINITY],
  ]);
  expect(fleet.allow("A").get("A")).toBe(1);
  fleet.report("B", new Map());
  expect(fleet.allow("A").get("A")).toBe(0);
  // What a batch was routed to in the meantime counts, whatever its link.
  fleet.report("B", new Map([["A", { good: 1, bad: 0 }]]));
  expect(fleet.isAvoided("A")).toBe(false);
});

test("a link of which no operator is left may go to any, and probes them", () => {
  const clock = { ms: 0 };
  const fleet = createFleet(() => clock.ms);
  fleet.use([{ name: "A", rate: 5 }]);
  fleet.report("A", lost("A"));
  clock.ms = 5_000;
  expect(fleet.perSecond("X Y")).toBe(5);
  expect(fleet.allow("X Y").get("A")).toBe(1);
  fleet.report("X Y", new Map());
  expect(fleet.allow("").get("A")).toBe(1);
});

test("what all, or those of a link, take in a second is known only if each of them has a rate", () => {
  const fleet = createFleet(() => 0);
  fleet.use([
    { name: "A", rate: 5 },
    { name: "B", rate: 7 },
  ]);
  expect(fleet.perSecond()).toBe(12);
  fleet.use([{ name: "A", rate: 5 }, { name: "B" }]);
  expect(fleet.perSecond()).toBe(Number.POSITIVE_INFINITY);
  expect([fleet.perSecond("A"), fleet.perSecond("A B")]).toEqual([5, Number.POSITIVE_INFINITY]);
});

test("a batch may have as many messages as its operators are allowed submits, and any number if there is no operator", () => {
  const fleet = createFleet(() => 0);
  fleet.use([]);
  expect(allowedBy(fleet.allow("A"))).toBe(Number.POSITIVE_INFINITY);
  expect([fleet.perSecond(), fleet.perSecond("A")]).toEqual([
    Number.POSITIVE_INFINITY,
    Number.POSITIVE_INFINITY,
  ]);
  fleet.use([{ name: "A" }]);
  fleet.report("A", lost("A"));
  expect(allowedBy(fleet.allow("A"))).toBe(0);
});
