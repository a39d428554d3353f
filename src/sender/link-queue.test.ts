import { expect, test } from "bun:test";
import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import { createLinkQueue } from "./link-queue.ts";

type Item = [link: string, customer: number];

function queueOf(totalMax: number, customerMax = Number.POSITIVE_INFINITY) {
  const slow = new Set<string>();
  const queue = createLinkQueue<Item>({
    linkOf: ([link]) => link,
    customerOf: ([, customer]) => customer,
    partsOf: () => 1,
    customerMax,
    totalMax,
  });
  /** Each of another customer, unless one is named; returns how many found room. */
  const add = (link: string, count: number, customer?: number) =>
    Array.from({ length: count }, (_, n) => queue.add([link, customer ?? n], slow)).filter(Boolean).length;
  return { queue, slow, add };
}

test("one link alone has totalMax items; others have as many as are still free", () => {
  const { queue, add } = queueOf(100);
  expect(queue.room(new Set())).toBe(100);
  expect(add("A", 150)).toBe(100);
  expect(queue.room(new Set())).toBe(0);
  expect([add("B", 150), add("C", 150), add("D", 150)]).toEqual([50, 25, 12]);
  expect(queue.size()).toBeLessThan(200);
  queue.take("A", 100);
  expect(queue.room(new Set())).toBe(31);
  expect(add("E", 31)).toBe(31);
});

test("a slow link has a batch's worth at most, and what it has keeps nobody from reading on", () => {
  const { queue, slow, add } = queueOf(1_000);
  slow.add("A");
  expect(add("A", 500)).toBe(CLAIM_ROWS_MAX);
  slow.clear();
  expect(add("A", 1_000)).toBe(1_000 - CLAIM_ROWS_MAX);
  expect(queue.room(slow)).toBe(0);
  slow.add("A");
  expect(queue.room(slow)).toBe(500);
  expect([add("A", 1), add("B", 500)]).toEqual([0, 500]);
});

test("the items of a link are taken by themselves, its customers in turns", () => {
  const { queue, add } = queueOf(1_000);
  add("A", 50, 7);
  add("B", 3, 7);
  add("A", 2, 8);
  expect(queue.links()).toEqual(["A", "B"]);
  const taken = queue.take("A", 15).map(([, customer]) => customer);
  expect(taken.join("")).toBe("777777777788777");
  expect(queue.take("B", 15)).toHaveLength(3);
  expect(queue.links()).toEqual(["A"]);
  expect(queue.take("B", 15)).toEqual([]);
  expect([queue.size(), queue.heads()]).toEqual([37, [["A", 7]]]);
});

test("a customer's share is one for each link: what it has waiting of one takes nothing from another", () => {
  const { add } = queueOf(1_000, 20);
  expect([add("A", 50, 7), add("B", 50, 7), add("A", 5, 8)]).toEqual([20, 20, 5]);
});
