// Waiting for credit, with a scripted store: what is asked of the wallets, who is served, who is refused and
// when, and what becomes of a lease whose state is uncertain.

import { describe, expect, test } from "bun:test";
import { settle } from "../../test/support/fake-clock.ts";
import { createScriptedBook, holding, lost } from "../../test/support/scripted-book.ts";
import { RECALL_STEP_MS, RECALL_WAIT_MAX_MS } from "../core/limits.ts";
import { AHEAD_LINGER_MS } from "./lease-refill.ts";
import type { Reservation } from "./lease-table.ts";

describe("a message that waits for credit", () => {
  test("is served by a grant of what waits, under the wallet's lock; the next ones at once from the rest", async () => {
    const { send, asked, wants, answer, told, book } = createScriptedBook();
    send("a", 5);
    await settle();
    expect(wants()).toEqual([[{ customerId: 7, epoch: 1, held: false, costs: [5], target: 640, unit: 5 }]]);
    expect(asked[0]?.skipLocked).toBe(false);
    await answer({ granted: 20, balance: 100, elsewhere: 3, total: 123 });
    expect(told).toEqual(["a 118"]);
    const next = book.reserve(7, 6);
    expect(next).toMatchObject({
      cost: 6,
      balanceAfter: 112,
      lease: { available: 9, inFlight: 11, held: true },
    });
    expect(asked).toEqual([]);
  });

  test("does not wait if it needs exactly what is left", async () => {
    const { book, asked, wants, advance } = await holding(10, 3);
    expect(book.reserve(7, 5)).toMatchObject({ cost: 5, balanceAfter: 2 });
    await settle();
    expect(asked).toEqual([]);
    expect(book.reserve(7, 2)).toMatchObject({ cost: 2, balanceAfter: 0 });
    await advance(AHEAD_LINGER_MS);
    await settle();
    expect([wants(), asked[0]?.skipLocked]).toMatchObject([[[{ costs: [] }]], true]);
  });

  test("shares one transaction with all that wait at the same moment, each under its own customer", async () => {
    const { send, wants } = createScriptedBook();
    send("a", 5);
    send("b", 6, 8);
    send("c", 7);
    await settle();
    expect(wants()).toMatchObject([
      [
        { customerId: 7, costs: [5, 7], epoch: 1 },
        { customerId: 8, costs: [6], epoch: 2 },
      ],
    ]);
  });

  test("takes nothing of a grant if its caller leaves meanwhile; the others get all of it", async () => {
    const { send, answer, told, book } = createScriptedBook();
    let left = false;
    send("a", 5, 7, () => left);
    send("b", 6);
    await settle();
    left = true;
    await answer({ granted: 11, balance: 0, total: 11 });
    expect(told).toEqual(["a CallerGoneError", "b 5"]);
    expect(book.reserve(7, 5)).toMatchObject({ lease: { available: 0, inFlight: 11 } });
  });

  test("is not asked for again if its caller leaves while credit is recalled", async () => {
    const { send, answer, told, wants, advance } = createScriptedBook();
    let left = false;
    send("a", 5, 7, () => left);
    await settle();
    await answer({ granted: 0, balance: 0, elsewhere: 9, total: 9 });
    left = true;
    send("b", 6);
    await advance(RECALL_STEP_MS);
    expect([told, wants()]).toMatchObject([["a CallerGoneError"], [[{ costs: [6] }]]]);
  });

  test("asks only for what the lease lacks", async () => {
    const { send, wants } = await holding(10, 3);
    send("a", 9);
    send("b", 4);
    await settle();
    expect(wants()).toMatchObject([[{ costs: [2, 4], held: true, unit: 3 }]]);
  });

  test("is served in order, each as far as the credit goes", async () => {
    const { send, answer, told } = createScriptedBook();
    send("a", 5);
    send("b", 6);
    send("c", 4);
    await settle();
    await answer({ granted: 9, balance: 0, total: 9 });
    expect(told).toEqual(["a 4", "c 0"]);
  });

  test("gets a 402 with both figures when wallet and all leases hold less, but not when they hold as much", async () => {
    const { send, answer, told } = createScriptedBook();
    send("a", 10);
    send("b", 9);
    await settle();
    await answer({ total: 9, elsewhere: 9 });
    expect(told).toEqual(['a insufficient_balance{"required":10,"balance":9}']);
  });

  test("waits for credit held elsewhere, asks again at each step, and gets a 503 at its limit", async () => {
    const { send, answer, asked, told, advance } = createScriptedBook();
    send("a", 5);
    await settle();
    const elsewhere = { total: 9, elsewhere: 9, recall: true };
    await answer(elsewhere);
    expect(asked).toEqual([]);
    await advance(RECALL_STEP_MS - 1);
    expect(asked).toEqual([]);
    let steps = 0;
    for (let ms = RECALL_STEP_MS - 1; told.length === 0 && ms < 2 * RECALL_WAIT_MAX_MS; ms++) {
      await advance(1);
      if (asked.length === 0) continue;
      steps++;
      await answer(elsewhere);
    }
    expect(told).toEqual(["a credit_elsewhere"]);
    expect(steps).toBe(RECALL_WAIT_MAX_MS / RECALL_STEP_MS);
  });

  test("is served as soon as the credit is back", async () => {
    const { send, answer, told, advance } = createScriptedBook();
    send("a", 5);
    await settle();
    await answer({ total: 9, elsewhere: 9, recall: true });
    await advance(RECALL_STEP_MS);
    await answer({ granted: 5, balance: 4, total: 9 });
    expect(told).toEqual(["a 4"]);
    await advance(1_000);
    expect(told).toHaveLength(1);
  });

  test("asks again at once when the wallet has enough but others in the grant came first", async () => {
    const { send, answer, wants, told } = createScriptedBook();
    send("a", 5);
    send("b", 8);
    await settle();
    await answer({ granted: 5, balance: 8, total: 13 });
    expect(told).toEqual(["a 8"]);
    expect(wants()).toMatchObject([[{ costs: [8] }]]);
  });

  test("is not refused because of an earlier state of the wallet if it came while a grant was under way", async () => {
    const { send, answer, wants, told } = createScriptedBook();
    send("a", 5);
    await settle();
    send("b", 5);
    await answer({ total: 0 });
    expect(told).toEqual(['a insufficient_balance{"required":5,"balance":0}']);
    expect(wants()).toMatchObject([[{ costs: [5] }]]);
    await answer({ granted: 5, balance: 95, total: 100 });
    expect(told[1]).toBe("b 95");
  });

  test("of a strict customer always asks, and gets the wallet's own balance", async () => {
    const { send, answer, wants, told } = createScriptedBook();
    const strict = { mode: "strict", elsewhere: 30 } as const;
    send("a", 7);
    send("b", 5);
    await settle();
    await answer({ ...strict, granted: 15, balance: 50, total: 95 });
    expect(told).toEqual(["a 58", "b 53"]);
    // What is left would suffice, but a strict customer's credit is never taken without asking.
    send("c", 1);
    await settle();
    expect(wants()).toMatchObject([[{ costs: [] }]]);
    await answer({ ...strict, balance: 49, total: 82 });
    expect(told[2]).toBe("c 51");
  });
});

