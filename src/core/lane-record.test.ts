// Lane records: what is packed comes back, garbage is refused.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { holds, allowSlowRuns } from "../../test/support/seed.ts";
import {
  type LaneRecord,
  packLaneRecord,
  packLaneRow,
  unpackLaneRecord,
  unpackLaneRow,
} from "./lane-record.ts";
import { LANES } from "./message.ts";
import { RecordError } from "./packed.ts";

allowSlowRuns();

const count = fc.oneof(fc.nat(), fc.maxSafeNat());
const text = fc.string({ unit: "binary", maxLength: 200 }).filter((s) => s.isWellFormed());
const label = fc.option(text, { nil: null });
const id = fc.constantFrom("01M7YBCH59Z4D8R94AWEAQ1Q8T", "01M7YBCH5F0000000000000000");
const phone = fc.constantFrom("+989129990001", "+14155552671");
const plain: fc.Arbitrary<LaneRecord> = fc.record({
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
  validUntilMs: fc.option(count, { nil: null }),
  traceparent: text,
});
const callbacks = fc.oneof(
  fc.record({ statuses: count, url: label }),
  fc.record({ statuses: count, url: text, form: text }),
);
const records: fc.Arbitrary<LaneRecord> = fc.oneof(
  plain,
  fc.tuple(plain, callbacks).map(([record, callback]) => ({ ...record, callback })),
  plain.map((record): LaneRecord => ({ ...record, mayResend: true })),
  fc.tuple(plain, count).map(([record, sendAtMs]) => ({ ...record, sendAtMs })),
  fc.tuple(plain, text).map(([record, sealedCode]) => ({ ...record, sealedCode })),
);
/** Any record that has all fields, also those that may be left out. */
const someRecord = (): LaneRecord => {
  const [record] = fc.sample(plain, 1) as [LaneRecord];
  const callback = { statuses: 2, url: "https://example.com/sms" };
  return { ...record, validUntilMs: 1_000, callback, mayResend: true, sendAtMs: 2_000, sealedCode: "x" };
};
const packr = new Packr({ useRecords: false });

describe("round trips", () => {
  test("a lane record comes back equal", () => {
    holds(
      "lane record",
      records,
      (record) => expect(unpackLaneRecord(packLaneRecord(record))).toEqual(record),
      500,
    );
  });

  test("a lane row comes back equal, even an empty one", () => {
    const rows = fc.array(records, { maxLength: 20 });
    holds("lane row", rows, (row) => expect(unpackLaneRow(packLaneRow(row))).toEqual(row), 100);
  });

  test("what a record may do without takes no field unless it has a value, or one behind it has", () => {
    const [given] = fc.sample(plain, 1) as [LaneRecord];
    const record = { ...given, validUntilMs: null };
    const fields = (more: Partial<LaneRecord>) => packr.unpack(packLaneRecord({ ...record, ...more }));
    // So a process that wasn't updated yet reads it, too.
    expect(fields({})).toHaveLength(15);
    expect(fields({ callback: { statuses: 2, url: null } })).toHaveLength(16);
    expect(fields({ callback: { statuses: 2, url: "x", form: "kannel" } })).toHaveLength(17);
    expect(fields({ validUntilMs: 1_000 })).toHaveLength(18);
    expect(fields({ mayResend: true })).toHaveLength(19);
    expect(fields({ sendAtMs: 1_000 })).toHaveLength(20);
    expect(fields({ sealedCode: "x" })).toHaveLength(21);
  });

  test("packed bytes stay unchanged while more is packed", () => {
    const [first] = fc.sample(records, 1) as [LaneRecord];
    const kept = packLaneRecord(first);
    const copy = Buffer.from(kept);
    for (const record of fc.sample(records, 500)) packLaneRecord(record);
    expect(kept.equals(copy)).toBe(true);
  });
});

describe("garbage", () => {
  test("random bytes are refused with a RecordError, by both readers", () => {
    holds("garbage", fc.uint8Array({ maxLength: 60 }), (bytes) => {
      for (const read of [unpackLaneRecord, unpackLaneRow]) {
        try {
          read(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(RecordError);
        }
      }
    });
  });

  test("a record cut short anywhere is refused", () => {
    const whole = packLaneRecord(someRecord());
    for (let end = 0; end < whole.length; end++)
      expect(() => unpackLaneRecord(whole.subarray(0, end))).toThrow(RecordError);
  });

  test("another version, a missing field and a field of another type are refused", () => {
    const tuple = packr.unpack(packLaneRecord(someRecord())) as unknown[];
    expect(() => unpackLaneRecord(packr.pack([2, ...tuple.slice(1)]))).toThrow("version");
    expect(() => unpackLaneRecord(packr.pack(tuple.slice(0, 14)))).toThrow("15 to 21 fields");
    expect(() => unpackLaneRecord(packr.pack([...tuple, null]))).toThrow("15 to 21 fields");
    for (let i = 1; i < tuple.length; i++) {
      const wrong = tuple.with(i, tuple[i] !== true);
      expect(() => unpackLaneRecord(packr.pack(wrong))).toThrow("wrong type");
    }
    expect(() => unpackLaneRecord(packr.pack(tuple.with(15, null)))).toThrow("wrong type");
    expect(() => unpackLaneRecord(packr.pack(tuple.with(9, -1)))).toThrow("wrong type");
    expect(() => unpackLaneRecord(packr.pack(tuple.with(9, 1.5)))).toThrow("wrong type");
    expect(() => unpackLaneRecord(packr.pack(tuple.with(7, "events")))).toThrow("wrong type");
    expect(() => unpackLaneRecord(packr.pack(tuple.with(1, "x') OR ('1'='1")))).toThrow("wrong type");
    const strange = packr.pack([{ toString: 1 }, ...tuple.slice(1)]);
    expect(() => unpackLaneRecord(strange)).toThrow("version of a lane record: object");
  });

  test("arrays nested a hundred thousand deep are refused without a crash", () => {
    expect(() => unpackLaneRecord(Buffer.alloc(100_000, 0x91))).toThrow(RecordError);
  });
});
