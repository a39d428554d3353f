// The comparison of bench/usage.ts, and faults that it has to find: a record left out or there twice, and a
// figure that is changed, in every list.

import { describe, expect, test } from "bun:test";
import type { UsageKey } from "../src/reports/params.ts";
import {
  type Book,
  type BookEntry,
  type BookMessage,
  differencesOf,
  type Fields,
  messagesBook,
  statementBook,
  statementKeyOf,
  usageBook,
  usageKeyOf,
  walletOf,
} from "./usage-compare.ts";

const START_MS = Date.UTC(2026, 4, 20, 23, 59);
const message = (n: number, fields: Partial<BookMessage> = {}): BookMessage => ({
  id: `message-${n}`,
  lane: "normal",
  status: "sent",
  phone: "+989121000000",
  prefix: "+98",
  parts: 2,
  price: 1_000,
  cost: 1_000,
  refunded: 0,
  reference: `order-${n}`,
  createdAtMs: START_MS + n,
  ...fields,
});
const MESSAGES = [
  message(0),
  message(1, { phone: "+989121000001" }),
  message(2, { lane: "express", parts: 1, price: 700, cost: 0, refunded: 700, reference: null }),
  message(3, { status: "failed", phone: "+14152000000", prefix: "+1", cost: 0, refunded: 1_000 }),
  message(4, { status: "rejected", cost: 0 }), // never reserved
  message(5, { createdAtMs: START_MS + 60_000 }), // the next minute, hour and day
];
const ENTRIES: BookEntry[] = [
  { entryId: "topup-0", op: "topup", amount: 10_000, createdAtMs: START_MS - 1 },
  ...MESSAGES.flatMap(({ id, cost, refunded, createdAtMs }) =>
    cost + refunded === 0
      ? []
      : [
          { entryId: id, op: "reserve", amount: cost + refunded, createdAtMs },
          { entryId: id, op: refunded > 0 ? "refund" : "capture", amount: cost + refunded, createdAtMs },
        ],
  ),
];
const rowsOf = (book: Book): [string, Fields][] => [...book].map(([key, fields]) => [key, { ...fields }]);
const BYS: UsageKey[][] = [[], ["status"], ["lane", "status", "prefix"]];

const BOOKS: [string, Book][] = [
  ...(["minute", "hour", "day"] as const).flatMap((interval) =>
    BYS.map((by): [string, Book] => [`usage by ${interval}, ${by}`, usageBook(MESSAGES, interval, by)]),
  ),
  ["messages", messagesBook(MESSAGES)],
  ["statement", statementBook(ENTRIES, Number.POSITIVE_INFINITY)],
];

describe.each(BOOKS)("%s", (_, book) => {
  test("is equal to itself, in any order and with every value as text", () => {
    const asText = rowsOf(book).map(([key, fields]): [string, Fields] => [
      key,
      Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value ?? "")])),
    ]);
    expect(book.size).toBeGreaterThan(1);
    expect(differencesOf("list", book, asText.toReversed())).toEqual([]);
  });

  test("any row that is left out, comes twice or is of nobody is found", () => {
    const rows = rowsOf(book);
    for (const [at, row] of rows.entries()) {
      expect(differencesOf("list", book, rows.toSpliced(at, 1))).toEqual([`list: ${row[0]} is missing`]);
      expect(differencesOf("list", book, [...rows, row])).toEqual([`list: ${row[0]} is there twice`]);
    }
    expect(differencesOf("list", book, [...rows, ["x", {}]])).toEqual(["list: x should not be there"]);
  });

  test("any value that is changed is found", () => {
    const rows = rowsOf(book);
    for (const [at, [key, fields]] of rows.entries())
      for (const [name, value] of Object.entries(fields)) {
        const other = typeof value === "number" ? value + 1 : `${value ?? ""}x`;
        const changed = rows.with(at, [key, { ...fields, [name]: other }]);
        expect(differencesOf("list", book, changed)).toEqual([
          `list: ${key}: ${name} is ${other}, not ${value ?? ""}`,
        ]);
      }
  });
});

test("usage counts each message in its period, and what was reserved for it as cost or as refunded", () => {
  const none = { refunded: 0, unique_phones: 1 };
  expect(usageBook(MESSAGES, "hour", [])).toEqual(
    new Map([
      ["2026-05-20T23:00:00.000Z", { messages: 5, parts: 9, cost: 2_000, refunded: 1_700, unique_phones: 3 }],
      ["2026-05-21T00:00:00.000Z", { ...none, messages: 1, parts: 2, cost: 1_000 }],
    ]),
  );
  const row = { start: "2026-05-20T00:00:00.000Z", lane: "normal", status: "failed", prefix: "+1" };
  const key = usageKeyOf(row, ["lane", "status", "prefix"]);
  expect(usageBook(MESSAGES, "day", ["lane", "status", "prefix"]).get(key)).toEqual({
    messages: 1,
    parts: 2,
    cost: 0,
    refunded: 1_000,
    unique_phones: 1,
  });
});

test("a message or an entry that the other side lacks changes its sums, whichever it is", () => {
  for (const at of MESSAGES.keys()) {
    const rows = rowsOf(usageBook(MESSAGES.toSpliced(at, 1), "day", []));
    expect(differencesOf("usage", usageBook(MESSAGES, "day", []), rows)).not.toEqual([]);
  }
  const rows = ENTRIES.map(({ entryId, op, amount }) => ({ entry_id: entryId, op, amount }));
  expect(walletOf(rows)).toEqual({ balance: 10_000 - 3_000, reserved: 0 });
  for (const at of rows.keys())
    expect(walletOf(rows.toSpliced(at, 1))).not.toEqual({ balance: 7_000, reserved: 0 });
});

test("a statement ends before its moment, and names the message of what belongs to one", () => {
  const book = statementBook(ENTRIES, START_MS + 1);
  expect([...book.keys()]).toEqual(["topup topup-0", "reserve message-0", "capture message-0"]);
  expect(book.get(statementKeyOf({ entry_id: "message-0", op: "capture" }))?.message_id).toBe("message-0");
  expect(book.get("topup topup-0")?.message_id).toBeNull();
});

test("of many differences the first twenty are shown, and the others counted", () => {
  const book = new Map(Array.from({ length: 50 }, (_, n) => [`row-${n}`, {}]));
  const found = differencesOf("list", book, []);
  expect(found).toHaveLength(21);
  expect(found.at(-1)).toBe("list: and 30 differences more");
});
