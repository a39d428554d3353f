import { expect, test } from "bun:test";
import fc from "fast-check";
import { operatorTerms } from "../../test/support/operator-terms.ts";
import { holds } from "../../test/support/seed.ts";
import { type Lane, LANES } from "../core/message.ts";
import {
  type Candidate,
  candidatesOf,
  createRouter,
  draw,
  linkOf,
  type NamedRoute,
  route,
  type Tiers,
} from "./route.ts";
import type { OperatorTerms } from "./terms.ts";

const candidate = (fields: Partial<Candidate> = {}): Candidate => ({
  operator: "A",
  tier: 1,
  weight: 1,
  split: false,
  allowed: true,
  free: 10,
  tried: false,
  ...fields,
});
const names = (tiers: Tiers | undefined) => tiers?.map((shares) => shares.map(({ operator }) => operator));

test("an operator of the lowest tier with room goes first", () => {
  const first = candidate({ tier: 0 });
  expect(route([candidate({ tier: 2 }), first, candidate()], () => 0.9)).toBe(first);
});

test("a full or tried operator is skipped, and there is none when all are", () => {
  const full = candidate({ tier: 0, free: 0 });
  const tried = candidate({ tier: 0, tried: true });
  const left = candidate();
  expect(route([full, tried, left], () => 0)).toBe(left);
  expect(route([full, tried], () => 0)).toBeNull();
  expect(route([], () => 0)).toBeNull();
});

test("operators of one tier share by weight", () => {
  const candidates = [candidate({ tier: 2 }), candidate({ weight: 3 }), candidate({ weight: 1 })];
  const chosen = Array.from({ length: 1_000 }, (_, i) => route(candidates, () => i / 1_000));
  expect(chosen.filter((one) => one === candidates[1])).toHaveLength(750);
  expect(chosen.filter((one) => one === candidates[2])).toHaveLength(250);
});

test("a message falls to an operator of a split by its share, also if that one is full, but not if it's avoided", () => {
  const full = candidate({ operator: "A", split: true, weight: 75, free: 0 });
  const other = candidate({ operator: "B", split: true, weight: 25 });
  const later = candidate({ operator: "C", tier: 2 });
  const drawn = Array.from({ length: 100 }, (_, i) => draw([full, other, later], () => i / 100));
  expect(drawn.filter((one) => one === full)).toHaveLength(75);
  expect(drawn.filter((one) => one === other)).toHaveLength(25);
  full.allowed = false;
  expect(draw([full, other, later], () => 0)).toBe(other);
  other.tried = true;
  expect(draw([full, other, later], () => 0)).toBeNull();
  expect(draw([candidate(), candidate()], () => 0)).toBeNull();
});

test("only a route's tier of several operators is a split", () => {
  const shares = [
    { operator: "A", weight: 80 },
    { operator: "B", weight: 20 },
  ];
  const tiers = [shares, [{ operator: "C", weight: 1 }]];
  const splits = (route: string | null) =>
    candidatesOf({ prefix: "+", route, tiers, link: "A B C" }).map((c) => c.split);
  expect(splits("compare")).toEqual([true, true, false]);
  expect(splits(null)).toEqual([false, false, false]);
});

test("the longest prefix of a phone decides, by priority, then price; equals share", () => {
  const router = createRouter(
    [
      operatorTerms({ name: "dear", prefixes: ["+98"], price: 9 }),
      operatorTerms({ name: "late", prefixes: ["+98"], price: 1, priority: 1 }),
      operatorTerms({ name: "cheap", prefixes: ["+98", "+1"], price: 5, weight: 2 }),
      operatorTerms({ name: "equal", prefixes: ["+98"], price: 5 }),
      operatorTerms({ name: "mobile", prefixes: ["+9891"], price: 99 }),
    ],
    [],
  );
  const found = router.find("+982112345678", "normal");
  expect(found).toMatchObject({ prefix: "+98", route: null });
  expect(found?.tiers[0]).toEqual([
    { operator: "cheap", weight: 2 },
    { operator: "equal", weight: 1 },
  ]);
  expect(names(found?.tiers)).toEqual([["cheap", "equal"], ["dear"], ["late"]]);
  expect(names(router.find("+989121234567", "normal")?.tiers)).toEqual([["mobile"]]);
  expect(router.find("+4915112345678", "normal")).toBeNull();
  expect(candidatesOf(null)).toEqual([]);
});

test("an operator takes only its lanes; one without lanes takes nothing", () => {
  const router = createRouter(
    [
      operatorTerms({ name: "N", lanes: ["normal"], prefixes: ["+9891"] }),
      operatorTerms({ name: "both" }),
      operatorTerms({ name: "none", lanes: [] }),
    ],
    [],
  );
  expect(names(router.find("+989121234567", "normal")?.tiers)).toEqual([["N"]]);
  expect(names(router.find("+989121234567", "express")?.tiers)).toEqual([["both"]]);
});

