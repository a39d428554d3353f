// Event records: packed rows come back as JSON lines of the agreed shape and bounded length; garbage is
// refused.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holds, allowSlowRuns } from "../../test/support/seed.ts";
import { Packr } from "msgpackr";
import { ledgerLine, packEvents, type StatusRow, statusLine, unpackEvents } from "./event-record.ts";
import {
  COMMIT_ROWS_MAX,
  EVENT_RECORD_BYTES_MAX,
  OPERATOR_MESSAGE_ID_CHARS_MAX,
  OPERATOR_NAME_CHARS_MAX,
  OUTCOME_LINE_BYTES_MAX,
  QUEUED_LINE_BYTES_MAX,
  REASON_CHARS_MAX,
  REFERENCE_CHARS_MAX,
  REFUSAL_CHARS_MAX,
  SUBMIT_OPERATORS_MAX,
} from "./limits.ts";
import type { Entry } from "./ledger.ts";
import { LANES, STATUSES } from "./message.ts";
import { RecordError } from "./packed.ts";
import { labelProblem } from "./parts.ts";

allowSlowRuns();

const count = fc.oneof(fc.nat(), fc.maxSafeNat());
const text = fc.string({ unit: "binary", maxLength: 200 }).filter((s) => s.isWellFormed());
const label = fc.option(text, { nil: null });
const id = fc.constantFrom("01M7YBCH59Z4D8R94AWEAQ1Q8T", "01M7YBCH5F0000000000000000");
const phone = fc.constantFrom("+989129990001", "+14155552671");
const whys = fc.record({
  error: label,
  refusals: fc.array(fc.record({ operator: text, error: text, atMs: count }), { maxLength: 3 }),
});
const passings = fc.record(
  { relayedAtMs: count, claimedAtMs: count, takenAtMs: count },
  { requiredKeys: [] },
);
const plain: fc.Arbitrary<StatusRow> = fc.record({
  id,
  customerId: count,
  phone,
  lane: fc.constantFrom(...LANES),
  status: fc.constantFrom(...STATUSES),
  parts: count,
  cost: count,
  reference: label,
  operator: fc.option(fc.constantFrom("A", "B"), { nil: null }),
  operatorMessageId: label,
  attempt: count,
  sequence: count,
  createdAtMs: count,
  updatedAtMs: count,
});
const statuses: fc.Arbitrary<StatusRow> = fc.oneof(
  plain,
  fc.tuple(plain, whys).map(([row, why]) => ({ ...row, why })),
  fc.tuple(plain, passings).map(([row, passed]) => ({ ...row, passed })),
  fc.tuple(plain, whys, passings).map(([row, why, passed]) => ({ ...row, why, passed })),
  plain.map((row): StatusRow => ({ ...row, unreserved: true })),
  fc.tuple(plain, whys).map(([row, why]): StatusRow => ({ ...row, why, unreserved: true })),
);
const entries: fc.Arbitrary<Entry> = fc.record({
  entryId: id,
  leg: fc.constantFrom("open", "close"),
  op: fc.constantFrom("topup", "grant", "reserve", "capture", "refund", "release"),
  customerId: count,
  amount: count,
  createdAtMs: count,
});

test("events come back as the lines of their rows", () => {
  const both = fc.tuple(fc.array(statuses, { maxLength: 5 }), fc.array(entries, { maxLength: 5 }));
  holds(
    "events",
    both,
    ([of, money]) => {
      const events = unpackEvents(packEvents(of, money));
      expect(events.status).toBe(of.map((row) => `${statusLine(row)}\n`).join(""));
      expect(events.ledger).toBe(money.map((row) => `${ledgerLine(row)}\n`).join(""));
    },
    200,
  );
});

test("a status without a reason takes no more bytes than before there were any, and is packed as it was then", () => {
  const [row] = fc.sample(plain, 1) as [StatusRow];
  const [, [tuple]] = new Packr({ useRecords: false }).unpack(packEvents([row], [])) as [number, unknown[][]];
  expect(tuple).toHaveLength(14);
  expect(Object.keys(JSON.parse(statusLine(row)) as object)).toHaveLength(15);
});

