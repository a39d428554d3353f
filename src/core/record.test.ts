// Payloads: what is packed comes back, lines are JSON of the agreed shape and bounded width, garbage is
// refused.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { holds, patiently } from "../../test/support/seed.ts";
import { EVENT_RECORD_BYTES_MAX, OPERATOR_MESSAGE_ID_CHARS_MAX, OUTCOME_LINE_BYTES_MAX } from "./limits.ts";
import { OPERATOR_NAME_CHARS_MAX, QUEUED_LINE_BYTES_MAX, REFERENCE_CHARS_MAX } from "./limits.ts";
import { COMMIT_ROWS_MAX } from "./limits.ts";
import { LANES, STATUSES } from "./message.ts";
import { labelProblem } from "./parts.ts";
import {
  type LaneRecord,
  type LedgerRow,
  ledgerLine,
  packEvents,
  packLaneRecord,
  packLaneRow,
  RecordError,
  type StatusRow,
  statusLine,
  unpackEvents,
  unpackLaneRecord,
  unpackLaneRow,
} from "./record.ts";

patiently();

const count = fc.oneof(fc.nat(), fc.maxSafeNat());
const text = fc.string({ unit: "binary", maxLength: 200 }).filter((s) => s.isWellFormed());
const label = fc.option(text, { nil: null });
const id = fc.constantFrom("01M7YBCH59Z4D8R94AWEAQ1Q8T", "01M7YBCH5F0000000000000000");
const phone = fc.constantFrom("+989129990001", "+14155552671");
const records: fc.Arbitrary<LaneRecord> = fc.record({
  id,
  customerId: count,
  phone,
  text,
  from: label,
  reference: label,
  lane: fc.constantFrom(...LANES),
  encoding: fc.constantFrom("gsm7", "ucs2"),
  parts: count,
  cost: count,
  createdAtMs: count,
  attempt: count,
  guaranteedByMs: fc.option(count, { nil: null }),
  traceparent: text,
});
const statuses: fc.Arbitrary<StatusRow> = fc.record({
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
const entries: fc.Arbitrary<LedgerRow> = fc.record({
  entryId: id,
  leg: fc.constantFrom("open", "close"),
  op: fc.constantFrom("topup", "grant", "reserve", "capture", "refund", "release"),
  customerId: count,
  amount: count,
  createdAtMs: count,
});

describe("round trips", () => {
  test("a lane record comes back equal", () => {
    holds(
      "lane record",
      records,
      (record) => expect(unpackLaneRecord(packLaneRecord(record))).toEqual(record),
      500,
    );
  });

  test("a lane row comes back equal, also an empty one", () => {
    const rows = fc.array(records, { maxLength: 20 });
    holds("lane row", rows, (row) => expect(unpackLaneRow(packLaneRow(row))).toEqual(row), 100);
  });

  test("packed bytes stay as they are while more is packed", () => {
    const [first] = fc.sample(records, 1) as [LaneRecord];
    const kept = packLaneRecord(first);
    const copy = Buffer.from(kept);
    for (const record of fc.sample(records, 500)) packLaneRecord(record);
    expect(kept.equals(copy)).toBe(true);
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
});

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
    reference: "\u20ac".repeat(REFERENCE_CHARS_MAX),
    operator: "x".repeat(OPERATOR_NAME_CHARS_MAX),
    operatorMessageId: null,
    attempt: 99_999,
    sequence: 199_999,
    createdAtMs: 2 ** 48,
    updatedAtMs: 2 ** 48,
  };

  test("the widest lines stay within the bounds that keep an event record under 512 KiB", () => {
    expect(Buffer.byteLength(statusLine(widest))).toBeLessThan(QUEUED_LINE_BYTES_MAX);
    const outcome = { ...widest, operatorMessageId: "\u20ac".repeat(OPERATOR_MESSAGE_ID_CHARS_MAX) };
    expect(Buffer.byteLength(statusLine(outcome))).toBeLessThan(OUTCOME_LINE_BYTES_MAX);
  });

  test("a full commit of the widest rows fits one Kafka record a topic", () => {
    const entry: LedgerRow = {
      entryId: widest.id,
      leg: "close",
      op: "capture",
      customerId: most,
      amount: most,
      createdAtMs: 2 ** 48,
    };
    const events = unpackEvents(
      packEvents(
        Array<StatusRow>(COMMIT_ROWS_MAX).fill(widest),
        Array<LedgerRow>(COMMIT_ROWS_MAX).fill(entry),
      ),
    );
    expect(Buffer.byteLength(events.status)).toBeLessThan(EVENT_RECORD_BYTES_MAX);
    expect(Buffer.byteLength(events.ledger)).toBeLessThan(EVENT_RECORD_BYTES_MAX);
  });

  test("no character that a reference may hold takes more than three bytes of a line", () => {
    for (let unit = 0; unit <= 0xffff; unit++) {
      const c = String.fromCharCode(unit);
      if (labelProblem(c) !== null) continue;
      expect(Buffer.byteLength(JSON.stringify(c)) - 2).toBeLessThanOrEqual(3);
    }
  });
});

describe("garbage", () => {
  const readers = [unpackLaneRecord, unpackLaneRow, unpackEvents];

  test("random bytes are refused with a RecordError, by every reader", () => {
    holds("garbage", fc.uint8Array({ maxLength: 60 }), (bytes) => {
      for (const read of readers) {
        try {
          read(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(RecordError);
        }
      }
    });
  });

  test("a record cut short anywhere is refused", () => {
    const [record] = fc.sample(records, 1) as [LaneRecord];
    const whole = packLaneRecord(record);
    for (let end = 0; end < whole.length; end++)
      expect(() => unpackLaneRecord(whole.subarray(0, end))).toThrow(RecordError);
  });

  test("another version, a missing field and a field of another type are refused", () => {
    const [record] = fc.sample(records, 1) as [LaneRecord];
    const packr = new Packr({ useRecords: false });
    const tuple = packr.unpack(packLaneRecord(record)) as unknown[];
    expect(() => unpackLaneRecord(packr.pack([2, ...tuple.slice(1)]))).toThrow("version");
    expect(() => unpackLaneRecord(packr.pack(tuple.slice(0, -1)))).toThrow("15 fields");
    for (let i = 1; i < tuple.length; i++) {
      expect(() => unpackLaneRecord(packr.pack(tuple.with(i, true)))).toThrow("wrong type");
    }
    expect(() => unpackLaneRecord(packr.pack(tuple.with(9, -1)))).toThrow("wrong type");
    expect(() => unpackLaneRecord(packr.pack(tuple.with(9, 1.5)))).toThrow("wrong type");
    expect(() => unpackLaneRecord(packr.pack(tuple.with(7, "events")))).toThrow("wrong type");
  });

  test("arrays nested a hundred thousand deep are refused, not a crash", () => {
    expect(() => unpackLaneRecord(Buffer.alloc(100_000, 0x91))).toThrow(RecordError);
  });
});