test("a route of the same prefix goes before the operators' own terms, and a longer prefix before both", () => {
  const only = (operator: string): Tiers => [[{ operator, weight: 1 }]];
  const routes: NamedRoute[] = [
    { name: "r", prefixes: ["+98"], lanes: ["normal"], tiers: only("B") },
    { name: "spare", prefixes: [], lanes: ["normal"], tiers: only("A") },
  ];
  const operators = [
    operatorTerms({ name: "A", prefixes: ["+98", "+9891"] }),
    operatorTerms({ name: "B", prefixes: ["+98"] }),
  ];
  const router = createRouter(operators, routes);
  expect(router.find("+982112345678", "normal")).toMatchObject({ route: "r", tiers: only("B") });
  expect(router.find("+982112345678", "express")).toMatchObject({ route: null, prefix: "+98" });
  expect(router.find("+989121234567", "normal")).toMatchObject({ route: null, prefix: "+9891" });
});

test("messages that the same operators may take are of one link, in whatever order those are asked", () => {
  const only = (...names: string[]): Tiers => names.map((operator) => [{ operator, weight: 1 }]);
  const routes: NamedRoute[] = [
    { name: "r", prefixes: ["+9891"], lanes: ["normal"], tiers: only("B", "A") },
    { name: "s", prefixes: ["+9893"], lanes: ["normal"], tiers: only("B") },
  ];
  const operators = [
    operatorTerms({ name: "A", prefixes: ["+98"], price: 1 }),
    operatorTerms({ name: "B", prefixes: ["+98"], price: 2 }),
  ];
  const router = createRouter(operators, routes);
  const of = (phone: string, lane: Lane = "normal") => linkOf(router, { phone, lane });
  expect([of("+982112345678"), of("+989121234567"), of("+989351234567")]).toEqual(["A B", "A B", "B"]);
  expect(of("+989351234567", "express")).toBe("A B");
  expect(of("+4915112345678")).toBe("");
});

// The simplest model: goes through everything for each message.
function modelOf(
  operators: readonly OperatorTerms[],
  routes: readonly NamedRoute[],
  phone: string,
  lane: Lane,
) {
  const matches = (prefixes: readonly string[]) => prefixes.filter((prefix) => phone.startsWith(prefix));
  const taking = operators.filter((o) => o.lanes.includes(lane));
  const deciding = routes.filter((r) => r.lanes.includes(lane));
  const all = [...taking, ...deciding].flatMap(({ prefixes }) => matches(prefixes));
  const longest = Math.max(0, ...all.map((prefix) => prefix.length));
  const has = ({ prefixes }: { prefixes: readonly string[] }) =>
    matches(prefixes).some((prefix) => prefix.length === longest);
  const decides = deciding.find(has);
  if (decides !== undefined) return decides.tiers.map((shares) => shares.map((s) => s.operator).toSorted());
  const left = taking.filter(has);
  const ranks = [...new Set(left.map((o) => o.priority * 1e6 + o.price))].toSorted((a, b) => a - b);
  return ranks.map((rank) =>
    left
      .filter((o) => o.priority * 1e6 + o.price === rank)
      .map((o) => o.name)
      .toSorted(),
  );
}

test("any table finds what going through everything finds", () => {
  const prefix = fc.stringMatching(/^\+(9|98|989|1|12)?$/);
  const someLanes = fc.subarray([...LANES]);
  const operator = fc.record({
    prefixes: fc.uniqueArray(prefix, { minLength: 1, maxLength: 3 }),
    lanes: someLanes,
    priority: fc.integer({ min: 0, max: 2 }),
    price: fc.integer({ min: 1, max: 3 }),
  });
  const tables = fc.record({
    operators: fc.array(operator, { minLength: 1, maxLength: 6 }),
    // Routes of a file don't overlap.
    routes: fc.uniqueArray(fc.record({ prefix, lanes: someLanes }), {
      selector: (r) => r.prefix,
      maxLength: 3,
    }),
  });
  const phone = fc.stringMatching(/^\+[19][0-9]{3,5}$/);
  holds(
    "routes",
    fc.record({ table: tables, e164: phone, lane: fc.constantFrom(...LANES) }),
    ({ table, e164, lane }) => {
      const operators = table.operators.map((terms, n) => operatorTerms({ ...terms, name: `o${n}` }));
      const routes = table.routes.map((r, n): NamedRoute => {
        const tiers = [[{ operator: `o${n}`, weight: 1 }]];
        return { name: `r${n}`, prefixes: [r.prefix], lanes: r.lanes, tiers };
      });
      const found = createRouter(operators, routes).find(e164, lane);
      const tiers = (found?.tiers ?? []).map((shares) => shares.map((s) => s.operator).toSorted());
      expect(tiers).toEqual(modelOf(operators, routes, e164, lane));
    },
  );
});