describe("what is asked for", () => {
  test("leaves out what the lease itself can pay, even when it has to ask", async () => {
    const { send, answer, wants } = createScriptedBook();
    send("a", 7);
    await settle();
    await answer({ mode: "strict", granted: 12, balance: 50, total: 62 });
    send("b", 2);
    send("c", 3);
    send("d", 4);
    await settle();
    expect(wants()).toMatchObject([[{ costs: [4] }]]);
  });

  test("is asked again for a lease that has never been granted anything, until it is", async () => {
    const { send, answer, wants } = createScriptedBook();
    send("a", 7);
    await settle();
    await answer({ total: 0 });
    send("b", 7);
    await settle();
    expect(wants()).toMatchObject([[{ epoch: 1, held: false }]]);
    await answer({ granted: 7, total: 7 });
    send("c", 7);
    await settle();
    expect(wants()).toMatchObject([[{ epoch: 1, held: true }]]);
  });
});

describe("when the state of a lease is uncertain", () => {
  test("a fenced lease is replaced by one under a new epoch, which serves those that wait", async () => {
    const { send, answer, wants, told, book } = await holding(10, 10);
    send("a", 4);
    await settle();
    await answer({ fenced: true, total: 100, balance: 100 });
    expect(wants()).toMatchObject([[{ epoch: 2, held: false, costs: [4] }]]);
    await answer({ granted: 4, balance: 96, total: 100 });
    expect(told).toEqual(["a 96"]);
    expect(book.stats()).toEqual({ leases: 1, available: 0, waiting: 0 });
  });

  test("a grant whose answer was lost is repeated, and the credit of the lost one is spent", async () => {
    const { send, answer, wants, told, advance } = createScriptedBook();
    send("a", 4);
    await settle();
    await answer(lost());
    await advance(50);
    expect(wants()).toMatchObject([[{ epoch: 1, held: false, costs: [4] }]]);
    await answer({ granted: 0, own: 4, total: 4 });
    expect(told).toEqual(["a 0"]);
  });

  test("if that lease was already in use, another replaces it, and the old one's row is ended", async () => {
    const { send, answer, wants, told, ended, got, book, advance } = await holding(10, 3);
    send("a", 9);
    await settle();
    await answer(lost());
    await advance(50);
    expect(wants()).toMatchObject([[{ epoch: 2, held: false, costs: [9] }]]);
    await answer({ granted: 9, total: 9 });
    expect(told).toEqual(["a 0"]);
    await advance(1_000);
    expect(ended).toEqual([]);
    book.committed(got[0] as Reservation);
    await advance(1_000);
    expect(ended).toEqual([["7:1"]]);
  });

  test("after another error the same lease asks again; after four in a row those that wait get a 503", async () => {
    const { send, answer, wants, told, advance } = createScriptedBook();
    send("a", 4);
    await settle();
    for (let failure = 1; failure <= 4; failure++) {
      expect(wants()).toMatchObject([[{ epoch: 1, costs: [4] }]]);
      expect(told).toEqual([]);
      await answer(new Error("no such table"));
      await advance(50 * failure);
    }
    expect(told).toEqual(["a unavailable"]);
    expect(wants()).toEqual([]);
  });

  test("a message that has waited long enough gets a 503 even after a first failure", async () => {
    const { send, answer, told, advance } = createScriptedBook();
    send("a", 4);
    await settle();
    await advance(RECALL_WAIT_MAX_MS);
    await answer(lost());
    expect(told).toEqual(["a unavailable"]);
  });

  test("a message that was not stored returns its credit, unless its lease has been dropped", async () => {
    const { book, got } = await holding(10, 3);
    const [reservation] = got as [Reservation];
    book.giveBack(reservation);
    expect(reservation.lease).toMatchObject({ available: 10, inFlight: 0 });
    const again = book.reserve(7, 4) as Reservation;
    book.lost(book.reserve(7, 1) as Reservation);
    book.giveBack(again);
    expect(again.lease).toMatchObject({ available: 0, inFlight: 0 });
    expect(book.stats()).toEqual({ leases: 1, available: 0, waiting: 0 });
  });

  test("dropping it moves those that wait to the next lease, and only that one asks", async () => {
    const { book, got, send, wants } = await holding(10, 3);
    send("a", 100);
    expect(book.stats()).toEqual({ leases: 1, available: 7, waiting: 1 });
    book.lost(got[0] as Reservation);
    await settle();
    expect(wants()).toMatchObject([[{ epoch: 2, costs: [100] }]]);
    expect(wants()[0]).toHaveLength(1);
  });

  test("dropping it when nothing waits asks for nothing, and dropping it twice has no further effect", async () => {
    const { book, got, send, wants } = await holding(10, 3);
    const other = book.reserve(7, 1) as Reservation;
    book.lost(got[0] as Reservation);
    book.lost(other);
    await settle();
    expect(wants()).toEqual([]);
    send("a", 1);
    await settle();
    expect(wants()).toMatchObject([[{ epoch: 2 }]]);
  });
});
