// The queue on a fake clock: what goes into which commit and when, how long it retries, and that every unit
// of credit is committed, given back, or lost with its lease.

import { describe, expect, test } from "bun:test";
import { settle } from "../../test/support/fake-clock.ts";
import {
  createScriptedQueue as setUp,
  deadlock,
  inDoubt,
  lease,
  lost,
} from "../../test/support/scripted-queue.ts";
import { neverGone } from "../core/caller.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { COMMIT_ROWS_MAX, COMMIT_WAIT_MAX_MS } from "../core/limits.ts";
import { FencedError } from "../ledger/accept.ts";
import type { KeyClaim } from "../ledger/idempotency.ts";
import type { NewOtp } from "../ledger/otps.ts";
import { PLACES_MIN, WAIT_MAX_MS } from "./admission.ts";

describe("a batch", () => {
  test("holds the messages of one turn, with what each lease spends and the keys of those that have one", async () => {
    const { send, open } = setUp();
    const key = { customerId: 7, operation: "send", key: "k", owner: "b" } as KeyClaim;
    const own = lease(7);
    send("a", own, 5);
    send("b", lease(9, 3), 6, key);
    send("c", own, 7);
    await settle();
    expect(open.map(({ batch }) => ({ ...batch, records: batch.records.map((r) => r.id) }))).toEqual([
      {
        nodeId: "node",
        nowMs: 77,
        records: ["a", "b", "c"],
        spends: [
          { customerId: 7, epoch: 1, amount: 12 },
          { customerId: 9, epoch: 3, amount: 6 },
        ],
        keys: [key],
        otps: [],
      },
    ]);
  });

  test("holds the one-time codes of the messages that have one", async () => {
    const { commits, open } = setUp();
    for (const id of ["a", "b", "c"]) {
      const otp = id === "b" ? undefined : ({ messageId: id } as NewOtp);
      commits.admit(7);
      void commits.store({ id, customerId: 7 } as LaneRecord, null, null, neverGone, [], otp);
    }
    await settle();
    expect(open.map(({ batch }) => batch.otps?.map(({ messageId }) => messageId))).toEqual([["a", "c"]]);
  });

  test("holds COMMIT_ROWS_MAX messages; the others form the next batch, in order", async () => {
    const { sendMany, open, sizes, answerAll, told } = setUp();
    sendMany(2 * COMMIT_ROWS_MAX + 1);
    await settle();
    expect(sizes()).toEqual([COMMIT_ROWS_MAX]);
    expect(open[0]?.batch.records.at(-1)?.id).toBe(`m${COMMIT_ROWS_MAX - 1}`);
    await answerAll();
    expect(sizes()).toEqual([COMMIT_ROWS_MAX]);
    expect(open[0]?.batch.records[0]?.id).toBe(`m${COMMIT_ROWS_MAX}`);
    await answerAll();
    expect(told).toHaveLength(2 * COMMIT_ROWS_MAX);
  });

  test("of exactly COMMIT_ROWS_MAX is one batch", async () => {
    const { sendMany, sizes, answerAll, told, commits, counts } = setUp(2);
    sendMany(COMMIT_ROWS_MAX);
    await settle();
    expect(sizes()).toEqual([COMMIT_ROWS_MAX]);
    await answerAll();
    expect(told).toHaveLength(COMMIT_ROWS_MAX);
    expect(commits.admitted()).toBe(0);
    expect(counts).toMatchObject({ commits_total: 1, accepted_total: COMMIT_ROWS_MAX, in_doubt_total: 0 });
  });
});

describe("commits at once", () => {
  test("are as many as there are connections, and the next starts when one ends", async () => {
    const { sendMany, open, answerAll, sizes } = setUp(2);
    sendMany(4 * COMMIT_ROWS_MAX);
    await settle();
    expect(sizes()).toEqual([COMMIT_ROWS_MAX, COMMIT_ROWS_MAX]);
    open.shift()?.done();
    await settle();
    expect(sizes()).toEqual([COMMIT_ROWS_MAX, COMMIT_ROWS_MAX]);
    await answerAll();
    expect(sizes()).toEqual([COMMIT_ROWS_MAX]);
  });

  test("a message that comes while all are busy joins the next one, and costs no turn of the event loop", async () => {
    const { send, answerAll, sizes, told, turns, waiting } = setUp();
    send("a");
    await settle();
    const before = turns();
    send("b");
    send("c");
    await settle();
    expect([sizes(), turns()]).toEqual([[1], before]);
    await answerAll();
    expect([sizes(), told, waiting()]).toEqual([[2], ["a stored"], 0]);
  });
});

