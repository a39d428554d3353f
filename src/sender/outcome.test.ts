import { expect, test } from "bun:test";
import { MESSAGE_ATTEMPTS_MAX, RETRY_DELAY_MAX_MS } from "../core/limits.ts";
import { canMove, settlementOf } from "../core/message.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { asLate } from "../ledger/settle-plan.ts";
import { changeOf, type Outcome, retryDelayMs } from "./outcome.ts";

const record = (fields: Partial<LaneRecord> = {}) =>
  ({ id: "m", lane: "normal", attempt: 0, guaranteedByMs: null, ...fields }) as LaneRecord;
const accepted: Outcome = { kind: "accepted", operator: "A", operatorMessageId: "a1", atMs: 1_000 };
const refused = (permanent: boolean): Outcome => ({ kind: "refused", permanent, reason: "A: 503 busy" });
const unknown: Outcome = { kind: "unknown", operator: "B", reason: "B: timed out" };

test("taken is captured; taken after guaranteed_by is refunded", () => {
  expect(changeOf(record(), accepted)).toMatchObject({ to: "sent", money: "capture", operator: "A" });
  expect(changeOf(record({ guaranteedByMs: 1_000 }), accepted)).toMatchObject({
    to: "sent",
    money: "capture",
  });
  expect(changeOf(record({ guaranteedByMs: 999 }), accepted)).toMatchObject({ to: "sent", money: "refund" });
});

test("a change says what it changes: the record, from sending, and who took it or why not", () => {
  const of = record({ guaranteedByMs: 999 });
  expect(changeOf(of, accepted)).toEqual({
    record: of,
    from: "sending",
    to: "sent",
    money: "refund",
    operator: "A",
    operatorMessageId: "a1",
    reason: "taken after guaranteed_by",
  });
  expect(changeOf(record(), accepted).reason).toBeNull();
  expect(changeOf(of, refused(true))).toEqual({
    record: of,
    from: "sending",
    to: "failed",
    money: "refund",
    operator: null,
    operatorMessageId: null,
    reason: "A: 503 busy",
  });
  expect(changeOf(of, unknown)).toMatchObject({ from: "sending", operatorMessageId: null });
});

test("every outcome at every attempt is a move of the machine, with the money that its status asks for", () => {
  for (const outcome of [accepted, refused(true), refused(false), unknown]) {
    for (let attempt = 0; attempt < MESSAGE_ATTEMPTS_MAX; attempt++) {
      const { from, to, money } = changeOf(record({ attempt }), outcome);
      expect(canMove(from, to)).toBe(true);
      expect(money).toBe(settlementOf(to));
    }
  }
});

test("refused for the moment is queued again while attempts are left; refused for good ends at once", () => {
  expect(changeOf(record(), refused(false))).toMatchObject({ to: "queued", money: null });
  const last = record({ attempt: MESSAGE_ATTEMPTS_MAX - 1 });
  expect(changeOf(last, refused(false))).toMatchObject({ to: "failed", money: "refund" });
  expect(changeOf(record(), refused(true))).toMatchObject({ to: "failed", money: "refund" });
});

test("a lost answer is unknown and moves no money", () => {
  expect(changeOf(record(), unknown)).toMatchObject({ to: "unknown", money: null, operator: "B" });
});

test("a late outcome settles an unknown message, which never goes back to queued", () => {
  expect(asLate(changeOf(record(), accepted))).toMatchObject({
    from: "unknown",
    to: "sent",
    money: "capture",
  });
  expect(asLate(changeOf(record(), refused(false)))).toMatchObject({
    from: "unknown",
    to: "failed",
    money: "refund",
  });
  expect(asLate(changeOf(record(), unknown))).toBeNull();
});

test("retries wait longer each time, less in the express lane, and never longer than the sweep knows", () => {
  const delays = (lane: LaneRecord["lane"]) =>
    [0, 1, 2, 3, 4, 9].map((attempt) => retryDelayMs(lane, attempt));
  expect(delays("normal")).toEqual([1_000, 4_000, 16_000, 60_000, 60_000, 60_000]);
  expect(delays("express")).toEqual([300, 1_000, 3_000, 10_000, 10_000, 10_000]);
  expect(Math.max(...delays("normal"), ...delays("express"))).toBeLessThanOrEqual(RETRY_DELAY_MAX_MS);
});
