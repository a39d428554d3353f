// The plan of a settlement, by example and by laws that hold for every move of the machine.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds, allowSlowRuns } from "../../test/support/seed.ts";
import { attemptAfter, canMove, chargeOf, STATUSES, type Status, sequenceOf } from "../core/message.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { ANY_OPERATOR, type Change } from "./move.ts";
import {
  afterUnknown,
  changeTo,
  chargeOfChange,
  expiredChange,
  applicableChanges,
  planOf,
  reportedChanges,
} from "./settle-plan.ts";

allowSlowRuns();

const record = (id: string, customerId: number, fields: Partial<LaneRecord> = {}) =>
  ({ id, customerId, cost: 500, lane: "normal", attempt: 0, parts: 1, ...fields }) as LaneRecord;
const change = (of: LaneRecord, to: Status): Change => changeTo(to, of, "sending", "why");

test("a capture takes its cost from reserved, a refund also returns it to the balance, and customers are in order", () => {
  const plan = planOf(
    [
      change(record("a", 9), "sent"),
      change(record("b", 7, { cost: 700 }), "failed"),
      change(record("c", 9, { cost: 30 }), "failed"),
      change(record("d", 9), "unknown"),
    ],
    1_000,
  );
  expect(plan.wallets).toEqual([
    { customerId: 7, reserved: -700, balance: 700 },
    { customerId: 9, reserved: -530, balance: 30 },
  ]);
  expect(plan.entries).toEqual([
    { entryId: "a", leg: "close", op: "capture", customerId: 9, amount: 500, createdAtMs: 1_000 },
    { entryId: "b", leg: "close", op: "refund", customerId: 7, amount: 700, createdAtMs: 1_000 },
    { entryId: "c", leg: "close", op: "refund", customerId: 9, amount: 30, createdAtMs: 1_000 },
  ]);
  expect(plan.unknown.map((r) => r.id)).toEqual(["d"]);
  expect(plan.queued).toEqual([]);
  expect(plan.groups.map((group) => group.map((c) => c.record.id))).toEqual([["a"], ["b", "c"], ["d"]]);
});

test("what nothing is reserved for ends without an entry, and its event says so; once it is being sent, it can't be so", () => {
  const free = (id: string) => record(id, 9, { unreserved: true });
  const ends = [
    changeTo("rejected", free("a"), "queued", "insufficient_balance"),
    changeTo("canceled", free("b"), "scheduled", null),
    changeTo("queued", free("c"), "queued", "lost before it was sent"),
  ];
  const plan = planOf(ends, 1_000);
  expect([plan.entries, plan.wallets]).toEqual([[], []]);
  expect(plan.statuses.map(({ unreserved }) => unreserved)).toEqual([true, true, true]);
  expect(plan.queued.map(({ record: { attempt, unreserved } }) => [attempt, unreserved])).toEqual([
    [1, true],
  ]);
  expect(() => planOf([change(free("d"), "failed")], 1_000)).toThrow("sending has a reserve");
});

test("a status row describes the message as it is after the change", () => {
  const of = record("a", 9, {
    phone: "+989121234567",
    lane: "express",
    parts: 2,
    reference: "order-1",
    attempt: 3,
    createdAtMs: 10,
  });
  const sent = { ...change(of, "sent"), operator: "A", operatorMessageIds: ["a1"], reason: null };
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
      sequence: 6 * 3 + 4,
      createdAtMs: 10,
      updatedAtMs: 1_000,
    },
  ]);
});

test("a retry moves no money and continues at the next attempt, with a higher sequence", () => {
  const { wallets, entries, queued, statuses } = planOf(
    [change(record("a", 1, { attempt: 2 }), "queued")],
    1_000,
  );
  expect([wallets, entries]).toEqual([[], []]);
  expect(queued.map(({ record: r, inMs }) => [r.id, r.attempt, inMs])).toEqual([["a", 3, 0]]);
  expect(statuses[0]).toMatchObject({ status: "queued", attempt: 3, sequence: 6 * 3 + 1 });
});

test("a scheduled message is queued at its first attempt and keeps its money reserved; a canceled one is refunded", () => {
  const [due, unwanted] = [record("a", 1, { sendAtMs: 900 }), record("b", 1)];
  const { queued, statuses, entries, wallets } = planOf(
    [changeTo("queued", due, "scheduled", null), changeTo("canceled", unwanted, "scheduled", null)],
    1_000,
  );
  expect(queued).toEqual([{ record: due, inMs: 0 }]);
  expect(statuses.map((row) => [row.status, row.attempt, row.sequence, row.why])).toEqual([
    ["queued", 0, 1, undefined],
    ["canceled", 0, 5, undefined],
  ]);
  expect(entries.map(({ entryId, op }) => [entryId, op])).toEqual([["b", "refund"]]);
  expect(wallets).toEqual([{ customerId: 1, balance: 500, reserved: -500 }]);
});