test("a message that was stored with its grant is counted, and gives its place back", () => {
  const { commits, counts } = setUp();
  commits.admit(7);
  commits.stored(7);
  expect([commits.admitted(), counts]).toEqual([
    0,
    { commits_total: 0, accepted_total: 1, stored_with_grant_total: 1, in_doubt_total: 0 },
  ]);
});

test("an idle queue does nothing: messages that come together cost two turns of the event loop", async () => {
  const { sendMany, answerAll, turns, waiting } = setUp(2);
  sendMany(3);
  await settle();
  await answerAll();
  await settle();
  expect([turns(), waiting()]).toEqual([2, 0]);
});

test("an empty batch, because all its messages left, is not stored and is not a commit", async () => {
  const { send, open, answerAll, told, credit, causes, counts } = setUp();
  const gone = lease(7);
  send("a", gone);
  send("b", gone);
  await settle();
  const fenced = new FencedError(open[0]?.batch.spends ?? []);
  await answerAll(fenced);
  expect(open).toEqual([]);
  expect(told).toEqual(["a unavailable", "b unavailable"]);
  expect(credit).toEqual({ committed: [], returned: [], lost: [5, 5] });
  expect(causes).toEqual([fenced, fenced]);
  expect(counts.commits_total).toBe(0);
});

describe("lingering", () => {
  const afterEight = async () => {
    const all = setUp();
    all.sendMany(8);
    await settle();
    await all.answerAll();
    return all;
  };

  test("a message that comes alone never waits", async () => {
    const { send, answerAll, sizes, waiting } = setUp();
    for (const id of ["a", "b", "c"]) {
      send(id);
      await settle();
      expect([sizes(), waiting()]).toEqual([[1], 0]);
      await answerAll();
    }
  });

  test("after a commit of some, the next lingers until its time", async () => {
    const { send, sizes, advance } = await afterEight();
    send("a");
    await advance(2);
    send("b");
    expect(sizes()).toEqual([]);
    await advance(1);
    expect(sizes()).toEqual([2]);
  });

  test("callers that wait for their answers lose nothing: when all have sent again, it begins", async () => {
    const { sendMany, sizes } = await afterEight();
    sendMany(7);
    await settle();
    expect(sizes()).toEqual([]);
    sendMany(1);
    await settle();
    expect(sizes()).toEqual([8]);
  });

  test("that is cut short begins nothing at its end, even if more is queued by then", async () => {
    const { sendMany, send, sizes, advance } = await afterEight();
    sendMany(7);
    await settle();
    sendMany(1);
    await settle();
    send("a");
    await advance(20);
    expect(sizes()).toEqual([8]);
  });

  test("that is cut short plans nothing at its end", async () => {
    const { sendMany, answerAll, advance, waiting } = await afterEight();
    sendMany(7);
    await advance(1);
    sendMany(1);
    await settle();
    await answerAll();
    await advance(2);
    expect(waiting()).toBe(0);
  });

  test("messages that join a batch while it lingers cost no turn of the event loop", async () => {
    const { send, turns } = await afterEight();
    send("a");
    await settle();
    const before = turns();
    for (const id of ["b", "c", "d"]) {
      send(id);
      await settle();
    }
    expect(turns()).toBe(before);
  });

  test("lasts longer when commits take longer", async () => {
    const { sendMany, send, answerAll, sizes, advance } = setUp();
    sendMany(8);
    await advance(60);
    await answerAll();
    sendMany(8);
    await settle();
    await answerAll();
    // One commit took 60 ms, the next no time: on average 5.4 ms, which is 2.4 more than on an idle machine.
    // So commits begin 7.2 ms apart.
    send("a");
    await advance(7);
    expect(sizes()).toEqual([]);
    await advance(1);
    expect(sizes()).toEqual([1]);
  });

  test("half a batch is enough to begin", async () => {
    const all = setUp();
    all.sendMany(COMMIT_ROWS_MAX);
    await settle();
    await all.answerAll();
    all.sendMany(COMMIT_ROWS_MAX / 2 - 1);
    await settle();
    expect(all.sizes()).toEqual([]);
    all.sendMany(1);
    await settle();
    expect(all.sizes()).toEqual([COMMIT_ROWS_MAX / 2]);
  });
});

