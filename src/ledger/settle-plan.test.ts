import { expect, test } from "bun:test";
import type { LaneRecord } from "../core/record.ts";
import { asLate, type Change, endedChange, expiredChange, holdingChanges, planOf } from "./settle-plan.ts";

const record = (id: string, customerId: number, fields: Partial<LaneRecord> = {}) =>
  ({ id, customerId, cost: 500, lane: "normal", attempt: 0, parts: 1, ...fields }) as LaneRecord;
const change = (of: LaneRecord, to: Change["to"], money: Change["money"]): Change => ({
  ...endedChange(of, "sending", "why"),
  to,
  money,
});

test("a capture takes its cost from reserved, a refund also gives it back, and customers are in order", () => {
  const plan = planOf(
    [
      change(record("a", 9), "sent", "capture"),
      change(record("b", 7, { cost: 700 }), "failed", "refund"),
      change(record("c", 9, { cost: 30 }), "failed", "refund"),
      change(record("d", 9), "unknown", null),
    ],
    1_000,
  );
  expect(plan.wallets).toEqual([
    { customerId: 7, reserved: 700, balance: 700 },
    { customerId: 9, reserved: 530, balance: 30 },
  ]);
  expect(plan.entries).toEqual([
    { entryId: "a", leg: "close", op: "capture", customerId: 9, amount: 500, createdAtMs: 1_000 },
    { entryId: "b", leg: "close", op: "refund", customerId: 7, amount: 700, createdAtMs: 1_000 },
    { entryId: "c", leg: "close", op: "refund", customerId: 9, amount: 30, createdAtMs: 1_000 },
  ]);
  expect(plan.unknown.map((r) => r.id)).toEqual(["d"]);
  expect(plan.groups.map((group) => group.map((c) => c.record.id))).toEqual([["a"], ["b", "c"], ["d"]]);
});

test("a retry moves no money and goes on at the next attempt, with a sequence above what came before", () => {
  const { wallets, entries, retries, statuses } = planOf(
    [change(record("a", 1, { attempt: 2 }), "queued", null)],
    1_000,
  );
  expect([wallets, entries]).toEqual([[], []]);
  expect(retries.map((r) => [r.id, r.attempt])).toEqual([["a", 3]]);
  expect(statuses[0]).toMatchObject({ status: "queued", attempt: 3, sequence: 7 });
});

test("a message that was unknown ends at the late sequence of its attempt", () => {
  const [late] = planOf([expiredChange(record("a", 1), "unknown")], 1_000).statuses;
  expect(late).toMatchObject({ status: "failed", sequence: 4 });
});

test("a move that the machine does not have is refused", () => {
  expect(() => planOf([endedChange(record("a", 1), "failed", "again")], 1_000)).toThrow(
    "failed never becomes failed",
  );
});

test("only changes hold whose row is at their attempt, and at their status or unknown", () => {
  const [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map((id) => change(record(id, 1), "queued", null));
  const row = (id: string, status: "sending" | "unknown" | "sent", attempt = 0) =>
    [id, { id, status, attempt }] as const;
  const present = new Map([
    row("a", "sending"),
    row("b", "unknown"),
    row("c", "sent"),
    row("d", "sending", 1),
  ]);
  const held = holdingChanges([a, b, c, d, e] as Change[], present);
  expect(held.map(({ record: { id }, from, to, money }) => [id, from, to, money])).toEqual([
    ["a", "sending", "queued", null],
    ["b", "unknown", "failed", "refund"],
  ]);
});

test("what is unknown already has nothing to gain from another unknown", () => {
  expect(asLate(change(record("a", 1), "unknown", null))).toBeNull();
  expect(asLate(change(record("a", 1), "sent", "capture"))).toMatchObject({ from: "unknown", to: "sent" });
});

test("the end of a claim makes unknown what was being sent, and failed what had been unknown", () => {
  expect(expiredChange(record("a", 1), "sending")).toMatchObject({
    from: "sending",
    to: "unknown",
    money: null,
  });
  expect(expiredChange(record("a", 1), "unknown")).toMatchObject({
    from: "unknown",
    to: "failed",
    money: "refund",
  });
});
