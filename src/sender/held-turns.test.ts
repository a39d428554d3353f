import { expect, test } from "bun:test";
import { createCustomerRates } from "./customer-rates.ts";
import { createHeldTurns } from "./held-turns.ts";

function turnsOf(partsPerS = 0) {
  const clock = { ms: 0 };
  return { clock, turns: createHeldTurns(createCustomerRates(partsPerS, () => clock.ms)) };
}

test("customers take turns, and one that is found again keeps its place", () => {
  const { turns } = turnsOf();
  turns.found([1, 2, 3], false);
  expect([turns.next(), turns.next()]).toEqual([1, 2]);
  turns.found([1, 2, 3, 4], false);
  expect([turns.next(), turns.next(), turns.next()]).toEqual([3, 1, 2]);
  expect([turns.next(), turns.next()]).toEqual([4, 3]);
});

test("a customer whose batches have more parts gets fewer of them", () => {
  const { turns } = turnsOf();
  turns.found([1, 2], false);
  const parts: Record<number, number> = { 1: 600, 2: 200 };
  const taken: Record<number, number> = { 1: 0, 2: 0 };
  for (let n = 0; n < 40; n++) {
    const customer = turns.next() as number;
    turns.took(customer, parts[customer] as number);
    taken[customer] = (taken[customer] as number) + (parts[customer] as number);
  }
  expect(Math.abs((taken[1] as number) - (taken[2] as number))).toBeLessThanOrEqual(800);
});

test("those whose turns come next are named in order, and keep their places", () => {
  const { turns } = turnsOf();
  turns.found([1, 2, 3, 4], false);
  expect(turns.next()).toBe(1);
  expect(turns.after(2)).toEqual([2, 3]);
  expect(turns.after(9)).toEqual([2, 3, 4, 1]);
  expect(turns.next()).toBe(2);
});

test("who has had more than its turns fills up batches behind the others, who has had least of it first", () => {
  const { turns } = turnsOf();
  turns.found([1, 2, 3, 4], false);
  expect(turns.next()).toBe(1);
  turns.took(2, 500);
  turns.took(3, 1);
  expect(turns.after(9)).toEqual([4, 1, 3, 2]);
  expect(turns.after(3)).toEqual([4, 1, 3]);
});

test("who filled up others' batches for long has its turn again after those of ten batches", () => {
  const { turns } = turnsOf();
  turns.found([1, 2], false);
  for (let n = 0; n < 1_000; n++) turns.took(1, 200);
  const order = Array.from({ length: 12 }, () => turns.next());
  expect(order.indexOf(1)).toBe(10);
});

test("of all that have rows those that aren't named have none any more", () => {
  const { turns } = turnsOf();
  turns.found([1, 2, 3], true);
  turns.found([3, 4], true);
  expect([turns.next(), turns.next(), turns.next()]).toEqual([3, 4, 3]);
  turns.found([5], false);
  expect([turns.next(), turns.next(), turns.next()]).toEqual([4, 3, 5]);
});

test("a customer without rows leaves the turns", () => {
  const { turns } = turnsOf();
  turns.found([1, 2], false);
  turns.ended(1);
  expect([turns.next(), turns.next()]).toEqual([2, 2]);
  turns.ended(2);
  expect([turns.next(), turns.isEmpty()]).toEqual([null, true]);
});

test("a customer over its rate is passed over until its time comes", () => {
  const { turns, clock } = turnsOf(100);
  turns.found([1, 2], false);
  expect(turns.next()).toBe(1);
  turns.took(1, 60);
  expect([turns.next(), turns.next()]).toEqual([2, 2]);
  turns.took(2, 60);
  expect(turns.next()).toBeNull();
  clock.ms += 600;
  expect(turns.next()).toBe(1);
});
