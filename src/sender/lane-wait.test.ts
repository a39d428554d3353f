import { describe, expect, test } from "bun:test";
import { laneRecord } from "../../test/support/smpp-operator.ts";
import { NOT_TAKEN_WAIT_MS } from "../core/limits.ts";
import type { Change } from "../ledger/move.ts";
import { type Attempt, attemptOf, createLaneWait } from "./lane-wait.ts";

function waitAt() {
  const clock = { ms: 50_000 };
  const wait = createLaneWait({ monotonicMs: () => clock.ms, now: () => 1_000_000 + clock.ms });
  let last = 0;
  /** Another message, unless it says which. */
  const ends = (end: Attempt["end"], ms: number, id = `id-${++last}`, isFirst = true) =>
    wait.took({ id, isFirst, end, ms });
  const agedMs = (ms: number) => 1_000_000 + clock.ms - ms;
  return { clock, wait, ends, agedMs };
}

describe("while operators take messages", () => {
  test("an idle lane has no wait; a busy one that of the slowest of a hundred", () => {
    const { wait, ends } = waitAt();
    expect(wait.waitMs(null)).toBe(0);
    for (let n = 1; n <= 200; n++) ends("taken", n);
    expect(wait.waitMs(null)).toBe(199);
  });

  test("one slow message in many says nothing about the lane", () => {
    const { wait, ends } = waitAt();
    for (let n = 0; n < 199; n++) ends("taken", 80);
    ends("taken", 9_000);
    expect(wait.waitMs(null)).toBe(80);
  });

  test("what was taken more than five seconds ago is forgotten", () => {
    const { wait, ends, clock } = waitAt();
    ends("taken", 4_000);
    clock.ms += 4_999;
    expect(wait.waitMs(null)).toBe(4_000);
    clock.ms += 1;
    expect(wait.waitMs(null)).toBe(0);
  });

  test("a message that still waits counts with its age, however fast the last ones were", () => {
    const { wait, ends, agedMs } = waitAt();
    ends("taken", 100);
    expect(wait.waitMs(agedMs(7_000))).toBe(7_000);
    expect(wait.waitMs(agedMs(20))).toBe(100);
  });

  test("of very many messages the latest count", () => {
    const { wait, ends } = waitAt();
    for (let n = 0; n < 10_000; n++) ends("taken", n < 8_000 ? 9_000 : 50);
    expect(wait.waitMs(null)).toBe(50);
  });
});

describe("while operators refuse some", () => {
  test("refusals, lost answers and late second attempts of less than half say nothing about the lane", () => {
    const { wait, ends } = waitAt();
    for (let n = 0; n < 60; n++) ends("taken", 80);
    for (let n = 0; n < 20; n++) ends("refused", 3_000);
    for (let n = 0; n < 20; n++) ends("missed", 2_000);
    for (let n = 0; n < 19; n++) ends("taken", 2_500, `again-${n}`, false);
    expect(wait.waitMs(null)).toBe(80);
  });

  test("when most are refused, the wait is until their next attempt; of each message the latest one counts", () => {
    const { wait, ends } = waitAt();
    for (let n = 0; n < 10; n++) ends("taken", 80);
    for (let n = 0; n < 11; n++) ends("refused", 700, `again-${n}`);
    expect(wait.waitMs(null)).toBe(700);
    for (let n = 0; n < 11; n++) ends("taken", 900, `again-${n}`, false);
    expect(wait.waitMs(null)).toBe(900);
    for (let n = 0; n < 10; n++) ends("taken", 80);
    expect(wait.waitMs(null)).toBe(80);
  });

  test("when most run out of time, none can be promised, although others are taken", () => {
    const { wait, ends } = waitAt();
    for (let n = 0; n < 10; n++) ends("taken", 80);
    for (let n = 0; n < 10; n++) ends("missed", 2_000);
    expect(wait.waitMs(null)).toBe(80);
    ends("missed", 2_000);
    expect(wait.waitMs(null)).toBe(NOT_TAKEN_WAIT_MS);
  });

  test("two messages are no evidence", () => {
    const { wait, ends } = waitAt();
    for (let n = 0; n < 2; n++) ends("missed", 2_000);
    expect(wait.waitMs(null)).toBe(0);
    ends("missed", 2_000);
    expect(wait.waitMs(null)).toBe(NOT_TAKEN_WAIT_MS);
  });
});

