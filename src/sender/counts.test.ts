import { expect, test } from "bun:test";
import type { LaneRecord } from "../core/lane-record.ts";
import type { Change } from "../ledger/move.ts";
import { createMetrics } from "../platform/metrics.ts";
import { countChanges, createCounts } from "./counts.ts";

const ACCEPTED_MS = 1_000_000;
const change = (to: Change["to"], takenAtMs: number | null, guaranteedByMs: number | null): Change => ({
  record: { createdAtMs: ACCEPTED_MS, guaranteedByMs, attempt: 0 } as LaneRecord,
  from: "sending",
  to,
  takenAtMs,
  operator: null,
  operatorMessageIds: [],
  reason: null,
});

test("a promise counts as made, missed or failed once the message's end is known, and the money follows it", async () => {
  const metrics = createMetrics("test");
  const counts = createCounts(metrics);
  const promised = ACCEPTED_MS + 5_000;
  countChanges(counts, [
    change("sent", ACCEPTED_MS + 40, promised),
    change("sent", ACCEPTED_MS + 5_000, promised),
    change("sent", ACCEPTED_MS + 5_001, promised),
    change("failed", null, promised),
    change("expired", null, promised),
    change("queued", null, promised),
    change("unknown", null, promised),
    change("sent", ACCEPTED_MS + 90_000, null),
  ]);
  const text = await metrics.text();
  const value = (name: string) => Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
  const of = (result: string) => value(`sluice_sender_express_total\\{result="${result}",role="test"\\}`);
  expect([of("made"), of("missed"), of("failed")]).toEqual([2, 2, 1]);
  expect(counts).toMatchObject({
    sent_total: 4,
    captured_total: 3,
    refunded_total: 3,
    failed_total: 1,
    expired_total: 1,
    requeued_total: 1,
    unknown_total: 1,
  });
  const taken = "sluice_sender_accepted_to_taken_seconds";
  expect(value(`${taken}_bucket\\{le="0.05",role="test"\\}`)).toBe(1);
  expect(value(`${taken}_bucket\\{le="5",role="test"\\}`)).toBe(2);
  expect(value(`${taken}_count\\{role="test"\\}`)).toBe(4);
});
