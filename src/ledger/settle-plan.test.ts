// The plan of a settlement, by example and by laws over every move of the machine.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds, patiently } from "../../test/support/seed.ts";
import { canMove, queuedSequence, STATUSES, sendingSequence, settlementOf } from "../core/message.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { asLate, type Change, endedChange, expiredChange, holdingChanges, planOf } from "./settle-plan.ts";

patiently();

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
  expect(plan.retries).toEqual([]);
  expect(plan.groups.map((group) => group.map((c) => c.record.id))).toEqual([["a"], ["b", "c"], ["d"]]);
});

test("a status row carries the message as it is after the change", () => {
  const of = record("a", 9, {
    phone: "+989121234567",
    lane: "express",
    parts: 2,
    reference: "order-1",
    attempt: 3,
    createdAtMs: 10,
  });
  const sent = { ...change(of, "sent", "capture"), operator: "A", operatorMessageId: "a1" };
  expect(planOf([sent], 1_000).statuses).toEqual([
    {
      id: "a",
      customerId: 9,
      phone: "+989121234567",
      lane: "express",
      status: "sent",
      parts: 2,
      cost: 500,
      reference: "order-1",
      operator: "A",
      operatorMessageId: "a1",
      attempt: 3,
      sequence: 9,
      createdAtMs: 10,
      updatedAtMs: 1_000,
    },
  ]);
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
    operator: null,
    operatorMessageId: null,
    reason: "the sender was lost",
  });
  expect(expiredChange(record("a", 1), "unknown")).toMatchObject({
    reason: "no answer within the time limit",
    from: "unknown",
    to: "failed",
    money: "refund",
  });
});

describe("laws of a plan", () => {
  const changes = fc
    .uniqueArray(
      fc.record({
        id: fc.integer({ min: 0, max: 50 }),
        customerId: fc.integer({ min: 1, max: 4 }),
        cost: fc.integer({ min: 1, max: 10_000 }),
        attempt: fc.integer({ min: 0, max: 4 }),
        move: fc.constantFrom(
          ...STATUSES.flatMap((from) =>
            STATUSES.filter((to) => canMove(from, to)).map((to) => [from, to] as const),
          ),
        ),
      }),
      { selector: (c) => c.id, maxLength: 40 },
    )
    .map((drawn) =>
      drawn.map(({ id, customerId, cost, attempt, move: [from, to] }): Change => {
        // What a status that was reached before did is done: sent was captured.
        const money = settlementOf(from) === null ? settlementOf(to) : null;
        return { ...endedChange(record(String(id), customerId, { cost, attempt }), from, "why"), to, money };
      }),
    );
  const sum = (of: readonly number[]): number => of.reduce((a, b) => a + b, 0);

  test("each message that moves money has one closing entry of its whole cost, and no other has any", () => {
    holds("plan entries", changes, (all) => {
      const { entries } = planOf(all, 1);
      const moving = all.filter((c) => c.money !== null);
      expect(entries.map((e) => [e.entryId, e.op, e.amount, e.customerId, e.leg])).toEqual(
        moving.map((c) => [c.record.id, c.money as string, c.record.cost, c.record.customerId, "close"]),
      );
    });
  });

  test("wallets move by exactly their entries: captures leave, refunds come back", () => {
    holds("plan wallets", changes, (all) => {
      const { entries, wallets } = planOf(all, 1);
      for (const customerId of [1, 2, 3, 4]) {
        const own = entries.filter((e) => e.customerId === customerId);
        const move = wallets.find((w) => w.customerId === customerId) ?? { reserved: 0, balance: 0 };
        expect(move.reserved).toBe(sum(own.map((e) => e.amount)));
        expect(move.balance).toBe(sum(own.filter((e) => e.op === "refund").map((e) => e.amount)));
        expect(wallets.some((w) => w.customerId === customerId)).toBe(own.length > 0);
      }
      expect(wallets).toEqual(wallets.toSorted((a, b) => a.customerId - b.customerId));
    });
  });

  test("each change is in one group of equals and has one status row, above the row of its claim", () => {
    holds("plan groups", changes, (all) => {
      const { groups, statuses, retries } = planOf(all, 1);
      expect(
        groups
          .flat()
          .map((c) => c.record.id)
          .toSorted(),
      ).toEqual(all.map((c) => c.record.id).toSorted());
      for (const group of groups)
        expect(new Set(group.map((c) => `${c.from} ${c.to} ${c.record.attempt}`)).size).toBe(1);
      for (const [i, row] of statuses.entries()) {
        const { attempt } = (all[i] as Change).record;
        expect(row.sequence).toBeGreaterThan(sendingSequence(attempt));
        if (row.status === "queued") expect(row.sequence).toBe(queuedSequence(row.attempt));
      }
      expect(retries.map((r) => [r.id, r.attempt])).toEqual(
        all.filter((c) => c.to === "queued").map((c) => [c.record.id, c.record.attempt + 1]),
      );
    });
  });
});