describe("the places of the queue", () => {
  test("are given back when their messages are answered, whatever the answer is", async () => {
    const { send, answerAll, commits } = setUp();
    send("a");
    send("b");
    expect(commits.admitted()).toBe(2);
    await settle();
    await answerAll(Object.assign(new Error("bad"), { errno: 1064 }));
    expect(commits.admitted()).toBe(0);
  });

  test("are fewer once messages have waited long for long", async () => {
    const { send, answerAll, advance, commits } = setUp();
    for (let n = 0; n < 8; n++) {
      send(`m${n}`);
      await settle();
      await advance(WAIT_MAX_MS + 1);
      await answerAll();
    }
    for (let n = 0; n < PLACES_MIN / 2; n++) commits.admit(1);
    expect(commits.refuses(1)).toBe(true);
    expect(() => commits.admit(1)).toThrow("overloaded");
    expect(commits.refuses(2)).toBe(false);
  });

  test("are as many as ever while none waits for long, however long that goes on", async () => {
    const { send, answerAll, advance, commits } = setUp();
    for (let n = 0; n < 10; n++) {
      send(`m${n}`);
      await settle();
      await answerAll();
      await advance(WAIT_MAX_MS / 4);
    }
    for (let n = 0; n < PLACES_MIN / 2; n++) commits.admit(1);
    expect(commits.refuses(1)).toBe(false);
  });

  test("drained waits until everything admitted has been answered", async () => {
    const { commits, send, answerAll, advance } = setUp();
    let isDrained = false;
    send("a");
    void commits.drained().then(() => (isDrained = true));
    await advance(100);
    expect(isDrained).toBe(false);
    await answerAll();
    await advance(5);
    expect(isDrained).toBe(true);
  });
});

describe("when the database fails", () => {
  test("a deadlock is retried, and no caller notices", async () => {
    const { send, answerAll, advance, told, credit, sizes, asked } = setUp();
    send("a");
    await settle();
    await answerAll(deadlock());
    expect(sizes()).toEqual([]);
    await advance(10);
    expect(sizes()).toEqual([1]);
    await answerAll();
    expect(told).toEqual(["a stored"]);
    expect(asked).toEqual([]); // nothing was stored for certain, so nothing is looked up
    expect(credit).toEqual({ committed: [5], returned: [], lost: [] });
  });

  test("a connection lost before COMMIT is retried for COMMIT_WAIT_MAX_MS, then all credit is returned", async () => {
    const { send, open, answerAll, advance, told, credit, timers } = setUp();
    send("a", lease(7), 5);
    send("b", lease(8), 6);
    await settle();
    let tries = 0;
    while (told.length === 0 && timers.monotonicMs() < 2 * COMMIT_WAIT_MAX_MS) {
      if (open.length > 0) tries++;
      await answerAll(lost());
      if (told.length === 0) await advance(100);
    }
    expect(told).toEqual(["a unavailable", "b unavailable"]);
    expect(timers.monotonicMs()).toBeGreaterThanOrEqual(COMMIT_WAIT_MAX_MS);
    expect(timers.monotonicMs()).toBeLessThan(COMMIT_WAIT_MAX_MS + 1_000);
    // From 10 ms, doubling up to half a second.
    expect(tries).toBeGreaterThan(15);
    expect(tries).toBeLessThan(60);
    expect(credit).toEqual({ committed: [], returned: [5, 6], lost: [] });
  });

  test("an error that a retry can't help returns the credit at once", async () => {
    const { send, answerAll, told, credit, counts, causes, waiting } = setUp();
    send("a", lease(7), 5);
    await settle();
    const error = new Error("no such table");
    await answerAll(error);
    expect([told, causes]).toEqual([["a unavailable"], [error]]);
    expect(credit).toEqual({ committed: [], returned: [5], lost: [] });
    expect([counts.commits_total, counts.accepted_total, waiting()]).toEqual([0, 0, 0]);
  });

  test("an outcome that stays unknown is reported as such, and its credit is not returned", async () => {
    const { send, answerAll, advance, told, credit, asked, causes, storedIs, counts } = setUp();
    const [one, other] = [lease(7), lease(8)];
    const away = lost();
    storedIs(away);
    send("a", one, 5);
    send("b", one, 6);
    send("c", other, 7);
    await settle();
    await answerAll(inDoubt());
    await advance(COMMIT_WAIT_MAX_MS - 500);
    expect(told).toEqual([]);
    await advance(1_500);
    expect(told).toEqual(["a outcome_unknown", "b outcome_unknown", "c outcome_unknown"]);
    expect(credit).toEqual({ committed: [], returned: [], lost: [5, 6, 7] });
    expect(causes).toEqual([away, away, away]);
    expect(asked.length).toBeGreaterThan(15);
    expect(counts).toMatchObject({ commits_total: 0, accepted_total: 0, in_doubt_total: 1 });
  });
});
