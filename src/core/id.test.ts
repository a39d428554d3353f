// Ids: their form, their order when the clock moves, and the bounds that ranges and partitions use.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { holds, allowSlowRuns } from "../../test/support/seed.ts";
import {
  createIdFactory,
  idNumber,
  isUlid,
  readUlid,
  ULID_TIME_MAX_MS,
  ulidBound,
  ulidDayPrefix,
  ulidHex,
  ulidOf,
  ulidOfHex,
  ulidTimeMs,
  ulidUuid,
} from "./id.ts";

allowSlowRuns();

const times = fc.integer({ min: 1, max: ULID_TIME_MAX_MS });

test("ids are ULIDs and carry their time", () => {
  const next = createIdFactory({ now: () => 1_795_241_165_993 });
  const id = next();
  expect(isUlid(id)).toBe(true);
  expect(ulidTimeMs(id)).toBe(1_795_241_165_993);
});

test("an id is read in letters of any case, and nothing else is", () => {
  const id = "01M7YBCG2N0V4QK5A1T8P6WJ3D";
  for (const given of [id, id.toLowerCase(), "01m7YBCG2N0V4QK5A1T8P6WJ3d"]) expect(readUlid(given)).toBe(id);
  for (const other of [
    "",
    id.slice(1),
    `${id}0`,
    id.replace("M", "I"),
    id.replace("M", "ı"),
    `8${id.slice(1)}`,
  ])
    expect(readUlid(other)).toBeNull();
});

test("an id made of given bits is a ULID of its time, and different bits give different ids in their order", () => {
  const bytes = fc.uint8Array({ minLength: 10, maxLength: 10 });
  holds("ulid of bits", fc.tuple(times, bytes, bytes), ([time, a, b]) => {
    const [first, second] = [ulidOf(time, a), ulidOf(time, b)];
    expect(isUlid(first)).toBe(true);
    expect(ulidTimeMs(first)).toBe(time);
    expect(Math.sign(Buffer.compare(a, b))).toBe(first === second ? 0 : first < second ? -1 : 1);
  });
  expect(ulidOf(0, new Uint8Array(10).fill(255))).toBe(`${"0".repeat(10)}${"Z".repeat(16)}`);
});

test("ids of one factory increase, also within a millisecond and when the clock goes back", () => {
  holds(
    "id order",
    fc.array(times, { minLength: 2, maxLength: 50 }),
    (clock) => {
      let at = 0;
      const next = createIdFactory({ now: () => clock[Math.min(at++, clock.length - 1)] as number });
      const ids = Array.from({ length: clock.length + 5 }, next);
      expect(ids).toEqual([...new Set(ids)].sort());
    },
    200,
  );
});

test("a bound is at or below every id of its millisecond, and above every earlier id", () => {
  holds("id bound", times, (time) => {
    const id = createIdFactory({ now: () => time })();
    expect(ulidBound(time) <= id).toBe(true);
    expect(ulidTimeMs(ulidBound(time))).toBe(time);
    if (time < ULID_TIME_MAX_MS) expect(ulidBound(time + 1) > id).toBe(true);
  });
});

test("a day's prefix is the start of all its bounds and lies between two days", () => {
  const noon = Date.UTC(2026, 10, 21, 12);
  expect(ulidDayPrefix(noon)).toHaveLength(10);
  expect(ulidDayPrefix(noon)).toBe(ulidBound(Date.UTC(2026, 10, 21)).slice(0, 10));
  expect(ulidDayPrefix(Date.UTC(2026, 10, 21, 23, 59, 59, 999))).toBe(ulidDayPrefix(noon));
  expect(ulidDayPrefix(Date.UTC(2026, 10, 22)) > ulidDayPrefix(noon)).toBe(true);
});

test("anything but a ULID is refused", () => {
  const good = ulidBound(1);
  const bad = [
    "",
    good.toLowerCase().replace("0", "a"),
    `${good}0`,
    good.slice(1),
    "8".padEnd(26, "0"),
    good.replace("0", "U"),
    1,
    null,
  ];
  expect(isUlid(good)).toBe(true);
  for (const value of bad) expect(isUlid(value)).toBe(false);
  expect(() => ulidTimeMs("x")).toThrow(RangeError);
});

test("times outside what 48 bits hold are refused", () => {
  for (const time of [-1, ULID_TIME_MAX_MS + 1, 0.5, Number.NaN])
    expect(() => ulidBound(time)).toThrow(RangeError);
});

test("an id's bits in hex are one of 128 bits, in the order of ids, and give it back", () => {
  expect(ulidHex("01K3ZQ5V8W9X0Y1Z2A3B4C5D6E")).toBe("0198ff72ed1c4f41e0fc4a1ac8c2b4ce");
  expect(ulidOfHex("0198FF72ED1C4F41E0FC4A1AC8C2B4CE")).toBe("01K3ZQ5V8W9X0Y1Z2A3B4C5D6E");
  expect(ulidUuid("01K3ZQ5V8W9X0Y1Z2A3B4C5D6E")).toBe("0198ff72-ed1c-4f41-e0fc-4a1ac8c2b4ce");
  for (const no of ["", "0".repeat(31), "0".repeat(33), `${"0".repeat(31)}g`])
    expect(ulidOfHex(no)).toBeNull();
  const bytes = fc.uint8Array({ minLength: 10, maxLength: 10 });
  holds("hex of ids", fc.tuple(times, bytes, times, bytes), ([at, a, later, b]) => {
    const [one, other] = [ulidOf(at, a), ulidOf(later, b)];
    expect(ulidOfHex(ulidHex(one))).toBe(one);
    expect(ulidHex(one) < ulidHex(other)).toBe(one < other);
  });
});

test("the number of an id fits 63 bits and stays the same: messages are looked up by it much later", () => {
  expect(idNumber("01K3ZQ5V8W9X0Y1Z2A3B4C5D6E")).toBe("3749606845164831560");
  const bytes = fc.uint8Array({ minLength: 10, maxLength: 10 });
  holds("numbers of ids", fc.tuple(times, bytes, bytes), ([at, a, b]) => {
    const [one, other] = [ulidOf(at, a), ulidOf(at, b)];
    expect(idNumber(one)).toMatch(/^(0|[1-9]\d{0,18})$/);
    expect(BigInt(idNumber(one))).toBeLessThan(2n ** 63n);
    expect(idNumber(one) === idNumber(other)).toBe(one === other);
  });
});
