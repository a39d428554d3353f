// In which order what waits is taken.

import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds } from "../../test/support/seed.ts";
import { COMMIT_ROWS_MAX } from "../core/limits.ts";
import { createFairQueue, type FairQueue } from "./fair-queue.ts";

type Item = { record: { customerId: number }; others: readonly unknown[]; n: number };
let queue: FairQueue<Item>;
let n = 0;
beforeEach(() => {
  queue = createFairQueue(COMMIT_ROWS_MAX);
  n = 0;
});
const push = (customerId: number, messages = 1): Item => {
  const item = { record: { customerId }, others: Array.from({ length: messages - 1 }), n: n++ };
  queue.push(item);
  return item;
};
const flood = (customerId: number, items: number, messages = 1): void => {
  for (let at = 0; at < items; at++) push(customerId, messages);
};
const rowsOf = (items: readonly Item[]): number =>
  items.reduce((sum, { others }) => sum + 1 + others.length, 0);
const ownersOf = (items: readonly Item[]): Record<number, number> => {
  const rows: Record<number, number> = {};
  for (const { record, others } of items)
    rows[record.customerId] = (rows[record.customerId] ?? 0) + 1 + others.length;
  return rows;
};

test("what one commit takes is taken as it came, whoever's it is", () => {
  const all = [push(1), push(2), push(1, 100), push(3, 50)];
  expect(queue.rows()).toBe(152);
  expect(queue.take()).toEqual(all);
  expect([queue.rows(), queue.take()]).toEqual([0, []]);
  const next = push(2);
  expect(queue.take()).toEqual([next]);
});

describe("what more than one commit takes", () => {
  test("is taken in turn: a flood of one does not hold up another's message", () => {
    flood(1, 10 * COMMIT_ROWS_MAX);
    const other = push(2);
    expect(ownersOf(queue.take())).toEqual({ 1: COMMIT_ROWS_MAX });
    const second = queue.take();
    expect(rowsOf(second)).toBe(COMMIT_ROWS_MAX);
    expect(second).toContain(other);
    flood(3, 10);
    expect(ownersOf(queue.take())).toEqual({ 1: COMMIT_ROWS_MAX - 10, 3: 10 });
    expect(queue.rows()).toBe(10 * COMMIT_ROWS_MAX + 11 - 3 * COMMIT_ROWS_MAX);
  });

  test("is shared equally, by messages, not by requests", () => {
    flood(9, 1, COMMIT_ROWS_MAX);
    flood(1, 1_000);
    flood(2, 200, 5);
    flood(3, 20, 50);
    expect(ownersOf(queue.take())).toEqual({ 9: COMMIT_ROWS_MAX });
    const taken = { 1: 0, 2: 0, 3: 0 } as Record<number, number>;
    for (let commits = 0; commits < 15; commits++)
      for (const [id, rows] of Object.entries(ownersOf(queue.take())))
        taken[Number(id)] = (taken[Number(id)] ?? 0) + rows;
    for (const rows of Object.values(taken))
      expect(Math.abs(rows - (taken[1] as number))).toBeLessThanOrEqual(60);
    expect(taken[1]).toBeGreaterThan(500);
  });

  test("of many customers comes to each of them in as many commits as it takes", () => {
    flood(1, 2_000);
    for (let id = 2; id < 52; id++) flood(id, 3);
    queue.take();
    const rest = [queue.take(), queue.take()].flat();
    for (let id = 2; id < 52; id++)
      expect(rest.filter(({ record }) => record.customerId === id)).toHaveLength(3);
  });
});

test("everything is taken once, in its customer's order, and no commit is too large", () => {
  const step = fc.oneof(
    fc.record({
      customerId: fc.integer({ min: 1, max: 4 }),
      messages: fc.integer({ min: 1, max: COMMIT_ROWS_MAX }),
    }),
    fc.record({ customerId: fc.integer({ min: 1, max: 4 }), messages: fc.constant(1) }),
    fc.constant(null),
  );
  holds("fair-queue", fc.array(step, { maxLength: 200 }), (steps) => {
    queue = createFairQueue(COMMIT_ROWS_MAX);
    n = 0;
    const taken: Item[] = [];
    let left = 0;
    const take = () => {
      const items = queue.take();
      expect(rowsOf(items)).toBeLessThanOrEqual(COMMIT_ROWS_MAX);
      expect(items.length > 0).toBe(left > 0);
      left -= rowsOf(items);
      expect(queue.rows()).toBe(left);
      taken.push(...items);
    };
    for (const one of steps) {
      if (one === null) {
        take();
        continue;
      }
      push(one.customerId, one.messages);
      left += one.messages;
    }
    while (left > 0) take();
    expect(new Set(taken).size).toBe(n);
    for (let id = 1; id <= 4; id++) {
      const order = taken.filter(({ record }) => record.customerId === id).map((item) => item.n);
      expect(order).toEqual(order.toSorted((a, b) => a - b));
    }
  });
});
