// Messages whose caller leaves while they wait for a commit, or during one: what is stored, and what becomes
// of their credit.

import { describe, expect, test } from "bun:test";
import { settle } from "../../test/support/fake-clock.ts";
import { createScriptedQueue as setUp, deadlock, inDoubt, lease } from "../../test/support/scripted-queue.ts";
import type { IsGone } from "../core/caller.ts";

describe("a message whose caller is gone", () => {
  const gone: IsGone = () => true;

  test("leaves the queue when a batch is formed: not stored, its credit and its place returned", async () => {
    const { send, open, told, credit, counts, commits, answerAll } = setUp();
    const own = lease(7);
    send("a", own);
    send("b", lease(8), 6, null, gone);
    send("c", own);
    await settle();
    expect(open[0]?.batch.records.map((r) => r.id)).toEqual(["a", "c"]);
    expect(open[0]?.batch.spends).toEqual([{ customerId: 7, epoch: 1, amount: 10 }]);
    expect([told, credit.returned, commits.admitted()]).toEqual([["b CallerGoneError"], [6], 2]);
    await answerAll();
    expect(counts).toMatchObject({ commits_total: 1, accepted_total: 2, in_doubt_total: 0 });
  });

  test("causes no commit if it is alone, and the next message gets one", async () => {
    const { send, open, told, counts, commits, sizes, waiting } = setUp();
    send("a", lease(7), 5, null, gone);
    await settle();
    expect([open, told, commits.admitted(), waiting()]).toEqual([[], ["a CallerGoneError"], 0, 0]);
    expect(counts.commits_total).toBe(0);
    send("b");
    await settle();
    expect(sizes()).toEqual([1]);
  });

  test("is stored even so if its caller leaves during the commit", async () => {
    const { send, answerAll, told, credit } = setUp();
    let left = false;
    send("a", lease(7), 5, null, () => left);
    await settle();
    left = true;
    await answerAll();
    expect([told, credit.committed, credit.returned]).toEqual([["a stored"], [5], []]);
  });

  test("is not in the second try if its caller leaves before the retry", async () => {
    const { send, answerAll, advance, told, credit, sizes } = setUp();
    let left = false;
    send("a", lease(7), 5, null, () => left);
    send("b", lease(8), 6);
    await settle();
    left = true;
    await answerAll(deadlock());
    await advance(10);
    expect([sizes(), told, credit.returned]).toEqual([[1], ["a CallerGoneError"], [5]]);
    await answerAll();
    expect([told, credit.committed]).toEqual([["a CallerGoneError", "b stored"], [6]]);
  });

  test("stays part of a commit in doubt when that is looked up", async () => {
    const { send, answerAll, advance, told, credit, asked, storedIs } = setUp();
    let left = false;
    send("a", lease(7), 5, null, () => left);
    send("b", lease(8), 6);
    await settle();
    left = true;
    storedIs(true);
    await answerAll(inDoubt());
    await advance(10);
    expect(asked.map(({ records }) => records.map((r) => r.id))).toEqual([["a", "b"]]);
    expect([told, credit.committed, credit.returned]).toEqual([["a stored", "b stored"], [5, 6], []]);
  });
});
