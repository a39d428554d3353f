// Periodic maintenance of leases, with a scripted store: refills ahead of need, renewal of the node, returns,
// recalls, and what costs nothing however many leases there are.

import { describe, expect, test } from "bun:test";
import { settle } from "../../test/support/fake-clock.ts";
import { createScriptedBook, holding, TTL_MS } from "../../test/support/scripted-book.ts";
import { LEASE_IDLE_MS, LEASES_RETURN_MAX_MS, RECALL_POLL_MS } from "../core/limits.ts";
import { LEASE_BATCH_MAX } from "../ledger/lease-rows.ts";
import { AHEAD_LINGER_MS } from "./lease-refill.ts";
import type { Reservation } from "./lease-table.ts";

const TICK_MS = 1_000;

describe("a lease", () => {
  test("that runs low is refilled ahead of need, without waiting for a busy wallet", async () => {
    const { book, got, asked, answer, advance } = await holding(1_000, 100);
    book.committed(got[0] as Reservation);
    for (let i = 0; i < 6; i++) book.committed(book.reserve(7, 100) as Reservation);
    await advance(AHEAD_LINGER_MS);
    expect(asked).toEqual([]);
    book.committed(book.reserve(7, 100) as Reservation);
    await advance(AHEAD_LINGER_MS - 1);
    expect(asked).toEqual([]);
    await advance(1);
    await settle();
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ skipLocked: true, wants: [{ costs: [], held: true, unit: 100 }] });
    // 128 messages of 100, less what is there.
    expect(asked[0]?.wants[0]?.target).toBe(128 * 100 - 200);
    await answer({ granted: 500, balance: 0, total: 700 });
    expect(book.stats()).toEqual({ leases: 1, available: 700, waiting: 0 });
  });

  test("that holds exactly a quarter of what its last grant left is not low yet", async () => {
    const { book, asked, advance } = await holding(500, 100);
    for (let i = 0; i < 3; i++) void book.reserve(7, 100);
    await advance(AHEAD_LINGER_MS);
    expect(asked).toEqual([]);
    void book.reserve(7, 1);
    await advance(AHEAD_LINGER_MS);
    expect(asked).toHaveLength(1);
  });

  test("of a fast customer asks for what it takes in ten seconds", async () => {
    const { book, got, asked, advance } = await holding(100_000, 100);
    book.committed(got[0] as Reservation);
    await advance(2_000);
    for (let i = 0; i < 759; i++) book.committed(book.reserve(7, 100) as Reservation);
    await advance(AHEAD_LINGER_MS);
    await settle();
    // 76,000 in 2.1 s, and 24,000 are left.
    expect(asked[0]?.wants[0]?.target).toBeCloseTo((10_000 * 76_000) / 2_100 - 24_000, 5);
  });

  test("is held as long as nobody else wants it, and goes back after a quarter of an hour without a message", async () => {
    const { book, got, ended, returned, advance } = await holding(10, 3);
    book.committed(got[0] as Reservation);
    await advance(LEASE_IDLE_MS - TICK_MS);
    expect(book.stats()).toEqual({ leases: 1, available: 7, waiting: 0 });
    expect([ended, returned]).toEqual([[], []]);
    await advance(3 * TICK_MS);
    expect(ended).toEqual([["7:1"]]);
    expect(book.stats()).toEqual({ leases: 0, available: 0, waiting: 0 });
  }, 20_000);

  test("with a commit under way stays, however long", async () => {
    const { ended, advance } = await holding(10, 3);
    await advance(LEASE_IDLE_MS + 10 * TICK_MS);
    expect(ended).toEqual([]);
  }, 20_000);

  test("whose row could not be ended is ended at a later tick", async () => {
    const { book, got, world, ended, advance } = await holding(10, 3);
    world.endFails = true;
    book.lost(got[0] as Reservation);
    await advance(3 * TICK_MS);
    expect(ended).toEqual([]);
    world.endFails = false;
    await advance(TICK_MS);
    expect(ended).toEqual([["7:1"]]);
    await advance(3 * TICK_MS);
    expect(ended).toHaveLength(1);
  });

  test("makes room for another when the table is full: the longest unused of the idle ones goes", async () => {
    const { book, send, answer, ended, advance, got } = createScriptedBook({ leasesMax: 2 });
    for (const customerId of [1, 2]) {
      send("m", 5, customerId);
      await settle();
      await answer({ granted: 10, total: 10 });
      await advance(10);
    }
    expect(() => book.reserve(3, 5)).toThrow("overloaded");
    for (const reservation of got) book.committed(reservation);
    book.giveBack(book.reserve(1, 1) as Reservation);
    send("m", 5, 3);
    expect(book.stats().leases).toBe(2);
    await advance(TICK_MS);
    expect(ended).toEqual([["2:2"]]);
  });
});

