// Leases in memory: what is taken is counted, and a lease that is dropped can never be mistaken for the next.

import { expect, test } from "bun:test";
import { neverGone } from "../core/caller.ts";
import { createLeaseTable, type Waiter } from "./lease-table.ts";

const waiter = (): Waiter => ({
  cost: 500,
  untilMs: 0,
  isGone: neverGone,
  resolve: () => {},
  reject: () => {},
});

test("a customer without a lease gets an empty one, which is then the customer's own", () => {
  const table = createLeaseTable();
  const lease = table.of(7);
  expect(lease).toEqual({
    customerId: 7,
    epoch: 1,
    available: 0,
    inFlight: 0,
    elsewhere: 0,
    held: false,
    goodUntilMs: Number.POSITIVE_INFINITY,
    strict: false,
    waiting: [],
    refilling: false,
    unit: 0,
    spentThisTick: 0,
    rate: 0,
    idleTicks: 0,
  });
  expect(table.of(7)).toBe(lease);
  expect(table.isCurrent(lease)).toBe(true);
  expect([...table.leases.keys()]).toEqual([7]);
});

test("what is taken moves from available to in flight, so their sum stays", () => {
  const table = createLeaseTable();
  const lease = table.of(7);
  Object.assign(lease, { available: 2_000, idleTicks: 3 });
  table.take(lease, 500);
  table.take(lease, 700);
  expect(lease).toMatchObject({
    available: 800,
    inFlight: 1_200,
    spentThisTick: 1_200,
    unit: 700,
    idleTicks: 0,
  });
});

test("every lease has an epoch that no other lease of this process has", () => {
  const table = createLeaseTable();
  const epochs = [table.of(7).epoch, table.of(8).epoch, table.drop(table.of(7)).epoch];
  table.forget(table.of(8));
  epochs.push(table.of(8).epoch);
  expect(epochs).toEqual([1, 2, 3, 4]);
});

test("a dropped lease spends nothing more; the next one inherits who waits and what is known of the customer", () => {
  const table = createLeaseTable();
  const old = table.of(7);
  const waits = [waiter(), waiter()];
  Object.assign(old, { available: 900, inFlight: 500, held: true, waiting: waits, rate: 12, unit: 500 });
  const next = table.drop(old);
  expect(old).toMatchObject({ available: 0, inFlight: 500, waiting: [] });
  expect(next).toMatchObject({ available: 0, inFlight: 0, held: false, rate: 12, unit: 500 });
  expect(next.waiting).toBe(waits);
  expect(table.of(7)).toBe(next);
  expect([table.isCurrent(old), table.isCurrent(next)]).toEqual([false, true]);
  expect(table.dropped()).toMatchObject([{ customerId: 7, epoch: 1 }]);
});

test("forgetting ends the customer's lease, but never the one that took its place", () => {
  const table = createLeaseTable();
  const old = table.of(7);
  const next = table.drop(old);
  table.forget(old);
  expect(table.of(7)).toBe(next);
  table.forget(next);
  expect(table.leases.size).toBe(0);
});

test("a dropped lease is left to the reaper for 16 renewals, so that none keeps its row alive", () => {
  const table = createLeaseTable();
  table.drop(table.of(7));
  table.leave({ customerId: 8, epoch: 5 });
  for (let i = 0; i < 15; i++) table.renewed();
  expect(table.dropped()).toMatchObject([
    { customerId: 7, epoch: 1 },
    { customerId: 8, epoch: 5 },
  ]);
  table.leave({ customerId: 9, epoch: 6 });
  table.renewed();
  expect(table.dropped()).toMatchObject([{ customerId: 9, epoch: 6 }]);
});
