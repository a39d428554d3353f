// What leases need with time, against a scripted store: refills ahead, renewal, return, recall, reaping.

import { expect, test } from "bun:test";
import { settle } from "../../test/support/fake-clock.ts";
import { createScriptedBook, holding, TTL_MS } from "../../test/support/scripted-book.ts";
import { RECALL_POLL_MS } from "../core/limits.ts";
import { LEASE_BATCH_MAX } from "../ledger/lease.ts";
import type { Reservation } from "./lease-table.ts";

const TICK_MS = 1_000;

test("a lease is refilled ahead of need at its rate, without waiting for a busy wallet", async () => {
  const { book, got, asked, answer, advance } = await holding(1_000, 100);
  book.committed(got[0] as Reservation);
  await advance(TICK_MS);
  expect(asked).toEqual([]);
  // The target is 4 s of the busiest second: 1,200 after three messages, and 600 left is half of it.
  for (let i = 0; i < 3; i++) book.committed(book.reserve(7, 100) as Reservation);
  await settle();
  expect(asked).toEqual([]);
  for (let i = 0; i < 4; i++) book.committed(book.reserve(7, 100) as Reservation);
  await settle();
  expect(asked).toHaveLength(1);
  expect(asked[0]?.skipLocked).toBe(true);
  expect(asked[0]?.wants).toMatchObject([{ costs: [], held: true, unit: 100 }]);
  expect(asked[0]?.wants[0]?.target).toBe(4 * 700 - 200);
  await answer({ granted: 500, balance: 0, total: 700 });
  expect(book.stats()).toEqual({ leases: 1, available: 700, waiting: 0 });
});

test("a lease without messages goes back after three seconds, whole", async () => {
  const { book, got, released, advance } = await holding(10, 3);
  book.committed(got[0] as Reservation);
  await advance(2 * TICK_MS);
  expect(released).toEqual([]);
  await advance(TICK_MS);
  expect(released).toEqual([[{ customerId: 7, epoch: 1, amount: 7, ends: true }]]);
  expect(book.stats()).toEqual({ leases: 0, available: 0, waiting: 0 });
});

test("a lease with a commit under way stays, however long", async () => {
  const { released, advance } = await holding(10, 3);
  await advance(10 * TICK_MS);
  expect(released).toEqual([]);
});

test("leases are renewed each quarter of their time, but for those that were dropped", async () => {
  const { book, got, renewed, advance } = await holding(10, 3);
  await advance(TTL_MS / 4 - 1);
  expect(renewed).toEqual([]);
  await advance(1);
  expect(renewed).toEqual([[]]);
  book.drop((got[0] as Reservation).lease);
  await advance(TTL_MS / 4);
  expect(renewed[1]).toMatchObject([{ customerId: 7, epoch: 1 }]);
});

test("a lease that is renewed is spent from for ever, one that isn't only for its time", async () => {
  for (const [renewFails, epoch] of [
    [false, 1],
    [true, 2],
  ] as const) {
    const { book, world, wants, send, advance } = await holding(10, 3);
    world.renewFails = renewFails;
    await advance(TTL_MS - 1);
    expect(book.reserve(7, 1)).toMatchObject({ lease: { epoch: 1 } });
    await advance(1);
    send("a", 1);
    await settle();
    expect(wants()).toMatchObject(epoch === 1 ? [] : [[{ epoch, held: false, costs: [1] }]]);
  }
});

test("what expired is reaped each second, until less than a whole batch is found", async () => {
  const { world, advance } = createScriptedBook();
  world.reaped = [LEASE_BATCH_MAX, LEASE_BATCH_MAX, 3, 9];
  await advance(TICK_MS);
  expect(world.reaped).toEqual([9]);
  await advance(TICK_MS);
  expect(world.reaped).toEqual([]);
});

test("what is recalled goes back at the next look, but for commits under way; their lease stays", async () => {
  const { book, got, world, released, advance } = await holding(10, 3);
  world.recalled = [{ customerId: 7, epoch: 1 }];
  await advance(RECALL_POLL_MS);
  expect(released).toEqual([[{ customerId: 7, epoch: 1, amount: 7, ends: false }]]);
  expect(book.stats()).toEqual({ leases: 1, available: 0, waiting: 0 });
  await advance(RECALL_POLL_MS);
  expect(released).toHaveLength(1);
  book.committed(got[0] as Reservation);
  await advance(RECALL_POLL_MS);
  expect(released[1]).toEqual([{ customerId: 7, epoch: 1, amount: 0, ends: true }]);
  expect(book.stats().leases).toBe(0);
});

test("a recall of an older lease of the customer takes nothing from the present one", async () => {
  const { world, released, advance } = await holding(10, 3);
  world.recalled = [{ customerId: 7, epoch: 9 }];
  await advance(RECALL_POLL_MS);
  expect(released).toEqual([]);
});

test("a release that fails leaves the lease to the reaper", async () => {
  const { book, got, world, renewed, advance } = await holding(10, 3);
  book.committed(got[0] as Reservation);
  world.releaseFails = true;
  await advance(3 * TICK_MS);
  expect(book.stats()).toEqual({ leases: 0, available: 0, waiting: 0 });
  await advance(2 * TICK_MS);
  expect(renewed).toMatchObject([[{ customerId: 7, epoch: 1 }]]);
});

test("a process that stops gives back what no commit holds, and reserves nothing more", async () => {
  const { book, send, got, answer, released, advance } = await holding(10, 3);
  send("other", 5, 8);
  await settle();
  await answer({ granted: 9, total: 9 });
  book.committed(got[0] as Reservation);
  void book.stop();
  await advance(0);
  expect(released).toEqual([[{ customerId: 7, epoch: 1, amount: 7, ends: true }]]);
  expect(() => book.reserve(7, 1)).toThrow("unavailable: The process is stopping.");
  await advance(10 * TICK_MS);
  expect(released).toHaveLength(1);
});
