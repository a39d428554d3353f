// Leases in memory: every method changes exactly what it should, refuses what would break the invariant, and
// a lease that has left the table is never mistaken for the next one.

import { describe, expect, test } from "bun:test";
import { neverGone } from "../core/caller.ts";
import {
  createLeaseTable,
  type Granted,
  isCold,
  isQuiet,
  type Lease,
  type Reservation,
  type Waiter,
} from "./lease-table.ts";

const waiter = (cost = 500): Waiter => ({
  cost,
  unit: cost,
  untilMs: 0,
  isGone: neverGone,
  rider: null,
  resolve: () => {},
  reject: () => {},
});
const grant = (granted: number, fields: Partial<Granted> = {}): Granted => ({
  granted,
  own: 0,
  elsewhere: 0,
  strict: false,
  ...fields,
});
function holding(amount: number) {
  const table = createLeaseTable();
  const lease = table.of(7);
  table.granted(lease, grant(amount, { elsewhere: 50 }), 1_000);
  return { table, lease };
}

test("a customer without a lease gets an empty one, which is then the customer's own", () => {
  const table = createLeaseTable();
  const lease = table.of(7);
  expect(lease).toEqual({
    customerId: 7,
    epoch: 1,
    granted: 0,
    spent: 0,
    available: 0,
    inFlight: 0,
    elsewhere: 0,
    held: false,
    doubtful: false,
    strict: false,
    refilling: false,
    waiting: [],
    unit: 0,
    taken: 0,
    grantedAtMs: 0,
    takenAtMs: 0,
    low: 0,
  });
  expect(table.of(7)).toBe(lease);
  expect(table.isCurrent(lease)).toBe(true);
  expect([...table.leases.keys()]).toEqual([7]);
});

describe("spending", () => {
  test("what is taken moves from available to in flight, and the reservation says what is left", () => {
    const { table, lease } = holding(2_000);
    expect(table.take(lease, 500, 7)).toEqual({ lease, cost: 500, balanceAfter: 1_550 });
    table.take(lease, 700, 9);
    expect(lease).toMatchObject({ available: 800, inFlight: 1_200, taken: 1_200, unit: 700, takenAtMs: 9 });
    expect(table.totals()).toEqual({ available: 800, waiting: 0 });
  });

  test("what is committed is spent; what was not stored is available again", () => {
    const { table, lease } = holding(1_000);
    const [one, other] = [table.take(lease, 300, 0), table.take(lease, 200, 0)];
    table.committed(one);
    expect(lease).toMatchObject({ available: 500, inFlight: 200, granted: 1_000, spent: 300 });
    table.giveBack(other);
    expect(lease).toMatchObject({ available: 700, inFlight: 0, granted: 1_000, spent: 300 });
    expect(table.totals().available).toBe(700);
  });

  test("more than is available can't be taken, and nothing can be committed or given back twice", () => {
    const { table, lease } = holding(500);
    expect(() => table.take(lease, 501, 0)).toThrow("no more than it was granted");
    const again = holding(500);
    const reservation = again.table.take(again.lease, 500, 0);
    again.table.committed(reservation);
    expect(() => again.table.committed(reservation)).toThrow("no more than it was granted");
    const third = holding(500);
    const back = third.table.take(third.lease, 500, 0);
    third.table.giveBack(back);
    expect(() => third.table.giveBack(back)).toThrow("no more than it was granted");
  });

  test("a lease that holds more than it was granted stops the process at its next change, whatever that is", () => {
    const changes: ((table: ReturnType<typeof createLeaseTable>, inFlight: Reservation) => unknown)[] = [
      (table, { lease }) => table.take(lease, 1, 0),
      (table, inFlight) => table.committed(inFlight),
      (table, inFlight) => table.giveBack(inFlight),
      (table, { lease }) => table.granted(lease, grant(0), 0),
      (table, { lease }) => table.empty(lease),
      (table, { lease }) => table.drop(lease),
    ];
    for (const change of changes) {
      const { table, lease } = holding(1_000);
      table.committed(table.take(lease, 300, 0));
      const inFlight = table.take(lease, 200, 0);
      Object.assign(lease, { granted: 400 });
      expect(() => change(table, inFlight)).toThrow("no more than it was granted");
    }
  });

  test("an unknown outcome can only belong to a dropped lease, and frees nothing", () => {
    const { table, lease } = holding(500);
    const reservation = table.take(lease, 200, 0);
    expect(() => table.lost(reservation)).toThrow("dropped first");
    table.drop(lease);
    table.lost(reservation);
    expect(lease).toMatchObject({ available: 0, inFlight: 0, granted: 500, spent: 0 });
    expect(() => table.lost(reservation)).toThrow("no more than it was granted");
  });
});