describe("the node", () => {
  test("is registered before the first grant, and renewed after each quarter of its lifetime", async () => {
    const { node, advance } = await holding(10, 3);
    expect(node).toEqual(["0 renew", "0 register"]);
    await advance(TTL_MS / 4 - 1);
    expect(node).toHaveLength(2);
    await advance(TTL_MS / 4 + 1);
    expect(node.slice(2)).toEqual(["5000 renew", "10000 renew"]);
  });

  test("that can't be renewed retries each second, and its leases are spent from only during its lifetime", async () => {
    const { book, world, node, wants, send, answer, told, advance } = await holding(10, 3);
    world.renewFails = true;
    await advance(TTL_MS - 1);
    expect(node.at(-1)).toBe("19000 renew failed");
    expect(book.reserve(7, 1)).toMatchObject({ lease: { epoch: 1 } });
    await advance(1);
    send("a", 1);
    await settle();
    expect(wants()).toEqual([]);
    world.renewFails = false;
    await advance(50);
    // The renewal was only late: nobody had taken its leases.
    expect(wants()).toMatchObject([[{ epoch: 1, held: true, costs: [] }]]);
    await answer({});
    expect(told).toEqual(["a 5"]);
  });

  test("whose lifetime was over gives up all it held, keeping only what was really spent, and registers again", async () => {
    const { book, world, node, wants, send, ended, got, answer, advance } = await holding(10, 3);
    world.isRegistered = false;
    await advance(TTL_MS / 4);
    expect(node.slice(2)).toEqual(["5000 renew", "5000 register"]);
    expect(book.stats()).toEqual({ leases: 1, available: 0, waiting: 0 });
    send("a", 4);
    await settle();
    expect(wants()).toMatchObject([[{ epoch: 2, held: false, costs: [4] }]]);
    await answer({ granted: 4, total: 4 });
    expect(ended).toEqual([]);
    book.committed(got[0] as Reservation);
    await advance(TICK_MS);
    expect(ended).toEqual([["7:1"]]);
  });

  test("whose lifetime is over by MySQL's clock learns that from a grant, and then serves from new leases", async () => {
    const { send, world, answer, node, wants, told, advance } = await holding(10, 10);
    send("a", 4);
    await settle();
    world.isRegistered = false;
    await answer(Object.assign(new (await import("../ledger/lease.ts")).NodeExpiredError("over")));
    await advance(50);
    expect(node.slice(2)).toEqual(["0 renew", "0 register"]);
    expect(wants()).toMatchObject([[{ epoch: 2, held: false, costs: [4] }]]);
    await answer({ granted: 4, total: 4 });
    expect(told).toEqual(["a 0"]);
  });

  test("takes back, each second, the leases of nodes whose lifetime is over", async () => {
    const { world, advance } = createScriptedBook();
    await advance(3 * TICK_MS);
    expect(world.reaps).toBe(3);
  });
});

