import { expect, test } from "bun:test";
import { type Candidate, route } from "./route.ts";

const candidate = (fields: Partial<Candidate> = {}): Candidate => ({
  price: 100,
  weight: 1,
  free: 10,
  tried: false,
  ...fields,
});

test("the cheapest operator with room goes first", () => {
  expect(route([candidate({ price: 110 }), candidate({ price: 90 }), candidate()], () => 0.9)).toBe(1);
});

test("a full or tried operator is passed by, and there is none when all are", () => {
  const full = candidate({ price: 90, free: 0 });
  const tried = candidate({ price: 95, tried: true });
  expect(route([full, tried, candidate()], () => 0)).toBe(2);
  expect(route([full, tried], () => 0)).toBe(-1);
  expect(route([], () => 0)).toBe(-1);
});

test("operators of one price share by weight", () => {
  const candidates = [candidate({ price: 200 }), candidate({ weight: 3 }), candidate({ weight: 1 })];
  const chosen = Array.from({ length: 1_000 }, (_, i) => route(candidates, () => i / 1_000));
  expect(chosen.filter((index) => index === 1)).toHaveLength(750);
  expect(chosen.filter((index) => index === 2)).toHaveLength(250);
});
