// The text of entries and events: which columns, in which order, and that events carry what was posted.

import { expect, test } from "bun:test";
import { type StatusRow, unpackEvents } from "../core/event-record.ts";
import { type Entry, entryOf } from "../core/ledger.ts";
import { entriesSql, eventsSql, walletsSql } from "./posting.ts";

const AT_MS = Date.UTC(2026, 10, 21, 9, 5, 7, 42);
const entry = (entryId: string, customerId: number, fields: Partial<Entry> = {}): Entry => ({
  ...entryOf(entryId, "reserve", customerId, 500, AT_MS),
  ...fields,
});

test("wallets change by one statement that adds to both columns, with a row for each", () => {
  const sql = walletsSql([
    { customerId: 7, balance: -30, reserved: 30 },
    { customerId: 9, balance: 0, reserved: -500 },
  ]);
  expect(sql).toBe(
    "UPDATE wallet_accounts FORCE INDEX (PRIMARY) SET " +
      "balance=balance+CASE customer_id WHEN 7 THEN -30 ELSE 0 END," +
      "reserved=reserved+CASE customer_id WHEN 7 THEN 30 WHEN 9 THEN -500 ELSE 0 END " +
      "WHERE customer_id IN (7,9)",
  );
});

test("entries are one insert, each with its customer, key, leg, operation, amount and time", () => {
  const sql = entriesSql([entry("a", 7), entry("b", 7, { leg: "close", op: "capture", amount: 30 })]);
  expect(sql).toBe(
    "INSERT INTO wallet_ledger (customer_id,entry_id,leg,op,amount,created_at) VALUES " +
      "(7,'a','open','reserve',500,'2026-11-21 09:05:07.042')," +
      "(7,'b','close','capture',30,'2026-11-21 09:05:07.042')",
  );
});

test("entries are ordered by their key, customer first, whatever order they came in", () => {
  const keys = (entries: Entry[]): string[] =>
    [...entriesSql(entries).matchAll(/\((\d+),'(\w+)'/g)].map(([, customer, id]) => `${customer}${id}`);
  const ordered = ["2a", "2b", "2c", "10a", "10d"];
  const entries = [entry("d", 10), entry("c", 2), entry("a", 10), entry("b", 2), entry("a", 2)];
  expect(keys(entries)).toEqual(ordered);
  expect(keys(entries.toReversed())).toEqual(ordered);
  expect(keys(entries.toSorted(() => 1))).toEqual(ordered);
});

test("the events row contains every status and entry that is posted with it", () => {
  const status: StatusRow = {
    id: "01ARZ3NDEKTSV4RRFFQ69G5FA1",
    customerId: 7,
    phone: "+989121234567",
    lane: "express",
    status: "sent",
    parts: 1,
    cost: 500,
    reference: "it's \\ 'x'",
    operator: "A",
    operatorMessageId: null,
    attempt: 0,
    sequence: 4,
    createdAtMs: 1,
    updatedAtMs: 2,
  };
  const sql = eventsSql([status], [entry("a", 7)]);
  const [, payload] = /^INSERT INTO outbox \(lane,payload\) VALUES \('events',x'([0-9a-f]+)'\)$/.exec(
    sql,
  ) as unknown as [string, string];
  const events = unpackEvents(Buffer.from(payload, "hex"));
  expect(JSON.parse(events.status)).toMatchObject({
    id: status.id,
    status: "sent",
    reference: status.reference,
  });
  expect(JSON.parse(events.ledger)).toMatchObject({
    entry_id: "a",
    op: "reserve",
    customer_id: 7,
    amount: 500,
  });
});