describe("refilling", () => {
  test("a grant adds to what is available, says what is elsewhere, and begins a new count", () => {
    const { table, lease } = holding(500);
    table.take(lease, 200, 0);
    table.granted(lease, grant(400, { own: 500, elsewhere: 90, strict: true }), 5_000);
    expect(lease).toMatchObject({ granted: 900, available: 700, inFlight: 200, held: true });
    expect(lease).toMatchObject({ elsewhere: 90, strict: true, taken: 0, grantedAtMs: 5_000 });
  });

  test("a grant never takes back what is available here", () => {
    const { table, lease } = holding(500);
    expect(() => table.granted(lease, grant(-501), 0)).toThrow("no more than it was granted");
  });

  test("a grant of nothing makes no row", () => {
    const { lease } = holding(0);
    expect(lease).toMatchObject({ held: false, available: 0, granted: 0 });
  });

  test("an empty lease takes over the credit of a grant whose answer was lost", () => {
    const table = createLeaseTable();
    const lease = table.of(7);
    table.doubt(lease);
    expect(lease.doubtful).toBe(true);
    table.granted(lease, grant(100, { own: 300 }), 0);
    expect(lease).toMatchObject({ available: 400, granted: 400, held: true, doubtful: false });
  });

  test("it is low below a quarter of what was left when those that waited were served", () => {
    const { table, lease } = holding(1_000);
    table.take(lease, 200, 0);
    table.served(lease);
    table.take(lease, 100, 0);
    expect(lease.low).toBe(200);
  });

  test("those that wait are counted, keep their order, and show what a message usually costs", () => {
    const table = createLeaseTable();
    const lease = table.of(7);
    const waits = [waiter(500), waiter(700)];
    for (const one of waits) table.wait(lease, one);
    expect([lease.unit, table.totals().waiting, isQuiet(lease)]).toEqual([500, 2, false]);
    expect(table.takeWaiting(lease)).toEqual(waits);
    expect([lease.waiting, table.totals().waiting, isQuiet(lease)]).toEqual([[], 0, true]);
  });

  test("it is cold until the database has, or may have, a row for it", () => {
    const table = createLeaseTable();
    const [lease, other] = [table.of(7), table.of(8)];
    expect([isCold(lease), isCold(other)]).toEqual([true, true]);
    table.granted(lease, grant(10), 0);
    table.doubt(other);
    expect([isCold(lease), isCold(other)]).toEqual([false, false]);
  });

  test("while it is refilled it is not quiet", () => {
    const { table, lease } = holding(10);
    table.refillBegins(lease);
    expect(isQuiet(lease)).toBe(false);
    table.refillEnds(lease);
    expect(isQuiet(lease)).toBe(true);
  });
});

describe("leaving", () => {
  test("what is available can be taken out while commits go on", () => {
    const { table, lease } = holding(1_000);
    const reservation = table.take(lease, 300, 0);
    expect(table.empty(lease)).toBe(700);
    expect(lease).toMatchObject({ available: 0, inFlight: 300, granted: 300 });
    table.giveBack(reservation);
    expect([lease.available, table.totals().available]).toEqual([300, 300]);
  });

  test("a lease that is given up has a row to end, and its customer's next one is another", () => {
    const { table, lease } = holding(10);
    table.end(lease);
    expect([table.leases.size, lease.available, table.totals().available]).toEqual([0, 0, 0]);
    expect(table.toEnd(9)).toEqual([lease]);
    expect(table.of(7).epoch).toBe(2);
    table.ended([lease]);
    expect([table.toEnd(9), table.leaving.size]).toEqual([[], 0]);
  });

  test("one that holds nothing and never asked for credit has no row", () => {
    const table = createLeaseTable();
    table.end(table.of(7));
    table.drop(table.of(8));
    expect(table.leaving.size).toBe(0);
  });

  test("a lease with a commit, a refill or a waiter can't be given up; nor can one that has left", () => {
    const busy: ((table: ReturnType<typeof createLeaseTable>, lease: Lease) => void)[] = [
      (table, lease) => void table.take(lease, 1, 0),
      (table, lease) => table.refillBegins(lease),
      (table, lease) => table.wait(lease, waiter()),
      (table, lease) => table.end(lease),
    ];
    for (const make of busy) {
      const { table, lease } = holding(10);
      make(table, lease);
      expect(() => table.end(lease)).toThrow("nothing of it is under way");
    }
  });

  test("nothing more is spent from a dropped lease; the next one inherits its waiters and what is known of the customer", () => {
    const { table, lease: old } = holding(1_400);
    table.take(old, 500, 0);
    const waits = [waiter(), waiter()];
    for (const one of waits) table.wait(old, one);
    const next = table.drop(old);
    expect(old).toMatchObject({ available: 0, inFlight: 500, waiting: [] });
    expect(next).toMatchObject({ available: 0, inFlight: 0, held: false, unit: 500, waiting: waits });
    expect([table.of(7), table.isCurrent(old), table.isCurrent(next)]).toEqual([next, false, true]);
    expect(table.totals()).toEqual({ available: 0, waiting: 2 });
    expect(() => table.drop(old)).toThrow("only the present lease");
  });

  test("the row of a dropped lease is deleted when its last commit has ended", () => {
    const { table, lease } = holding(1_000);
    const [one, other] = [table.take(lease, 300, 0), table.take(lease, 200, 0)];
    table.drop(lease);
    table.committed(one);
    expect(table.toEnd(9)).toEqual([]);
    table.giveBack(other);
    expect(lease).toMatchObject({ available: 0, inFlight: 0, spent: 300 });
    expect(table.toEnd(9)).toEqual([lease]);
  });

  test("a grant under way may still create a row, so it is waited for", () => {
    const table = createLeaseTable();
    const [refilling, doubtful] = [table.of(7), table.of(8)];
    table.refillBegins(refilling);
    table.doubt(doubtful);
    table.drop(refilling);
    table.drop(doubtful);
    expect(table.toEnd(9)).toEqual([doubtful]);
    table.refillEnds(refilling);
    expect(table.toEnd(9)).toEqual([refilling, doubtful]);
    expect(table.toEnd(1)).toEqual([refilling]);
  });
});

test("every lease has an epoch that no other lease of this process has", () => {
  const table = createLeaseTable();
  const epochs = [table.of(7).epoch, table.of(8).epoch, table.drop(table.of(7)).epoch];
  table.end(table.of(8));
  epochs.push(table.of(8).epoch);
  expect(epochs).toEqual([1, 2, 3, 4]);
});