test("that nothing was reserved stands behind why a status changed, and is refused if it is something else", () => {
  const packr = new Packr({ useRecords: false });
  const [row] = fc.sample(plain, 1) as [StatusRow];
  const packed = packEvents([{ ...row, unreserved: true }], []);
  const [version, [tuple = []], none] = packr.unpack(packed) as [number, unknown[][], unknown];
  expect(tuple.slice(14)).toEqual([null, null, true]);
  const read = (...end: unknown[]) =>
    unpackEvents(packr.pack([version, [[...tuple.slice(0, 14), ...end]], none]));
  expect(read(null, null, true).status).toContain('"unreserved":1');
  const nulls = [null, null];
  for (const wrong of [[null], nulls, [...nulls, false], [...nulls, 1], [...nulls, true, true]])
    expect(() => read(...wrong)).toThrow(RecordError);
});

test("why a status changed is refused if it is something else", () => {
  const packr = new Packr({ useRecords: false });
  const [row] = fc.sample(plain, 1) as [StatusRow];
  const [version, [tuple], none] = packr.unpack(packEvents([row], [])) as [number, unknown[][], unknown];
  const read = (why: unknown) => unpackEvents(packr.pack([version, [[...(tuple ?? []), why]], none]));
  expect(read(["busy", ["A", "503 busy", 1]]).status).toContain('"refused_by":["A"]');
  for (const wrong of [null, "busy", [], [1], ["busy", "A"], ["busy", ["A", 503, 1]], ["busy", ["A", "503"]]])
    expect(() => read(wrong)).toThrow(RecordError);
});

test("what passed before a status is told by how long before it was, plus one", () => {
  const packr = new Packr({ useRecords: false });
  const [plainRow] = fc.sample(plain, 1) as [StatusRow];
  const passed = { relayedAtMs: 400, claimedAtMs: 600, takenAtMs: 1_001 };
  const line = (of: object) => {
    const row = { ...plainRow, updatedAtMs: 1_000, passed: of };
    return JSON.parse(unpackEvents(packEvents([row], [])).status) as Record<string, unknown>;
  };
  // The operator's clock is ahead of the sender's.
  expect(line(passed)).toMatchObject({ relayed_ago: 601, claimed_ago: 401, taken_ago: 1 });
  expect(line({ claimedAtMs: 1_000 })).toMatchObject({ claimed_ago: 1 });
  expect(line({ claimedAtMs: 1_000 })).not.toHaveProperty("relayed_ago");
  const [version, [tuple], none] = packr.unpack(packEvents([plainRow], [])) as [number, unknown[][], unknown];
  const read = (last: unknown) => unpackEvents(packr.pack([version, [[...(tuple ?? []), null, last]], none]));
  expect(read([null, 7, null]).status).toContain('"claimed_ago"');
  for (const wrong of [null, 7, [1, 2], [1, 2, "3"], [1, 2, -3]])
    expect(() => read(wrong)).toThrow(RecordError);
});

/** A column of 32 bits has 0 for what nobody knows. */
const ago = ({ updatedAtMs }: StatusRow, name: string, atMs: number | undefined) =>
  atMs === undefined ? {} : { [name]: Math.min(2 ** 32 - 1, Math.max(1, updatedAtMs - atMs + 1)) };

