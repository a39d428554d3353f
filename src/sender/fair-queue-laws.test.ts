// Laws of the fair queue, for any items and any order of adding and taking. What they say about customers by
// name is in fair-queue.test.ts.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { allowSlowRuns, holds } from "../../test/support/seed.ts";
import { createFairQueue, type FairQueue, QUANTUM_PARTS } from "./fair-queue.ts";

allowSlowRuns();

type Item = { customer: number; parts: number; n: number };
const CUSTOMER_MAX = 8;
const TOTAL_MAX = 30;
const queueOf = (customerMax = CUSTOMER_MAX, totalMax = TOTAL_MAX): FairQueue<Item> =>
  createFairQueue<Item>({
    customerOf: ({ customer }) => customer,
    partsOf: ({ parts }) => parts,
    customerMax,
    totalMax,
  });

const added = fc.record({ customer: fc.integer({ min: 1, max: 6 }), parts: fc.integer({ min: 1, max: 10 }) });
const steps = fc.array(
  fc.oneof({ weight: 3, arbitrary: added }, { weight: 1, arbitrary: fc.nat({ max: 12 }) }),
  { maxLength: 120 },
);

/** Adds items and takes numbers of them; returns what came out, and what the queue didn't take. */
function play(queue: FairQueue<Item>, of: readonly (number | Omit<Item, "n">)[]) {
  const out: Item[] = [];
  const refused: Item[] = [];
  const model = new Map<number, number>();
  let n = 0;
  for (const step of of) {
    if (typeof step === "number") {
      for (const item of queue.take(step)) {
        out.push(item);
        model.set(item.customer, (model.get(item.customer) ?? 0) - 1);
      }
      continue;
    }
    const item = { ...step, n: n++ };
    const own = model.get(item.customer) ?? 0;
    const all = [...model.values()].reduce((sum, one) => sum + one, 0);
    const isRoom = own < CUSTOMER_MAX && all < TOTAL_MAX;
    expect(queue.add(item)).toBe(isRoom);
    if (isRoom) model.set(item.customer, own + 1);
    else refused.push(item);
    expect(queue.size()).toBe(all + Number(isRoom));
    expect(queue.room()).toBe(TOTAL_MAX - queue.size());
  }
  return { out, refused, count: n };
}

test("whatever is added comes out once, each customer's in order, and within the bounds everything is taken", () => {
  holds("a fair queue loses nothing", steps, (of) => {
    const queue = queueOf();
    const { out, refused, count } = play(queue, of);
    out.push(...queue.take(Number.POSITIVE_INFINITY));
    expect(queue.size()).toBe(0);
    expect([...out, ...refused].map(({ n }) => n).sort((a, b) => a - b)).toEqual(
      Array.from({ length: count }, (_, n) => n),
    );
    for (const own of Map.groupBy(out, ({ customer }) => customer).values())
      expect(own.map(({ n }) => n)).toEqual(own.map(({ n }) => n).sort((a, b) => a - b));
  });
});

test("among customers that all have more waiting, none is two turns' parts ahead of another", () => {
  const backlog = fc.array(fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 20, maxLength: 40 }), {
    minLength: 2,
    maxLength: 5,
  });
  const takes = fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 1, maxLength: 30 });
  holds("a fair queue is fair", fc.tuple(backlog, takes), ([customers, sizes]) => {
    const unbounded = Number.POSITIVE_INFINITY;
    const queue = queueOf(unbounded, unbounded);
    const left = customers.map((parts) => parts.length);
    const served = customers.map(() => 0);
    customers.forEach((parts, customer) => parts.forEach((one, n) => queue.add({ customer, parts: one, n })));
    for (const size of sizes) {
      for (const { customer, parts } of queue.take(size)) {
        served[customer] = (served[customer] ?? 0) + parts;
        left[customer] = (left[customer] ?? 0) - 1;
      }
      if (left.some((n) => n === 0)) return;
      expect(Math.max(...served) - Math.min(...served)).toBeLessThan(2 * QUANTUM_PARTS);
    }
  });
});

test("giving back what was just taken changes nothing", () => {
  holds("giveBack undoes take", steps, (of) => {
    const [one, other] = [queueOf(), queueOf()];
    play(one, of);
    play(other, of);
    for (const item of one.take(1)) one.giveBack(item);
    expect(one.size()).toBe(other.size());
    expect(one.take(TOTAL_MAX)).toEqual(other.take(TOTAL_MAX));
  });
});
