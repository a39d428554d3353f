import { expect, test } from "bun:test";
import { type Candidate, candidatesFor, route } from "./route.ts";

const candidate = (fields: Partial<Candidate> = {}): Candidate => ({
  operator: 0,
  price: 100,
  weight: 1,
  free: 10,
  tried: false,
  ...fields,
});

test("the cheapest operator with room goes first", () => {
  const cheap = candidate({ price: 90 });
  expect(route([candidate({ price: 110 }), cheap, candidate()], () => 0.9)).toBe(cheap);
});

test("a full or tried operator is skipped, and there is none when all are", () => {
  const full = candidate({ price: 90, free: 0 });
  const tried = candidate({ price: 95, tried: true });
  const left = candidate();
  expect(route([full, tried, left], () => 0)).toBe(left);
  expect(route([full, tried], () => 0)).toBeNull();
  expect(route([], () => 0)).toBeNull();
});

test("operators of one price share by weight", () => {
  const candidates = [candidate({ price: 200 }), candidate({ weight: 3 }), candidate({ weight: 1 })];
  const chosen = Array.from({ length: 1_000 }, (_, i) => route(candidates, () => i / 1_000));
  expect(chosen.filter((one) => one === candidates[1])).toHaveLength(750);
  expect(chosen.filter((one) => one === candidates[2])).toHaveLength(250);
});

test("candidates are those with the longest prefix of the phone, each with its index, price and weight", () => {
  const operators = [["+"], ["+98", "+1"], ["+9891"], ["+", "+9891"]].map((prefixes, at) => ({
    price: 100 + at,
    weight: 1 + at,
    prefixes,
  }));
  const of = (phone: string) => candidatesFor(operators, phone).map(({ operator }) => operator);
  expect(of("+989121234567")).toEqual([2, 3]);
  expect(of("+982112345678")).toEqual([1]);
  expect(of("+14155552671")).toEqual([1]);
  expect(of("+4915112345678")).toEqual([0, 3]);
  expect(candidatesFor(operators, "+982112345678")).toEqual([
    { operator: 1, price: 101, weight: 2, free: 0, tried: false },
  ]);
});

test("a number that no operator serves has no candidate", () => {
  const only = [{ price: 1, weight: 1, prefixes: ["+98"] }];
  expect(candidatesFor(only, "+14155552671")).toEqual([]);
  expect(candidatesFor([], "+14155552671")).toEqual([]);
});