describe("lines", () => {
  test("a status line is JSON of the agreed fields, whatever customers and operators wrote", () => {
    holds("status line", statuses, (row) => {
      const line = statusLine(row);
      expect(line).not.toContain("\n");
      expect(JSON.parse(line)).toEqual({
        event_id: `${row.id}:${row.sequence}`,
        id: row.id,
        customer_id: row.customerId,
        phone: row.phone,
        type: row.lane,
        status: row.status,
        parts: row.parts,
        cost: row.cost,
        reference: row.reference ?? "",
        operator: row.operator ?? "",
        operator_message_id: row.operatorMessageId ?? "",
        attempt: row.attempt,
        sequence: row.sequence,
        created_at_ms: row.createdAtMs,
        updated_at_ms: row.updatedAtMs,
        ...(row.unreserved === true ? { unreserved: 1 } : {}),
        ...(row.why?.error == null ? {} : { last_error: row.why.error }),
        ...(row.why === undefined || row.why.refusals.length === 0
          ? {}
          : {
              refused_by: row.why.refusals.map(({ operator }) => operator),
              refused_why: row.why.refusals.map(({ error }) => error),
              refused_at_ms: row.why.refusals.map(({ atMs }) => atMs),
            }),
        ...ago(row, "relayed_ago", row.passed?.relayedAtMs),
        ...ago(row, "claimed_ago", row.passed?.claimedAtMs),
        ...ago(row, "taken_ago", row.passed?.takenAtMs),
      });
    });
  });

  test("a ledger line is JSON of the agreed fields", () => {
    holds("ledger line", entries, (row) => {
      expect(JSON.parse(ledgerLine(row))).toEqual({
        event_id: `${row.entryId}:${row.leg}`,
        entry_id: row.entryId,
        leg: row.leg,
        op: row.op,
        customer_id: row.customerId,
        amount: row.amount,
        created_at_ms: row.createdAtMs,
      });
    });
  });

  const most = Number.MAX_SAFE_INTEGER;
  const widest: StatusRow = {
    id: "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
    customerId: most,
    phone: "+12345678901234567",
    lane: "express",
    status: "undelivered",
    parts: 99,
    cost: most,
    reference: "\u{1f600}".repeat(REFERENCE_CHARS_MAX),
    operator: "x".repeat(OPERATOR_NAME_CHARS_MAX),
    operatorMessageId: null,
    attempt: 99_999,
    sequence: 199_999,
    createdAtMs: 2 ** 48,
    updatedAtMs: 2 ** 48,
    unreserved: true,
  };

  test("the longest lines stay within the bounds that keep an event record under 512 KiB", () => {
    expect(Buffer.byteLength(statusLine(widest))).toBeLessThan(QUEUED_LINE_BYTES_MAX);
    const refusal = {
      operator: "x".repeat(OPERATOR_NAME_CHARS_MAX),
      error: '"'.repeat(REFUSAL_CHARS_MAX),
      atMs: 2 ** 48,
    };
    const outcome = {
      ...widest,
      operatorMessageId: "\u20ac".repeat(OPERATOR_MESSAGE_ID_CHARS_MAX),
      why: { error: "\\".repeat(REASON_CHARS_MAX), refusals: Array(SUBMIT_OPERATORS_MAX).fill(refusal) },
      passed: { relayedAtMs: 0, claimedAtMs: 0, takenAtMs: 0 },
    };
    expect(Buffer.byteLength(statusLine(outcome))).toBeLessThan(OUTCOME_LINE_BYTES_MAX);
  });

  test("a full commit of the longest rows fits one Kafka record per topic", () => {
    const entry: Entry = {
      entryId: widest.id,
      leg: "close",
      op: "capture",
      customerId: most,
      amount: most,
      createdAtMs: 2 ** 48,
    };
    const events = unpackEvents(
      packEvents(Array<StatusRow>(COMMIT_ROWS_MAX).fill(widest), Array<Entry>(COMMIT_ROWS_MAX).fill(entry)),
    );
    expect(Buffer.byteLength(events.status)).toBeLessThan(EVENT_RECORD_BYTES_MAX);
    expect(Buffer.byteLength(events.ledger)).toBeLessThan(EVENT_RECORD_BYTES_MAX);
  });

  test("no character that a reference may hold takes more than four bytes of a line", () => {
    let longest = 0;
    for (let point = 0; point <= 0x10ffff; point++) {
      const c = String.fromCodePoint(point);
      if (labelProblem(c) === null) longest = Math.max(longest, Buffer.byteLength(JSON.stringify(c)) - 2);
    }
    expect(longest).toBe(4);
  });
});

test("random bytes are refused with a RecordError", () => {
  holds("garbage", fc.uint8Array({ maxLength: 60 }), (bytes) => {
    try {
      unpackEvents(Buffer.from(bytes));
    } catch (error) {
      expect(error).toBeInstanceOf(RecordError);
    }
  });
});
