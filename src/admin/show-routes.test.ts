// What `route explain` says.

import { expect, test } from "bun:test";
import { operatorTerms } from "../../test/support/operator-terms.ts";
import type { OperatorSpec } from "../operators/connectors/kinds.ts";
import type { OperatorTerms } from "../operators/terms.ts";
import { explain } from "../operators/explain.ts";
import { asText } from "./show-routes.ts";

const operator = (terms: Partial<OperatorTerms>): OperatorSpec => ({
  ...operatorTerms(terms),
  kind: "http",
  url: "http://a/submit",
});
const file = {
  operators: [
    operator({ name: "A", price: 90 }),
    operator({ name: "B", price: 100, weight: 2 }),
    operator({ name: "C", price: 100, lanes: ["normal"], prefixes: ["+98", "+"] }),
    operator({ name: "D", price: 10, priority: 1, prefixes: ["+98"] }),
  ],
  routes: [
    {
      name: "compare",
      prefixes: ["+98912"],
      lanes: ["normal"] as const,
      tiers: [
        [
          { operator: "A", weight: 80 },
          { operator: "B", weight: 20 },
        ],
        [{ operator: "C", weight: 1 }],
      ],
    },
  ],
};

test("a route is named, with the shares of its split and its fallback after them", () => {
  expect(asText("+989121234567", explain(file, "+989121234567", ["normal"])).split("\n")).toEqual([
    "+989121234567, normal: the prefix +98912 decides, by the route compare",
    "  1. A for 80 %: route compare, weight 80 of 100",
    "  1. B for 20 %: route compare, weight 20 of 100",
    "  2. C: route compare",
  ]);
});

test("without a route the operators' own terms are named, lane by lane", () => {
  const phone = "+14155552671";
  expect(asText(phone, explain(file, phone, ["normal", "express"])).split("\n")).toEqual([
    "+14155552671, normal: the prefix + decides, by the operators' own terms",
    "  1. A: priority 0, price 90",
    "  2. B for 66.7 %: priority 0, price 100, weight 2 of 3",
    "  2. C for 33.3 %: priority 0, price 100, weight 1 of 3",
    "+14155552671, express: the prefix + decides, by the operators' own terms",
    "  1. A: priority 0, price 90",
    "  2. B: priority 0, price 100",
  ]);
  expect(explain(file, "+989351234567", ["express"])).toEqual([
    {
      lane: "express",
      prefix: "+98",
      route: null,
      operators: [{ operator: "D", tier: 1, share: 1, why: "priority 1, price 10" }],
    },
  ]);
});

test("a number that nobody takes says so", () => {
  const narrow = { operators: [operator({ prefixes: ["+98"] })], routes: [] };
  expect(asText("+14155552671", explain(narrow, "+14155552671", ["express"]))).toBe(
    "+14155552671, express: no operator takes this number in this lane",
  );
});
