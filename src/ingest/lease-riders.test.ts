// Messages that are stored by the transaction that grants their credit, with a scripted store: who rides,
// what is stored and answered, and what becomes of those who rode when the transaction fails.

import { describe, expect, test } from "bun:test";
import { settle } from "../../test/support/fake-clock.ts";
import { createScriptedBook, lost, TTL_MS } from "../../test/support/scripted-book.ts";
import { COMMIT_ROWS_MAX, COMMIT_WAIT_MAX_MS } from "../core/limits.ts";
import { CommitInDoubtError } from "../ledger/accept.ts";
import { KeyTakenError } from "../ledger/idempotency.ts";

const rich = { granted: 20, balance: 100, elsewhere: 3, total: 123 };

describe("the first message of a customer", () => {
  test("is stored with its grant, paid from the lease, and told the balance after it", async () => {
    const { sendRiding, answer, told, rode, book } = createScriptedBook();
    sendRiding("a", 5);
    await settle();
    await answer(rich);
    expect(told).toEqual(["a 118 stored"]);
    expect(rode).toMatchObject([
      {
        records: [{ id: "a" }],
        spends: [{ customerId: 7, epoch: 1, amount: 5 }],
        keys: [{ owner: "a", answer: "118" }],
        otps: [],
      },
    ]);
    expect(book.reserve(7, 15)).toMatchObject({ balanceAfter: 103, lease: { granted: 20, spent: 5 } });
  });

  test("rides with all others that wait, each from its own lease; the next one is served at once", async () => {
    const { sendRiding, answer, told, rode } = createScriptedBook();
    sendRiding("a", 5);
    sendRiding("b", 6, 8);
    sendRiding("no key", 7);
    await settle();
    await answer(rich);
    expect(told).toEqual(["a 118 stored", "no key 111 stored", "b 117 stored"]);
    expect(rode[0]?.keys.map(({ owner }) => owner)).toEqual(["a", "b"]);
    expect(rode[0]?.spends).toEqual([
      { customerId: 7, epoch: 1, amount: 12 },
      { customerId: 8, epoch: 2, amount: 6 },
    ]);
    sendRiding("d", 1);
    await settle();
    expect(told.at(-1)).toBe("d 110");
  });

  test("does not ride past one that waits longer, nor beyond what was granted", async () => {
    const { send, sendRiding, answer, told, rode } = createScriptedBook();
    sendRiding("a", 5);
    send("batch", 6);
    sendRiding("c", 4);
    await settle();
    await answer({ granted: 15, balance: 0, total: 15 });
    expect(told).toEqual(["batch 4", "c 0", "a 10 stored"]);
    expect(rode).toHaveLength(1);
  });

  test("rides with no more others than a commit has", async () => {
    const { sendRiding, answer, told, rode } = createScriptedBook();
    for (let n = 0; n <= COMMIT_ROWS_MAX; n++) sendRiding(`m${n}`, 1, n + 1);
    await settle();
    await answer(rich);
    expect(rode[0]?.records).toHaveLength(COMMIT_ROWS_MAX);
    expect(told.filter((one) => !one.endsWith("stored"))).toEqual([`m${COMMIT_ROWS_MAX} 122`]);
    expect(told).toHaveLength(COMMIT_ROWS_MAX + 1);
  });

  test("that can't be paid for is refused, and nothing of it is stored", async () => {
    const { sendRiding, answer, told, rode } = createScriptedBook();
    sendRiding("a", 5);
    await settle();
    await answer({ balance: 4, total: 4 });
    expect([told, rode]).toEqual([['a insufficient_balance{"required":5,"balance":4}'], []]);
  });

  test("whose caller leaves before the transaction stores anything is not stored", async () => {
    const { sendRiding, answer, told, rode, book } = createScriptedBook();
    let left = false;
    sendRiding("a", 5, 7, () => left);
    sendRiding("b", 6);
    await settle();
    left = true;
    await answer({ granted: 11, balance: 0, total: 11 });
    expect(told).toEqual(["a CallerGoneError", "b 5 stored"]);
    expect(rode[0]?.records.map(({ id }) => id)).toEqual(["b"]);
    expect(book.reserve(7, 5)).toMatchObject({ lease: { available: 0 } });
  });
});

test("only a customer without a lease has messages that ride", async () => {
  const { sendRiding, answer, told, rode } = createScriptedBook();
  sendRiding("a", 5);
  await settle();
  await answer({ granted: 5, balance: 100, total: 105 });
  sendRiding("b", 6);
  await settle();
  await answer({ granted: 6, balance: 94, total: 100 });
  expect(told).toEqual(["a 100 stored", "b 94"]);
  expect(rode).toHaveLength(1);
});