describe("while operators take none", () => {
  /** Operators have taken none for five seconds, and three messages have run out of time. */
  const failing = () => {
    const made = waitAt();
    made.ends("taken", 80);
    made.clock.ms += 5_000;
    for (let n = 0; n < 3; n++) made.ends("missed", 2_000);
    return made;
  };

  test("none can be promised as long as some are tried or wait, however short a time", () => {
    const { wait, ends, clock, agedMs } = failing();
    for (let n = 0; n < 100; n++) ends("refused", 300);
    expect(wait.waitMs(null)).toBe(NOT_TAKEN_WAIT_MS);
    clock.ms += 10_000;
    expect(wait.waitMs(agedMs(20))).toBe(NOT_TAKEN_WAIT_MS);
  });

  test("with nothing left it is open whether they take the next one: if it is refused, none can be promised at once", () => {
    const { wait, ends, clock } = failing();
    clock.ms += 5_000;
    expect(wait.waitMs(null)).toBe(0);
    ends("refused", 300);
    expect(wait.waitMs(null)).toBe(NOT_TAKEN_WAIT_MS);
  });

  test("once one is taken, the wait is that of the last five seconds again", () => {
    const { wait, ends, clock } = failing();
    clock.ms += 5_000;
    ends("taken", 120);
    expect(wait.waitMs(null)).toBe(120);
    ends("refused", 300);
    expect(wait.waitMs(null)).toBe(120);
  });

  test("what was long ago is no evidence: a single refusal in a quiet lane counts for nothing", () => {
    const { wait, ends, clock } = failing();
    clock.ms += 60_000;
    ends("refused", 300);
    expect(wait.waitMs(null)).toBe(0);
    for (let n = 0; n < 2; n++) ends("missed", 2_000);
    clock.ms += 5_000;
    ends("refused", 300);
    expect(wait.waitMs(null)).toBe(0);
  });
});

describe("a change", () => {
  const record = laneRecord("hi", { createdAtMs: 1_000, lane: "express", guaranteedByMs: 6_000 });
  const change = (fields: Partial<Change>): Change => ({
    record,
    from: "sending",
    to: "sent",
    takenAtMs: null,
    operator: null,
    operatorMessageIds: [],
    reason: null,
    ...fields,
  });

  test("says when the message was taken, or will be tried again", () => {
    const taken = change({ takenAtMs: 1_080, operator: "A" });
    expect(attemptOf(taken, 1_300)).toEqual({ id: record.id, isFirst: true, end: "taken", ms: 80 });
    const refused = change({ to: "queued", retryInMs: 250, record: { ...record, attempt: 2 } });
    expect(attemptOf(refused, 1_300)).toEqual({ id: record.id, isFirst: false, end: "refused", ms: 550 });
  });

  test("misses it if its time is over or its answer lost, and says nothing of one that is refused for good", () => {
    for (const to of ["expired", "unknown"] as const)
      expect(attemptOf(change({ to }), 3_000)).toMatchObject({ end: "missed", ms: 2_000 });
    expect(attemptOf(change({ to: "failed" }), 3_000)).toBeNull();
  });
});

test("a message that was sent later waits since then", () => {
  const taken: Change = {
    record: laneRecord("later", { createdAtMs: 1_000, sendAtMs: 500_000 }),
    from: "sending",
    to: "sent",
    takenAtMs: 500_080,
    operator: "A",
    operatorMessageIds: ["a1"],
    reason: null,
  };
  expect(attemptOf(taken, 500_090)?.ms).toBe(80);
});