describe("recalled credit", () => {
  test("goes back at the next look, except for commits under way, whose lease stays until they end", async () => {
    const { book, got, world, returned, ended, advance } = await holding(10, 3);
    world.recalled = [{ customerId: 7, epoch: 1 }];
    await advance(RECALL_POLL_MS);
    expect(returned).toEqual([[{ customerId: 7, epoch: 1, amount: 7 }]]);
    expect(book.stats()).toEqual({ leases: 1, available: 0, waiting: 0 });
    await advance(RECALL_POLL_MS);
    expect([returned.length, ended]).toEqual([1, []]);
    book.committed(got[0] as Reservation);
    await advance(RECALL_POLL_MS);
    expect(ended).toEqual([["7:1"]]);
    expect(book.stats().leases).toBe(0);
  });

  test("of an older lease of the customer takes nothing from the current one", async () => {
    const { world, returned, ended, advance } = await holding(10, 3);
    world.recalled = [{ customerId: 7, epoch: 9 }];
    await advance(RECALL_POLL_MS);
    expect([returned, ended]).toEqual([[], []]);
  });

  test("that could not be given back in part is given up with its lease", async () => {
    const { book, got, world, ended, advance } = await holding(10, 3);
    world.giveBackFails = true;
    world.recalled = [{ customerId: 7, epoch: 1 }];
    await advance(RECALL_POLL_MS);
    expect(book.stats()).toEqual({ leases: 1, available: 0, waiting: 0 });
    book.committed(got[0] as Reservation);
    await advance(TICK_MS);
    expect(ended).toEqual([["7:1"]]);
  });

  test("of thousands of leases is returned a batch at a time", async () => {
    const { book, send, answer, world, ended, got, advance } = createScriptedBook();
    const many = LEASE_BATCH_MAX + 3;
    for (let customerId = 1; customerId <= many; customerId++) send("m", 1, customerId);
    await settle();
    await answer({ granted: 10, total: 10 });
    await answer({ granted: 10, total: 10 });
    for (const reservation of got) book.committed(reservation);
    world.recalled = got.map(({ lease: { customerId, epoch } }) => ({ customerId, epoch }));
    await advance(RECALL_POLL_MS);
    expect(ended.map((some) => some.length)).toEqual([LEASE_BATCH_MAX, 3]);
    expect(book.stats()).toEqual({ leases: 0, available: 0, waiting: 0 });
  });
});

test("a process that stops reserves nothing more and gives up its node", async () => {
  const { book, got, node, ended, advance } = await holding(10, 3);
  book.committed(got[0] as Reservation);
  void book.stop(LEASES_RETURN_MAX_MS);
  await advance(0);
  expect(node.at(-1)).toBe("0 retire");
  expect(() => book.reserve(7, 1)).toThrow("unavailable: The process is stopping.");
  await advance(10 * TICK_MS);
  expect([node.at(-1), ended]).toEqual(["0 retire", []]);
});

describe("a process that stops does so in time, and leaves the leases that are left to others,", () => {
  const stopped = async (all: Awaited<ReturnType<typeof holding>>) => {
    let atMs = -1;
    all.book.committed(all.got[0] as Reservation);
    const startedMs = all.timers.monotonicMs();
    const untilMs = startedMs + LEASES_RETURN_MAX_MS;
    void all.book.stop(untilMs).then(() => (atMs = all.timers.monotonicMs() - startedMs));
    await all.advance(LEASES_RETURN_MAX_MS - 1);
    const isEarly = atMs >= 0;
    const isAborted = all.world.retiring?.aborted;
    await all.advance(1);
    return { isEarly, isAborted, atMs };
  };

  test("when returning them takes too long: it is told to end after its transaction", async () => {
    const all = await holding(10, 3);
    all.world.hangs = true;
    expect(await stopped(all)).toEqual({ isEarly: false, isAborted: false, atMs: LEASES_RETURN_MAX_MS });
    expect(all.world.retiring?.aborted).toBe(true);
  });

  test("when a job that is under way doesn't end", async () => {
    const all = await holding(10, 3);
    all.world.hangs = true;
    await all.advance(RECALL_POLL_MS);
    expect(await stopped(all)).toMatchObject({ isEarly: false, atMs: LEASES_RETURN_MAX_MS });
    expect(all.node.filter((did) => did.includes("retire"))).toEqual([]);
  });

  test("when they can't be returned", async () => {
    const all = await holding(10, 3);
    all.world.retireFails = true;
    expect(await stopped(all)).toMatchObject({ isEarly: true, atMs: 0 });
  });
});
