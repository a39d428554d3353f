import { expect, test } from "bun:test";
import { laneRecord } from "../../test/support/messages.ts";
import { createMetrics } from "../platform/metrics.ts";
import { sleep } from "../platform/retry.ts";
import type { BatchRequest } from "./batch.ts";
import { type BatchesDeps, createBatches } from "./batches.ts";
import type { Indexed } from "./worker.ts";

/** With operators of this rate, all together and for each link, and batches that are never claimed. */
function batchesAt(partsPerS: number, ofLink: (link: string) => number = () => partsPerS) {
  const batches = createBatches({
    fleet: {
      report: () => undefined,
      perSecond: (link?: string) => (link === undefined ? partsPerS : ofLink(link)),
    },
    metrics: createMetrics("test"),
    persist: { run: (_: string, body: (again: boolean) => unknown) => body(false), isUp: () => true },
    submitters: { submit: () => new Promise(() => undefined) },
    counts: {},
    id: () => "",
    now: () => 0,
    isStopping: () => false,
  } as unknown as BatchesDeps);
  const request = (link: string): BatchRequest => ({
    lane: "normal",
    link,
    allowance: new Map(),
    claim: () => new Promise(() => undefined),
    took: () => undefined,
  });
  const start = (kind: "queued" | "held", messages: number, link = "A", parts = messages) =>
    batches.start(kind, { messages, parts }, request(link), () => undefined);
  /** For how many messages of one part. */
  const room = (kind: "queued" | "held", link = "A") => {
    const { messages, parts } = batches.room(kind, link) ?? { messages: 0, parts: 0 };
    return Math.min(messages, parts);
  };
  /** Starts as many batches of this link as there is room for; returns how many. */
  const fill = (kind: "queued" | "held", link: string) => {
    let count = 0;
    for (; room(kind, link) > 0; count++) start(kind, room(kind, link), link);
    return count;
  };
  return { batches, request, start, room, fill };
}

test("a batch has 200 messages at most, and each kind its number of batches", () => {
  const { batches, start, room } = batchesAt(Number.POSITIVE_INFINITY);
  for (const [kind, most] of [
    ["queued", 6],
    ["held", 2],
  ] as const) {
    for (let n = 0; n < most; n++) {
      expect(room(kind)).toBe(200);
      start(kind, 200);
    }
    expect(room(kind)).toBe(0);
  }
  expect(batches.unsettled()).toBe(1_600);
});

test("where operators' rates make the room small, each kind leaves some of it to the other", () => {
  const { start, room } = batchesAt(10);
  expect([room("queued"), room("held")]).toEqual([60, 40]);
  start("queued", 60);
  expect([room("queued"), room("held")]).toEqual([0, 20]);
  start("held", 20);
  expect([room("queued"), room("held")]).toEqual([0, 0]);
});

test("operators' rates are in parts: long messages take the room of many", () => {
  const { batches, start, room } = batchesAt(10);
  start("queued", 6, "A", 60);
  expect([room("queued"), room("held")]).toEqual([0, 20]);
  expect(batches.unsettled()).toBe(6);
});

test("once its messages are claimed, a batch takes the room of their parts only", async () => {
  const { batches, request, room } = batchesAt(10);
  const records = [laneRecord(1, { parts: 7 }), laneRecord(1, { parts: 2 })];
  const claim = async () => ({ records, unpaid: [], wasStored: false, read: 2 });
  batches.start("held", { messages: 200, parts: 40 }, { ...request("A"), claim }, () => undefined);
  expect(room("held")).toBe(0);
  await sleep(10);
  expect(room("held")).toBe(31);
});

test("however small it is, each kind has room for a message", () => {
  const { start, room } = batchesAt(0.1);
  expect([room("queued"), room("held")]).toEqual([1, 1]);
  start("queued", 1);
  expect([room("queued"), room("held")]).toEqual([0, 1]);
});

test("a link has what its own operators' rates allow, and all together what all of these allow", () => {
  const { start, room } = batchesAt(15, (link) => (link === "A" ? 5 : 10));
  expect([room("queued", "A"), room("queued", "B")]).toEqual([30, 60]);
  start("queued", 30, "A");
  start("held", 10, "A");
  expect([room("queued", "A"), room("held", "A"), room("queued", "B")]).toEqual([0, 0, 60]);
  start("queued", 60, "B");
  // Of the 120 that A and B take together in eight seconds.
  expect(room("queued", "A B")).toBe(20);
});

test("links whose batches get no answer leave batches to the next ones; of many, each has some", () => {
  const { fill } = batchesAt(Number.POSITIVE_INFINITY);
  expect([fill("queued", "A"), fill("held", "A")]).toEqual([6, 2]);
  expect([fill("queued", "B"), fill("held", "B")]).toEqual([6, 2]);
  expect([fill("queued", "C"), fill("held", "C")]).toEqual([6, 2]);
  const others = ["D", "E", "F"].map((link) => fill("queued", link));
  expect(others).toEqual([4, 2, 1]);
  expect([fill("queued", "A"), fill("queued", "G"), fill("queued", "H")]).toEqual([0, 1, 0]);
});

test("who waits for more room is woken, or looks again soon", async () => {
  const { batches } = batchesAt(1);
  const woken = batches.changed();
  batches.wake();
  await woken;
  await batches.changed();
});

test("a link is slow while a batch of it has waited more than a second for its first answer", async () => {
  const answers: (() => void)[] = [];
  const batches = createBatches({
    fleet: { report: () => undefined, perSecond: () => Number.POSITIVE_INFINITY },
    metrics: createMetrics("test"),
    persist: { run: (_: string, body: (again: boolean) => unknown) => body(false), isUp: () => true },
    submitters: {
      submit: (_: unknown, onOutcomes: (outcomes: Indexed[]) => void) => {
        answers.push(() => onOutcomes([[0, { kind: "expired", reason: "" }]]));
        return new Promise(() => undefined);
      },
    },
    counts: {},
    id: () => "",
    now: () => 0,
    random: () => 0,
    isStopping: () => false,
  } as unknown as BatchesDeps);
  for (const link of ["A", "B"]) {
    const claim = async () => ({ records: [laneRecord(1)], unpaid: [], wasStored: false, read: 1 });
    const none = { allowance: new Map(), took: () => undefined };
    batches.start(
      "queued",
      { messages: 1, parts: 1 },
      { lane: "normal", link, claim, ...none },
      () => undefined,
    );
  }
  await sleep(10);
  expect(answers).toHaveLength(2);
  answers[0]?.();
  expect([...batches.slowLinks()]).toEqual([]);
  await sleep(1_100);
  expect([...batches.slowLinks()]).toEqual(["B"]);
});

test("a link is slow at once when it has as many messages as its operators' rates allow", () => {
  const { batches, start, room } = batchesAt(Number.POSITIVE_INFINITY, (link) => (link === "A" ? 10 : 1e9));
  start("queued", 59, "A");
  start("queued", 200, "B");
  expect([...batches.slowLinks()]).toEqual([]);
  start("queued", 1, "A");
  expect(room("queued", "A")).toBe(0);
  expect([...batches.slowLinks()]).toEqual(["A"]);
});
