// Batches in the queue, on a fake clock: each is stored by one commit, whatever happens, and a large one
// keeps nobody else waiting.

import { describe, expect, test } from "bun:test";
import { settle } from "../../test/support/fake-clock.ts";
import { createScriptedQueue as setUp, inDoubt, lease, lost } from "../../test/support/scripted-queue.ts";
import { BATCH_MESSAGES_MAX } from "../core/batch-limits.ts";
import { COMMIT_ROWS_MAX } from "../core/limits.ts";
import { FencedError } from "../ledger/accept.ts";
import { KeyTakenError } from "../ledger/idempotency.ts";

/** The most messages of a batch that shares commits with messages. */
const SMALL = COMMIT_ROWS_MAX / 4;
const refusedData = () => Object.assign(new Error("too long"), { errno: 1406, sqlState: "22001" });

describe("a batch", () => {
  test("joins the messages of its turn if there is room for all of it, and spends its cost once", async () => {
    const { send, sendBatch, open, answerAll, told, credit, counts, commits } = setUp();
    send("a", lease(7), 6);
    sendBatch("b", 3, lease(8));
    await settle();
    expect(open.map(({ batch }) => batch.records.map(({ id }) => id))).toEqual([["a", "b0", "b1", "b2"]]);
    expect(open[0]?.batch.spends).toEqual([
      { customerId: 7, epoch: 1, amount: 6 },
      { customerId: 8, epoch: 1, amount: 15 },
    ]);
    await answerAll();
    expect([told, credit.committed]).toEqual([
      ["a stored", "b stored"],
      [6, 15],
    ]);
    expect(counts).toMatchObject({ commits_total: 1, accepted_total: 4 });
    expect(commits.admitted()).toBe(0);
  });

  test("that has no room in this commit is the beginning of the next, whole", async () => {
    const { sendMany, sendBatch, sizes, open, answerAll, advance } = setUp();
    sendMany(COMMIT_ROWS_MAX - 10);
    sendBatch("b", SMALL);
    sendMany(1);
    await settle();
    expect(sizes()).toEqual([COMMIT_ROWS_MAX - 10]);
    await answerAll();
    await advance(20);
    expect(sizes()).toEqual([SMALL + 1]);
    expect(open[0]?.batch.records[0]?.id).toBe("b0");
  });

  test("counts with all of its messages when the queue asks whether it is enough to begin", async () => {
    const { sendMany, sendBatch, sizes, answerAll } = setUp();
    sendMany(COMMIT_ROWS_MAX);
    await settle();
    await answerAll();
    sendBatch("b", SMALL);
    sendBatch("c", SMALL);
    await settle();
    expect(sizes()).toEqual([COMMIT_ROWS_MAX / 2]);
  });

  test("whose caller is gone leaves the commit as a whole, with its credit and its places", async () => {
    const { send, sendBatch, open, answerAll, told, credit, commits } = setUp();
    sendBatch("b", 3, lease(7), () => true);
    send("a");
    await settle();
    expect(open[0]?.batch.records.map(({ id }) => id)).toEqual(["a"]);
    await answerAll();
    expect(told.toSorted()).toEqual(["a stored", "b CallerGoneError"]);
    expect(credit).toEqual({ committed: [5], returned: [15], lost: [] });
    expect(commits.admitted()).toBe(0);
  });

  test("whose key belongs to another, or whose lease is gone, leaves as a whole", async () => {
    const { send, sendBatch, open, answerAll, told, credit } = setUp();
    sendBatch("b", 3);
    sendBatch("c", 2, lease(8));
    send("a", lease(9));
    await settle();
    await answerAll(new KeyTakenError(["b0"]));
    expect(open[0]?.batch.records.map(({ id }) => id)).toEqual(["c0", "c1", "a"]);
    await answerAll(new FencedError([{ customerId: 8, epoch: 1, amount: 10 }]));
    expect(open[0]?.batch.records.map(({ id }) => id)).toEqual(["a"]);
    await answerAll();
    expect(told).toEqual(["b KeyTakenError", "c unavailable", "a stored"]);
    expect(credit).toEqual({ committed: [5], returned: [15], lost: [10] });
  });

  test("that the database refuses fails alone, and is never cut", async () => {
    const { send, sendBatch, open, answerAll, told, credit } = setUp();
    send("a");
    sendBatch("b", 4);
    await settle();
    await answerAll(refusedData());
    expect(open[0]?.batch.records.map(({ id }) => id)).toEqual(["a"]);
    await answerAll();
    expect(open[0]?.batch.records.map(({ id }) => id)).toEqual(["b0", "b1", "b2", "b3"]);
    await answerAll(refusedData());
    expect(open).toEqual([]);
    expect(told).toEqual(["a stored", "b internal"]);
    expect(credit).toEqual({ committed: [5], returned: [20], lost: [] });
  });

  test("in doubt is looked up once for all of it, and stored again under the same ids", async () => {
    const { sendBatch, open, answerAll, advance, told, asked, counts } = setUp();
    sendBatch("b", 2);
    await settle();
    await answerAll(inDoubt());
    await advance(100);
    expect(asked).toHaveLength(1);
    expect(open[0]?.batch.records.map(({ id }) => id)).toEqual(["b0", "b1"]);
    await answerAll();
    expect([told, counts.accepted_total]).toEqual([["b stored"], 2]);
  });
});