test("a message requeued because its record was lost continues at the next attempt, as a retry does", () => {
  const lost = changeTo("queued", record("a", 1), "queued", "lost before it was sent");
  const { queued, statuses, entries } = planOf([lost], 1_000);
  expect(queued.map(({ record: r }) => [r.id, r.attempt])).toEqual([["a", 1]]);
  expect(statuses[0]).toMatchObject({ status: "queued", attempt: 1, sequence: 7 });
  expect(entries).toEqual([]);
});

test("a retry waits for as long as its change says", () => {
  const waits = (id: string, retryInMs: number) => ({ ...change(record(id, 1), "queued"), retryInMs });
  const { queued } = planOf([waits("a", 700), waits("b", 2_000)], 1_000);
  expect(queued.map(({ record: r, inMs }) => [r.id, inMs])).toEqual([
    ["a", 700],
    ["b", 2_000],
  ]);
});

test("express accepted after guaranteed_by is refunded, also when a report says so; accepted in time it is captured", () => {
  const of = record("a", 1, { guaranteedByMs: 1_000 });
  for (const to of ["sent", "delivered", "undelivered"] as const) {
    for (const [takenAtMs, op] of [
      [1_001, "refund"],
      [1_000, "capture"],
    ] as const) {
      const taken = { ...change(of, to), takenAtMs };
      expect(chargeOfChange(taken)).toBe(op);
      expect(planOf([taken], 2_000).entries.map((e) => e.op)).toEqual([op]);
      expect(planOf([{ ...taken, from: "unknown" }], 2_000).entries.map((e) => e.op)).toEqual([op]);
    }
  }
});

test("a report on a sent message moves no money, whenever it was accepted", () => {
  const of = record("a", 1, { guaranteedByMs: 1_000 });
  const { entries, wallets, statuses } = planOf(
    [{ ...changeTo("delivered", of, "sent", ""), takenAtMs: 2_000 }],
    3_000,
  );
  expect([entries, wallets]).toEqual([[], []]);
  expect(statuses[0]).toMatchObject({ status: "delivered", sequence: 5 });
});