describe("if the transaction", () => {
  test("is repeated, they ride again, by what is granted then", async () => {
    const { sendRiding, answer, told, asked, grantsOf } = createScriptedBook();
    sendRiding("a", 5);
    sendRiding("b", 6);
    await settle();
    const [first] = asked as [(typeof asked)[0]];
    expect(first.ride?.([])).toBeNull(); // the wallet is locked by another
    expect(first.ride?.(grantsOf(first, rich))?.records).toHaveLength(2);
    await answer({ granted: 5, balance: 2, total: 7 });
    expect(told).toEqual(["a 2 stored"]);
  });

  test("is refused by the database, the grant is asked for without them, and their commits tell which it was", async () => {
    const { sendRiding, answer, told, asked, advance } = createScriptedBook();
    sendRiding("a", 5);
    await settle();
    await answer(rich, new KeyTakenError(["a"]));
    expect([told, asked]).toMatchObject([[], [{ ride: undefined, skipLocked: false }]]);
    await answer(new Error("neither"));
    expect(asked).toEqual([]);
    await advance(60);
    await answer(rich);
    expect([told, asked]).toEqual([["a 118"], []]);
  });

  test("is repeated after their lease was dropped, credit is asked for under the new one", async () => {
    const { sendRiding, answer, told, asked, wants, grantsOf, world, advance } = createScriptedBook();
    sendRiding("a", 5);
    await settle();
    const [first] = asked as [(typeof asked)[0]];
    expect(first.ride?.(grantsOf(first, rich))?.records).toHaveLength(1);
    world.isRegistered = false;
    await advance(TTL_MS / 4);
    expect(asked).toHaveLength(1);
    await answer(rich);
    expect(wants().flat()).toMatchObject([{ epoch: 2, costs: [5] }]);
    await answer(rich);
    expect(told).toEqual(["a 118 stored"]);
  });

  test("fails with nobody aboard, nothing is repeated at once or looked up", async () => {
    const timers = [];
    for (const error of [new Error("not granted"), new CommitInDoubtError("lost")]) {
      const { send, answer, asked, found, waiting } = createScriptedBook();
      found.push(true);
      send("a", 5);
      await settle();
      await answer(error);
      expect([asked, found]).toEqual([[], [true]]);
      timers.push(waiting());
    }
    expect(timers[1]).toBe(timers[0] as number);
  });

  test("is lost before its COMMIT, they wait again, in their order, and ride no more", async () => {
    const { sendRiding, answer, told, advance, rode, asked } = createScriptedBook();
    sendRiding("a", 5);
    sendRiding("b", 6);
    await settle();
    await answer(rich, lost());
    expect(asked).toEqual([]);
    sendRiding("c", 7);
    await advance(60);
    await answer({ granted: 12, balance: 0, total: 12 });
    expect(told).toEqual(["a 7", "b 1"]);
    expect(rode).toHaveLength(1);
  });

  test("is lost, those who came meanwhile wait behind them", async () => {
    const { sendRiding, answer, told, asked, grantsOf, advance } = createScriptedBook();
    sendRiding("a", 5);
    await settle();
    const first = asked.shift() as (typeof asked)[0];
    first.ride?.(grantsOf(first, rich));
    sendRiding("b", 6);
    first.answer(lost());
    await advance(60);
    await answer({ granted: 11, balance: 0, total: 11 });
    expect(told).toEqual(["a 6", "b 0"]);
  });

  test("is in doubt and was stored, they are answered so, and not stored again", async () => {
    const { sendRiding, answer, told, advance, found, rode } = createScriptedBook();
    found.push(lost(), true);
    sendRiding("a", 5);
    await settle();
    await answer(rich, new CommitInDoubtError("lost at COMMIT"));
    expect(told).toEqual([]);
    await advance(60);
    expect(told).toEqual(["a 118 stored"]);
    // What the lost grant left is found by the next one.
    sendRiding("b", 6);
    await settle();
    await answer({ granted: 6, own: 15, balance: 94, total: 115 });
    expect(told.at(-1)).toBe("b 109");
    expect(rode).toHaveLength(1);
  });

  test("is in doubt and was not stored, they wait for another grant", async () => {
    const { sendRiding, answer, told, advance, found } = createScriptedBook();
    found.push(...[1, 2, 3, 4].map(lost));
    sendRiding("a", 5);
    await settle();
    await answer(rich, new CommitInDoubtError("lost at COMMIT"));
    await advance(1_000);
    await answer({ granted: 5, balance: 118, total: 123 });
    expect(told).toEqual(["a 118"]);
  });

  test("stays in doubt for too long, they are told that its outcome is unknown", async () => {
    const { sendRiding, answer, told, advance, found } = createScriptedBook();
    found.push(...Array.from({ length: 1_000 }, lost));
    sendRiding("a", 5);
    await settle();
    await answer(rich, new CommitInDoubtError("lost at COMMIT"));
    for (let ms = 0; ms < COMMIT_WAIT_MAX_MS; ms += 500) await advance(500);
    expect(told).toEqual([]);
    await advance(1_000);
    expect(told).toEqual(["a outcome_unknown"]);
  });
});
