// Waiting for what becomes of messages: when a wait ends, and what all waits together cost.

import { beforeEach, expect, test } from "bun:test";
import { createFakeClock, type FakeClock, settle } from "../../../test/support/fake-clock.ts";
import { CallerGoneError } from "../../core/caller.ts";
import type { Status } from "../../core/message.ts";
import type { Outcome } from "../../reports/outcomes.ts";
import { createOutcomes, CUSTOMER_WAITS_MAX, type Outcomes, WAITS_MAX } from "./outcomes.ts";

let clock: FakeClock;
let reads: string[][];
let rows: Map<string, Outcome>;
let fails: boolean;
let outcomes: Outcomes;
beforeEach(() => {
  clock = createFakeClock();
  reads = [];
  rows = new Map();
  fails = false;
  outcomes = createOutcomes({
    timers: clock.timers,
    read: async (ids) => {
      reads.push([...ids]);
      if (fails) throw new Error("MySQL is away");
      return new Map(rows);
    },
  });
});

const is = (id: string, status: Status): Outcome => {
  const outcome = { status, lastError: null };
  rows.set(id, outcome);
  return outcome;
};
type Caller = { isGone?: () => boolean; isStopping?: () => boolean };
const no = () => false;
/** What a wait ended with; null while it goes on. */
function waitFor(id: string, { isGone = no, isStopping = no }: Caller = {}, customerId = 1) {
  const seen: { end: unknown } = { end: null };
  void outcomes
    .waitIn(customerId, (outcomeOf) => outcomeOf(id, { isGone, isStopping }, 5_000))
    .then(
      (outcome) => (seen.end = { outcome }),
      (error: unknown) => (seen.end = error),
    );
  return seen;
}

test("a wait ends with what settles its message, within a tenth of a second", async () => {
  for (const status of ["sent", "delivered", "undelivered", "failed", "expired"] as const) {
    is("a", "queued");
    const wait = waitFor("a");
    await clock.advance(1_000);
    expect(wait.end).toBeNull();
    const outcome = is("a", status);
    await clock.advance(100);
    expect(wait.end).toEqual({ outcome });
  }
});

test("at its time it ends with what was last read, and with null if nothing was", async () => {
  const unknown = is("a", "unknown");
  const wait = waitFor("a");
  await clock.advance(4_950);
  fails = true;
  await clock.advance(49);
  expect(wait.end).toBeNull();
  await clock.advance(1);
  expect(wait.end).toEqual({ outcome: unknown });
  const unread = waitFor("a");
  await clock.advance(5_000);
  expect(unread.end).toEqual({ outcome: null });
});

test("it ends at its time although the database hangs", async () => {
  outcomes = createOutcomes({ timers: clock.timers, read: () => new Promise(() => undefined) });
  const wait = waitFor("a");
  await clock.advance(5_000);
  expect(wait.end).toEqual({ outcome: null });
});

test("what was read more than half a second before its end, and may have changed since, is not returned", async () => {
  const queued = is("a", "queued");
  const ends: unknown[] = [];
  for (const hangsAtMs of [50, 4_450, 4_550]) {
    let hangs = false;
    const read = () => (hangs ? new Promise<never>(() => undefined) : Promise.resolve(new Map(rows)));
    outcomes = createOutcomes({ timers: clock.timers, read });
    const wait = waitFor("a");
    await clock.advance(hangsAtMs);
    hangs = true;
    await clock.advance(5_000 - hangsAtMs);
    ends.push(wait.end);
  }
  expect(ends).toEqual([{ outcome: null }, { outcome: null }, { outcome: queued }]);
});

test("a read is as old as its beginning", async () => {
  is("a", "queued");
  // The last one that ends in time begins at 4,000 ms and ends at 4,700 ms.
  const read = () => clock.timers.sleep(700).then(() => new Map(rows));
  outcomes = createOutcomes({ timers: clock.timers, read });
  const wait = waitFor("a");
  await clock.advance(5_000);
  expect(wait.end).toEqual({ outcome: null });
});

test("it ends when its caller is gone, and its place is free", async () => {
  is("a", "queued");
  let isGone = false;
  const wait = waitFor("a", { isGone: () => isGone });
  await clock.advance(1_000);
  isGone = true;
  await clock.advance(100);
  expect(wait.end).toBeInstanceOf(CallerGoneError);
  const before = reads.length;
  await clock.advance(1_000);
  expect(reads).toHaveLength(before);
});

test("it ends soon when its process stops", async () => {
  const sending = is("a", "sending");
  let isStopping = false;
  const wait = waitFor("a", { isStopping: () => isStopping });
  await clock.advance(1_000);
  isStopping = true;
  await clock.advance(1_000);
  expect(wait.end).toBeNull();
  await clock.advance(700);
  expect(wait.end).toEqual({ outcome: sending });
});

test("all waits share one read, and none is made without them", async () => {
  for (let n = 0; n < 100; n++) waitFor(String(n), {}, n);
  await clock.advance(450);
  expect(reads.length).toBeLessThanOrEqual(6);
  expect(reads.at(-1)).toHaveLength(100);
  for (let n = 0; n < 100; n++) is(String(n), "sent");
  await clock.advance(100);
  const before = reads.length;
  await clock.advance(10_000);
  expect(reads).toHaveLength(before);
});

test("a customer has a quarter of the places, and all together have so many; each is free when its wait is over", async () => {
  const overloaded = { code: "overloaded", status: 503 };
  for (let n = 0; n < CUSTOMER_WAITS_MAX; n++) waitFor("a");
  const own = waitFor("a");
  await settle();
  expect(own.end).toMatchObject(overloaded);
  for (let n = CUSTOMER_WAITS_MAX; n < WAITS_MAX; n++) waitFor("a", {}, 2 + (n % 10));
  const last = waitFor("a", {}, 99);
  await settle();
  expect(last.end).toMatchObject(overloaded);
  is("a", "sent");
  await clock.advance(200);
  const next = waitFor("a");
  await clock.advance(200);
  expect(next.end).toEqual({ outcome: rows.get("a") });
});