describe("a large batch", () => {
  const LARGE = BATCH_MESSAGES_MAX;

  test("is one of more than a quarter of a commit; such share commits with each other, and with no other", async () => {
    const { send, sendBatch, sizes, open, answerAll, told } = setUp(2);
    const own = lease(7);
    send("a");
    for (const id of ["b", "c", "d"]) sendBatch(id, SMALL + 1, own);
    await settle();
    expect(sizes()).toEqual([1, 3 * (SMALL + 1)]);
    expect(open[1]?.batch.spends).toEqual([{ customerId: 7, epoch: 1, amount: 15 * (SMALL + 1) }]);
    sendBatch("e", SMALL);
    await answerAll();
    expect(sizes()).toEqual([SMALL]);
    await answerAll();
    expect(told).toEqual(["a stored", "b stored", "c stored", "d stored", "e stored"]);
  });

  test("waits for no flood of another customer's, if there are more than a commit holds", async () => {
    const { sendBatch, sizes, open, answerAll } = setUp(1);
    const own = lease(7);
    for (let n = 0; n < 30; n++) sendBatch(`f${n}-`, 100, own);
    sendBatch("b", 100, lease(8));
    await settle();
    expect(sizes()).toEqual([LARGE]);
    await answerAll();
    expect(sizes()).toEqual([LARGE]);
    expect(open[0]?.batch.spends).toEqual([
      { customerId: 7, epoch: 1, amount: 5 * 900 },
      { customerId: 8, epoch: 1, amount: 5 * 100 },
    ]);
  });

  test("has a commit of its own; a message beside it does not wait for it", async () => {
    const { send, sendBatch, sizes, open, told } = setUp(2);
    sendBatch("b", BATCH_MESSAGES_MAX);
    await settle();
    send("a");
    await settle();
    expect(sizes()).toEqual([BATCH_MESSAGES_MAX, 1]);
    open[1]?.done();
    await settle();
    expect(told).toEqual(["a stored"]);
  });

  test("costs two turns of the event loop, and none while all connections are busy", async () => {
    const { send, sendBatch, answerAll, turns } = setUp(1);
    sendBatch("b", LARGE);
    await settle();
    await answerAll();
    expect(turns()).toBe(2);
    send("a");
    await settle();
    sendBatch("c", LARGE);
    await settle();
    expect(turns()).toBe(4);
  });

  test("that waits begins when another ends", async () => {
    const { sendBatch, sizes, answerAll, told } = setUp(2);
    for (const id of ["b", "c"]) sendBatch(id, LARGE);
    await settle();
    expect(sizes()).toEqual([LARGE]);
    await answerAll();
    expect(sizes()).toEqual([LARGE]);
    await answerAll();
    expect(told).toEqual(["b stored", "c stored"]);
  });

  test("many of them leave a connection to the others", async () => {
    const { send, sendBatch, sizes, answerAll, told } = setUp(3);
    for (const id of ["b", "c", "d", "e"]) sendBatch(id, LARGE);
    await settle();
    expect(sizes()).toEqual([LARGE, LARGE]);
    send("a");
    await settle();
    expect(sizes()).toEqual([LARGE, LARGE, 1]);
    await answerAll();
    expect(sizes()).toEqual([LARGE, LARGE]);
    await answerAll();
    expect(told.toSorted()).toEqual(["a stored", "b stored", "c stored", "d stored", "e stored"]);
  });

  test("with one connection they take turns with the others, and neither waits for two of the other's", async () => {
    const { sendMany, sendBatch, sizes, answerAll, commits } = setUp(1);
    sendMany(3 * COMMIT_ROWS_MAX);
    for (const id of ["b", "c"]) sendBatch(id, LARGE);
    await settle();
    const order: number[] = [];
    while (sizes().length > 0) {
      expect(sizes()).toHaveLength(1);
      order.push(sizes()[0] as number);
      await answerAll();
      await settle();
    }
    expect(order).toEqual([COMMIT_ROWS_MAX, LARGE, COMMIT_ROWS_MAX, LARGE, COMMIT_ROWS_MAX]);
    expect(commits.admitted()).toBe(0);
  });

  test("does not change the pace of the others", async () => {
    const { send, sendBatch, sizes, answerAll } = setUp(2);
    sendBatch("b", LARGE);
    await settle();
    await answerAll();
    send("a");
    await settle();
    expect(sizes()).toEqual([1]);
  });

  test("is retried whole when its connection is lost", async () => {
    const { sendBatch, sizes, answerAll, advance, told } = setUp(2);
    sendBatch("b", LARGE);
    await settle();
    await answerAll(lost());
    await advance(100);
    expect(sizes()).toEqual([LARGE]);
    await answerAll();
    expect(told).toEqual(["b stored"]);
  });
});