test("a change applies only if its row is at the same attempt, and at the same status or unknown", () => {
  const [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map((id) => change(record(id, 1), "queued"));
  const row = (id: string, status: "sending" | "unknown" | "sent", attempt = 0) =>
    [id, { id, status, attempt }] as const;
  const present = new Map([
    row("a", "sending"),
    row("b", "unknown"),
    row("c", "sent"),
    row("d", "sending", 1),
  ]);
  const held = applicableChanges([a, b, c, d, e] as Change[], present);
  expect(held.map((c) => [c.record.id, c.from, c.to, chargeOfChange(c)])).toEqual([
    ["a", "sending", "queued", null],
    ["b", "unknown", "failed", "refund"],
  ]);
});

test("an unknown message is not changed by another unknown outcome", () => {
  expect(afterUnknown(change(record("a", 1), "unknown"))).toBeNull();
  expect(afterUnknown(change(record("a", 1), "sent"))).toMatchObject({ from: "unknown", to: "sent" });
});

test("an unknown message that no operator took, as its own outcome says, has failed, even if its time is over", () => {
  for (const to of ["queued", "expired", "failed"] as const)
    expect(afterUnknown(change(record("a", 1), to))).toMatchObject({ from: "unknown", to: "failed" });
});

test("a report settles an unknown message, once; it is early for one still being sent, and changes nothing for one that has ended", () => {
  const [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map((id) => change(record(id, 1), "sent"));
  const row = (id: string, status: Status, attempt = 0) => [id, { id, status, attempt }] as const;
  const present = new Map([
    row("a", "unknown"),
    row("b", "sending"),
    row("c", "failed"),
    row("d", "unknown", 1),
  ]);
  const [settled, early] = reportedChanges([a, a, b, c, d, e] as Change[], present);
  expect(settled.map(({ record: { id }, from, to }) => [id, from, to])).toEqual([["a", "unknown", "sent"]]);
  expect([...early]).toEqual(["b"]);
  const refused = change(record("a", 1), "queued");
  expect(reportedChanges([refused], present)[0].map(({ to }) => to)).toEqual(["failed"]);
  expect(reportedChanges([change(record("a", 1), "unknown")], present)).toEqual([[], new Set()]);
});

test("the end of a claim makes sending messages unknown, and unknown ones failed", () => {
  const sending = expiredChange(record("a", 1), "sending", null);
  expect(sending).toMatchObject({
    from: "sending",
    to: "unknown",
    operator: null,
    operatorMessageIds: [],
    reason: "the sender was lost",
  });
  expect(sending.lostAt).toBeUndefined();
  expect(expiredChange(record("a", 1), "unknown", "A")).toMatchObject({
    reason: "no answer within the time limit",
    from: "unknown",
    to: "failed",
    lostAt: ["A"],
  });
  expect(expiredChange(record("a", 1), "unknown", null).lostAt).toEqual([ANY_OPERATOR]);
});

describe("laws of a plan", () => {
  const changes = fc
    .uniqueArray(
      fc.record({
        id: fc.integer({ min: 0, max: 50 }),
        customerId: fc.integer({ min: 1, max: 4 }),
        cost: fc.integer({ min: 1, max: 10_000 }),
        attempt: fc.integer({ min: 0, max: 4 }),
        takenAtMs: fc.constantFrom(null, 1, 2),
        move: fc.constantFrom(
          ...STATUSES.flatMap((from) =>
            STATUSES.filter((to) => canMove(from, to)).map((to) => [from, to] as const),
          ),
        ),
      }),
      { selector: (c) => c.id, maxLength: 40 },
    )
    .map((drawn) =>
      drawn.map(({ id, customerId, cost, attempt, move: [from, to], takenAtMs }): Change => {
        const of = record(String(id), customerId, { cost, attempt, guaranteedByMs: 1 });
        return { ...changeTo(to, of, from, "why"), takenAtMs };
      }),
    );
  const sum = (of: readonly number[]): number => of.reduce((a, b) => a + b, 0);

  test("each message that moves money has one closing entry of its whole cost, and no other message has one", () => {
    holds("plan entries", changes, (all) => {
      const { entries } = planOf(all, 1);
      const charges = all.flatMap((c) => {
        const charge = chargeOf(c, c.takenAtMs === 2);
        return charge === null ? [] : [[c.record.id, charge, c.record.cost, c.record.customerId, "close"]];
      });
      expect(entries.map((e) => [e.entryId, e.op, e.amount, e.customerId, e.leg])).toEqual(charges);
    });
  });

  test("wallets change by exactly their entries: captures leave, refunds come back", () => {
    holds("plan wallets", changes, (all) => {
      const { entries, wallets } = planOf(all, 1);
      for (const customerId of [1, 2, 3, 4]) {
        const own = entries.filter((e) => e.customerId === customerId);
        const move = wallets.find((w) => w.customerId === customerId) ?? { reserved: 0, balance: 0 };
        expect(move.reserved).toBe(0 - sum(own.map((e) => e.amount)));
        expect(move.balance).toBe(sum(own.filter((e) => e.op === "refund").map((e) => e.amount)));
        expect(wallets.some((w) => w.customerId === customerId)).toBe(own.length > 0);
      }
      expect(wallets).toEqual(wallets.toSorted((a, b) => a.customerId - b.customerId));
    });
  });

  test("each change is in one group of equal moves, and its event has the sequence to which it moves", () => {
    holds("plan groups", changes, (all) => {
      const { groups, statuses, queued } = planOf(all, 1);
      expect(
        groups
          .flat()
          .map((c) => c.record.id)
          .toSorted(),
      ).toEqual(all.map((c) => c.record.id).toSorted());
      for (const group of groups)
        expect(new Set(group.map((c) => `${c.from} ${c.to} ${c.record.attempt}`)).size).toBe(1);
      const told = all.filter((c) => c.to !== "sending");
      expect(statuses.map((row) => [row.id, row.status, row.attempt, row.sequence])).toEqual(
        told.map((c) => {
          const attempt = attemptAfter(c, c.record.attempt);
          return [c.record.id, c.to, attempt, sequenceOf(attempt, c.to)];
        }),
      );
      const again = all.filter((c) => c.to === "queued");
      expect(queued.map(({ record: r }) => [r.id, r.attempt])).toEqual(
        again.map((c) => [c.record.id, attemptAfter(c, c.record.attempt)]),
      );
    });
  });
});
