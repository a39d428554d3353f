// How many messages may wait, by number and by time, and how customers share the places.

import { beforeEach, describe, expect, test } from "bun:test";
import { QUEUE_ROWS_MAX } from "../core/limits.ts";
import { type Admission, createAdmission, PLACES_MIN, STANDING_MS, WAIT_MAX_MS } from "./admission.ts";

let nowMs = 0;
let admission: Admission;
beforeEach(() => {
  nowMs = 5_000;
  admission = createAdmission(() => nowMs);
});

/** Admits messages of a customer one by one until it is refused; returns how many. */
const fill = (customerId: number): number => {
  for (let n = 0; ; n++) {
    if (admission.refuses(customerId)) {
      expect(admission.isTight()).toBe(true);
      return n;
    }
    admission.admit(customerId);
  }
};
const STEP_MS = 50;
/** Answers `perMs` messages a millisecond for so long; each had waited `waitedMs`. */
const answer = (perMs: number, forMs: number, waitedMs: number): void => {
  for (const endMs = nowMs + forMs; nowMs < endMs; ) {
    nowMs += STEP_MS;
    admission.answered(perMs * STEP_MS, waitedMs);
  }
};
/** For just long enough: the last answer STANDING_MS after the first; the rate is counted over four spans. */
const overload = (perMs: number): void => answer(perMs, STANDING_MS + STEP_MS, WAIT_MAX_MS + 1);
const SPAN_MS = 250;

describe("while waits are short", () => {
  test("a customer alone has half of the places, and others can fill the rest", () => {
    expect(fill(1)).toBe(QUEUE_ROWS_MAX / 2);
    expect(() => admission.admit(1)).toThrow("overloaded");
    for (let id = 2; admission.admitted() < QUEUE_ROWS_MAX; id++) admission.admit(id);
    expect(() => admission.admit(50_000)).toThrow("overloaded");
    admission.leave(1);
    admission.admit(50_000);
    expect(() => admission.admit(50_001)).toThrow("overloaded");
  });

  test("anybody might be refused from half of the places on, and not before", () => {
    admission.admit(1, QUEUE_ROWS_MAX / 2 - 1);
    expect(admission.isTight()).toBe(false);
    admission.admit(2);
    expect(admission.isTight()).toBe(true);
  });

  test("several that want all have equal parts, and leave one more", () => {
    const shares = [0, 0, 0];
    for (let isFull = false; !isFull; ) {
      isFull = true;
      for (const [at] of shares.entries()) {
        if (admission.refuses(at)) continue;
        admission.admit(at);
        shares[at] = (shares[at] as number) + 1;
        isFull = false;
      }
    }
    for (const share of shares) expect(Math.abs(share - QUEUE_ROWS_MAX / 4)).toBeLessThanOrEqual(1);
    expect(admission.refuses(9)).toBe(false);
  });

  test("places that are given back can be had again, and leave nothing behind", () => {
    const most = fill(1);
    admission.leave(1, 2);
    expect(fill(1)).toBe(2);
    admission.leave(1, most);
    expect(admission.admitted()).toBe(0);
    expect(fill(1)).toBe(most);
  });

  test("the customer that gave places back has as large a part as if it had never had them", () => {
    const parts = () => [fill(2), fill(1), fill(3)];
    for (const kept of [0, 1_000]) {
      admission = createAdmission(() => nowMs);
      if (kept > 0) admission.admit(1, kept);
      const asNew = parts();
      admission = createAdmission(() => nowMs);
      admission.leave(1, fill(1) - kept);
      expect(parts()).toEqual(asNew);
    }
  });

  test("a batch of more messages than there are places is refused, even to the first", () => {
    expect(() => admission.admit(1, QUEUE_ROWS_MAX + 1)).toThrow("overloaded");
    admission.admit(1, QUEUE_ROWS_MAX);
  });

  test("a batch has places for all of its messages or for none", () => {
    admission.admit(1, QUEUE_ROWS_MAX / 2 - 1);
    admission.admit(1, 1_000); // with a single message, the customer would have had half
    expect(() => admission.admit(1, 1)).toThrow("overloaded");
    const left = QUEUE_ROWS_MAX - admission.admitted();
    expect(() => admission.admit(2, left + 1)).toThrow("overloaded");
    admission.admit(2, left);
    expect(admission.admitted()).toBe(QUEUE_ROWS_MAX);
    admission.leave(1, QUEUE_ROWS_MAX / 2 + 999);
    expect(admission.admitted()).toBe(left);
  });
});

