import { expect, test } from "bun:test";
import { BAD_MAX } from "./breaker.ts";
import { createFleet } from "./fleet.ts";

const lost = (name: string) => new Map([[name, { good: 0, bad: BAD_MAX }]]);

test("over a change of operators, the breaker of one that stays stays as it is; a new one begins closed", () => {
  const fleet = createFleet(() => 0);
  fleet.use([{ name: "A" }, { name: "B" }]);
  fleet.report(lost("A"));
  expect([fleet.isAvoided("A"), fleet.isAvoided("B")]).toEqual([true, false]);
  fleet.use([{ name: "A", rate: 5 }, { name: "C" }]);
  expect(fleet.names()).toEqual(["A", "C"]);
  expect([fleet.isAvoided("A"), fleet.isAvoided("C")]).toEqual([true, false]);
  expect([...fleet.allow()]).toEqual([
    ["A", 0],
    ["C", Number.POSITIVE_INFINITY],
  ]);
  // A batch of before reports about one that is gone.
  fleet.report(lost("B"));
  expect(fleet.names()).toEqual(["A", "C"]);
  fleet.use([{ name: "C" }]);
  fleet.use([{ name: "A" }, { name: "C" }]);
  expect(fleet.isAvoided("A")).toBe(false);
});

test("an operator that a batch did not ask gets back the probe that it was allowed", () => {
  const clock = { ms: 0 };
  const fleet = createFleet(() => clock.ms);
  fleet.use([{ name: "A" }]);
  fleet.report(lost("A"));
  clock.ms = 5_000;
  expect([fleet.allow().get("A"), fleet.allow().get("A")]).toEqual([1, 0]);
  fleet.report(new Map());
  expect(fleet.allow().get("A")).toBe(1);
});

test("what all take in a second is known only if all have a rate", () => {
  const fleet = createFleet(() => 0);
  fleet.use([
    { name: "A", rate: 5 },
    { name: "B", rate: 7 },
  ]);
  expect(fleet.perSecond()).toBe(12);
  fleet.use([{ name: "A", rate: 5 }, { name: "B" }]);
  expect(fleet.perSecond()).toBe(Number.POSITIVE_INFINITY);
});
