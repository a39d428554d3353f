import { expect, test } from "bun:test";
import { createCustomerRates } from "./customer-rates.ts";
import { createFairQueue, QUANTUM_PARTS } from "./fair-queue.ts";

type Item = [customer: string, parts?: number];
const idOf = (name: string) => name.charCodeAt(0);

function queueOf(bounds: { customerMax?: number; totalMax?: number; partsPerS?: number } = {}) {
  const { customerMax = 1_000, totalMax = 1_000, partsPerS = 0 } = bounds;
  const clock = { ms: 0 };
  const rates = createCustomerRates(partsPerS, () => clock.ms);
  const queue = createFairQueue<Item>({
    customerOf: ([customer]) => idOf(customer),
    partsOf: ([, parts = 1]) => parts,
    customerMax,
    totalMax,
    ...(rates === undefined ? {} : { rates }),
  });
  const add = (customer: string, count: number, parts = 1) =>
    Array.from({ length: count }, () => queue.add([customer, parts])).filter((isIn) => isIn).length;
  const take = (most: number) =>
    queue
      .take(most)
      .map(([customer]) => customer)
      .join("");
  return { queue, add, take, clock };
}

test("a customer with one message waits for a turn of the others, not for all that they have", () => {
  const { add, take } = queueOf();
  add("f", 500);
  expect(take(3)).toBe("fff");
  add("a", 1);
  add("b", 2);
  expect(take(12)).toBe(`${"f".repeat(QUANTUM_PARTS - 3)}abbff`);
});

test("a turn ends where it was when the batch is full, and goes on with the next batch", () => {
  const { add, take } = queueOf();
  add("a", 30);
  add("b", 30);
  expect([take(4), take(4), take(4)]).toEqual(["aaaa", "aaaa", "aabb"]);
});

test("long messages count by their parts, and what a turn leaves over is kept for the next", () => {
  const { add, take } = queueOf();
  add("l", 4, 7);
  add("s", 40);
  // l: 10 parts, one message, 3 left; then 13, one message, 6 left; then 16, two messages.
  expect(take(25)).toBe(`l${"s".repeat(10)}l${"s".repeat(10)}lls`);
});

test("a batch of so many parts ends with the message that brings it there, and the next one goes on", () => {
  const { queue, add, take } = queueOf();
  add("l", 4, 7);
  add("s", 40);
  const parts = queue.take(100, 18).map(([, of]) => of);
  expect(parts).toEqual([7, ...Array<number>(10).fill(1), 7]);
  expect(queue.take(100, 1)).toEqual([["s", 1]]);
  expect(take(2)).toBe("ss");
  expect(queue.take(3, 100)).toHaveLength(3);
});

test("one that has been away does not catch up on the turns it missed", () => {
  const { add, take } = queueOf();
  add("a", 1);
  add("b", 100);
  expect(take(31)).toBe(`a${"b".repeat(30)}`);
  add("a", 30);
  expect(take(20)).toBe(`${"b".repeat(10)}${"a".repeat(10)}`);
});

test("a customer's share and the whole queue have bounds, and what is beyond them is not added", () => {
  const { queue, add } = queueOf({ customerMax: 3, totalMax: 5 });
  expect([add("a", 10), add("b", 1), add("c", 10)]).toEqual([3, 1, 1]);
  expect([queue.size(), queue.room()]).toEqual([5, 0]);
});

test("however many customers have much waiting, there is room for those who have little", () => {
  const { queue, add } = queueOf({ customerMax: 1_000, totalMax: 4_000 });
  const addAll = (count: number) => {
    for (const flood of "abcdefgh") add(flood, count);
  };
  addAll(1_000);
  for (let batches = 0; batches < 100; batches++) {
    queue.take(200);
    addAll(200);
  }
  expect(queue.size()).toBeGreaterThan(3_000);
  expect(queue.room()).toBeGreaterThan(20);
  expect(add("z", 20)).toBe(20);
});

test("a customer over its rate waits for it, and the others don't", () => {
  const { queue, add, take, clock } = queueOf({ partsPerS: 50 });
  add("f", 100);
  add("a", 2);
  expect(take(20)).toBe("fffffaa"); // a tenth of a second's parts at once
  expect(take(20)).toBe("");
  clock.ms += 40;
  expect(take(20)).toBe("ff");
  expect(queue.size()).toBe(93);
});

test("items can be taken out by what they are, wherever they stand", () => {
  const { queue, add, take } = queueOf();
  add("a", 2, 3);
  add("b", 1, 1);
  add("a", 1, 1);
  expect(queue.remove(([, parts]) => parts === 1)).toHaveLength(2);
  expect(queue.size()).toBe(2);
  expect(queue.heads()).toEqual([["a", 3]]);
  expect(take(9)).toBe("aa");
});
