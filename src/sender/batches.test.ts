import { expect, test } from "bun:test";
import { createMetrics } from "../platform/metrics.ts";
import type { BatchRequest } from "./batch.ts";
import { type BatchesDeps, createBatches } from "./batches.ts";

/** With operators of this rate, and batches that are never claimed. */
function batchesAt(partsPerS: number) {
  const batches = createBatches({
    fleet: { report: () => undefined, perSecond: () => partsPerS },
    metrics: createMetrics("test"),
    persist: { run: (_: string, body: (again: boolean) => unknown) => body(false), isUp: () => true },
    id: () => "",
    now: () => 0,
    isStopping: () => false,
  } as unknown as BatchesDeps);
  const request: BatchRequest = {
    lane: "normal",
    allowance: new Map(),
    claim: () => new Promise(() => undefined),
    took: () => undefined,
  };
  const start = (kind: "queued" | "held", size: number) =>
    batches.start(kind, size, request, () => undefined);
  return { batches, start };
}

test("a batch has 200 messages at most, and each kind its number of batches", () => {
  const { batches, start } = batchesAt(Number.POSITIVE_INFINITY);
  for (const [kind, most] of [
    ["queued", 6],
    ["held", 2],
  ] as const) {
    for (let n = 0; n < most; n++) {
      expect(batches.room(kind)).toBe(200);
      start(kind, 200);
    }
    expect(batches.room(kind)).toBe(0);
  }
  expect(batches.unsettled()).toBe(1_600);
});

test("where operators' rates make the room small, each kind leaves some of it to the other", () => {
  const { batches, start } = batchesAt(10);
  expect([batches.room("queued"), batches.room("held")]).toEqual([60, 40]);
  start("queued", 60);
  expect([batches.room("queued"), batches.room("held")]).toEqual([0, 20]);
  start("held", 20);
  expect([batches.room("queued"), batches.room("held")]).toEqual([0, 0]);
});

test("however small it is, each kind has room for a message", () => {
  const { batches, start } = batchesAt(0.1);
  expect([batches.room("queued"), batches.room("held")]).toEqual([1, 1]);
  start("queued", 1);
  expect([batches.room("queued"), batches.room("held")]).toEqual([0, 1]);
});

test("who waits for more room is woken, or looks again soon", async () => {
  const { batches } = batchesAt(1);
  const woken = batches.changed();
  batches.wake();
  await woken;
  await batches.changed();
});
