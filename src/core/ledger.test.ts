// The posting table, compared with the one asked for, and what follows from it for wallets.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { holds, allowSlowRuns } from "../../test/support/seed.ts";
import { EFFECTS, type Entry, entryOf, LEASE_OPS, OPS, POSTINGS, walletChanges, walletOf } from "./ledger.ts";

allowSlowRuns();

// The table as it was asked for: op, leg, from, to, what it does to balance and reserved.
const TABLE = `
  topup   open  outside balance  +1  0
  grant   open  balance lease    -1 +1
  reserve open  lease   message   0  0
  capture close message revenue   0 -1
  refund  close message balance  +1 -1
  release open  lease   balance  +1 -1
  adjust_up   open outside balance +1 0
  adjust_down open balance outside -1 0`;

test("each operation posts what the table says, and there is no other", () => {
  const rows = TABLE.trim()
    .split("\n")
    .map((line) => line.trim().split(/ +/));
  expect(rows.map(([op]) => op as string)).toEqual([...OPS]);
  for (const [op, leg, from, to, balance, reserved] of rows as [keyof typeof POSTINGS, ...string[]][]) {
    expect<unknown>(POSTINGS[op]).toEqual({ leg, from, to });
    expect(EFFECTS[op]).toEqual({ balance: Number(balance), reserved: Number(reserved) });
  }
});

test("an entry has the leg of its operation: only what settles a message is a close", () => {
  const legs = OPS.map((op) => entryOf("a", op, 7, 1_000, 5));
  expect(legs.filter(({ leg }) => leg === "close").map(({ op }) => op)).toEqual(["capture", "refund"]);
  expect(entryOf("a", "topup", 7, 1_000, 5)).toEqual({
    entryId: "a",
    leg: "open",
    op: "topup",
    customerId: 7,
    amount: 1_000,
    createdAtMs: 5,
  });
});

test("customers see every operation except moves to and from leases", () => {
  expect(LEASE_OPS).toEqual(["grant", "release"]);
});

test("each wallet changes once, in order; moves within reserved change none", () => {
  const entries = [
    entryOf("a", "refund", 9, 10, 1),
    entryOf("b", "topup", 7, 5, 1),
    entryOf("c", "capture", 9, 1, 1),
    entryOf("d", "reserve", 8, 3, 1),
  ];
  expect(walletChanges(entries)).toEqual([
    { customerId: 7, balance: 5, reserved: 0 },
    { customerId: 9, balance: 10, reserved: -11 },
  ]);
  expect(walletChanges([])).toEqual([]);
});

const entries: fc.Arbitrary<Entry[]> = fc.array(
  fc
    .record({
      op: fc.constantFrom(...OPS),
      customerId: fc.integer({ min: 1, max: 3 }),
      amount: fc.integer({ min: 1, max: 10_000 }),
    })
    .map(({ op, customerId, amount }) => entryOf("a", op, customerId, amount, 1)),
  { maxLength: 50 },
);

test("a wallet changed by its entries equals the sums of its entries", () => {
  holds("ledger sums", entries, (all) => {
    const changes = walletChanges(all);
    for (const customerId of [1, 2, 3]) {
      const sumOf = (op: string) =>
        all
          .filter((e) => e.customerId === customerId && e.op === op)
          .reduce((sum, { amount }) => sum + amount, 0);
      const { balance, reserved } = changes.find((c) => c.customerId === customerId) ?? walletOf(() => 0);
      expect(walletOf(sumOf)).toEqual({ balance, reserved });
    }
  });
});

test("money only enters by top-ups and adjustments, and only leaves by captures and adjustments", () => {
  holds("ledger conserved", entries, (all) => {
    const sumOf = (op: string) => all.filter((e) => e.op === op).reduce((sum, { amount }) => sum + amount, 0);
    const { balance, reserved } = walletOf(sumOf);
    const adjusted = sumOf("adjust_up") - sumOf("adjust_down");
    expect(balance + reserved).toBe(sumOf("topup") + adjusted - sumOf("capture"));
  });
});