describe("waits that are long", () => {
  test("for a moment, as after a burst, change nothing", () => {
    answer(8, STANDING_MS - STEP_MS, 4 * WAIT_MAX_MS);
    answer(8, STEP_MS, WAIT_MAX_MS);
    answer(8, STANDING_MS - STEP_MS, 4 * WAIT_MAX_MS);
    expect(fill(1)).toBe(QUEUE_ROWS_MAX / 2);
  });

  test("for long leave as many places as are answered in the longest wait", () => {
    overload(8);
    expect(fill(1)).toBe((8 * WAIT_MAX_MS) / 2);
    expect(fill(2)).toBeGreaterThan((8 * WAIT_MAX_MS) / 5);
  });

  test("leave enough places for full commits, however little is answered", () => {
    overload(0.1);
    expect(fill(1)).toBe(PLACES_MIN / 2);
  });

  test("follow what is answered, but never above the bound", () => {
    overload(1_000);
    expect(fill(1)).toBe(QUEUE_ROWS_MAX / 2);
    admission.leave(1, QUEUE_ROWS_MAX / 2);
    answer(4, 5_000, WAIT_MAX_MS + 1);
    expect(Math.abs(fill(1) - (4 * WAIT_MAX_MS) / 2)).toBeLessThanOrEqual(5);
  });

  test("follow what is answered by and by: a span takes them half of the way", () => {
    overload(8);
    answer(4, SPAN_MS, WAIT_MAX_MS + 1);
    expect(fill(1)).toBe((6 * WAIT_MAX_MS) / 2);
  });

  test("count what is answered over a time, not from one answer to the next", () => {
    for (let n = 0; n * STEP_MS <= STANDING_MS; n++) {
      nowMs += STEP_MS;
      for (let at = 0; at < 2; at++) admission.answered(4 * STEP_MS, WAIT_MAX_MS + 1);
    }
    expect(fill(1)).toBe((8 * WAIT_MAX_MS) / 2);
  });

  test("are over once nobody was refused for as long", () => {
    overload(8);
    for (let n = 0; n < 10; n++) {
      answer(8, STANDING_MS / 2, 1);
      expect(fill(1)).toBe((8 * WAIT_MAX_MS) / 2); // and then refused
      admission.leave(1, (8 * WAIT_MAX_MS) / 2);
    }
    answer(8, STANDING_MS, 1);
    expect(fill(1)).toBe(QUEUE_ROWS_MAX / 2);
  });

  test("that go on keep it all the time, though nobody is refused", () => {
    overload(8);
    admission.admit(1, (8 * WAIT_MAX_MS) / 2);
    for (let forMs = 0; forMs < 3 * STANDING_MS; forMs += STEP_MS) {
      answer(8, STEP_MS, WAIT_MAX_MS + 1);
      expect(admission.isTight()).toBe(true);
    }
    expect(fill(1)).toBe(0);
  });

  test("a pause between two answers does not count as slow", () => {
    for (const pauseMs of [2 * SPAN_MS, 60_000]) {
      admission = createAdmission(() => nowMs);
      answer(8, SPAN_MS + STEP_MS, 1);
      nowMs += pauseMs - STEP_MS;
      overload(8);
      expect(fill(1)).toBe((8 * WAIT_MAX_MS) / 2);
    }
  });
});

test("while a flood of one still drains, others are let in up to half of an equal part", () => {
  admission.admit(4);
  admission.leave(4); // and has no part any more
  expect(fill(1)).toBe(QUEUE_ROWS_MAX / 2);
  overload(2);
  const places = 2 * WAIT_MAX_MS;
  expect(admission.refuses(1)).toBe(true);
  expect(fill(2)).toBe(Math.floor(places / 2 / 3));
  expect(fill(3)).toBe(places / 2 / 4);
});
