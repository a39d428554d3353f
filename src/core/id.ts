// Ids are ULIDs: 26 upper-case characters of Crockford base 32, 10 for the millisecond and 16 random ones.
// They sort by time, which partitions, lists and ranges rely on. Leaves to others: whether a clock is right
// (ingest compares it with MySQL's) and where partitions begin.
// Invariant: the ids of one factory only ever increase, even when its clock goes back.

import { createHash } from "node:crypto";
import { encodeTime, monotonicFactory } from "ulid";

const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const ULID_ANY_CASE = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i;
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_CHARS = 10;
const RANDOM_CHARS = 16;
const CHAR_BITS = 5;
const HEX = /^[0-9a-f]+$/i;
const HEX_CHARS = 32;
const UUID_GROUPS = /^(.{8})(.{4})(.{4})(.{4})(.{12})$/;
const DAY_MS = 86_400_000;

/** The latest time that 10 characters can hold, in the year 10889. */
export const ULID_TIME_MAX_MS = 2 ** 48 - 1;

export type IdFactory = () => string;

/**
 * Makes ids from `now` (Unix milliseconds), 1.6-2.1 million a second: the first of a millisecond draws random
 * bits, the others count up from it.
 */
export function createIdFactory({ now }: { now: () => number }): IdFactory {
  const next = monotonicFactory();
  return () => next(now());
}

export function isUlid(value: unknown): value is string {
  return typeof value === "string" && ULID.test(value);
}

/** An id as a caller writes it, in letters of any case; null if it is none. */
export function readUlid(text: string): string | null {
  return ULID_ANY_CASE.test(text) ? text.toUpperCase() : null;
}

/**
 * A number made of an id, for those who take no letters: the same for the same id, in 1 to 19 digits, and
 * less than 2^63. Of a hundred million ids two share one with a chance of 1 in 2,000.
 */
export function idNumber(id: string): string {
  return (createHash("sha256").update(id).digest().readBigUInt64BE() >> 1n).toString();
}

/** The Unix milliseconds at which an id was made. @throws RangeError when it isn't an id */
export function ulidTimeMs(id: string): number {
  if (!isUlid(id)) throw new RangeError("not a ULID");
  let timeMs = 0;
  for (let i = 0; i < TIME_CHARS; i++) timeMs = timeMs * 32 + ALPHABET.indexOf(id.charAt(i));
  return timeMs;
}

/** The id of a millisecond whose other 80 bits are given: the same for the same ten bytes. */
export function ulidOf(timeMs: number, bits: Uint8Array): string {
  let chars = "";
  let held = 0;
  let count = 0;
  for (const byte of bits.subarray(0, (RANDOM_CHARS * CHAR_BITS) / 8)) {
    held = ((held & ((1 << count) - 1)) << 8) | byte;
    for (count += 8; count >= CHAR_BITS; ) {
      count -= CHAR_BITS;
      chars += ALPHABET.charAt((held >> count) & 31);
    }
  }
  return timePrefix(timeMs) + chars;
}

/** The 128 bits of an id as 32 hex digits, which sort as ids do. @throws RangeError when it isn't an id */
export function ulidHex(id: string): string {
  if (!isUlid(id)) throw new RangeError("not a ULID");
  let bits = 0n;
  for (const char of id) bits = bits * 32n + BigInt(ALPHABET.indexOf(char));
  return bits.toString(16).padStart(HEX_CHARS, "0");
}

/** The id with these 128 bits, in 32 hex digits of either case; null for anything else. */
export function ulidOfHex(hex: string): string | null {
  if (hex.length !== HEX_CHARS || !HEX.test(hex)) return null;
  let id = "";
  for (let bits = BigInt(`0x${hex}`); id.length < TIME_CHARS + RANDOM_CHARS; bits >>= 5n)
    id = ALPHABET.charAt(Number(bits & 31n)) + id;
  return id;
}

/** A customer's id where a peer expects 128 bits, in 32 hex digits. */
export const customerHex = (customerId: number): string => customerId.toString(16).padStart(HEX_CHARS, "0");

/** 32 hex digits in the form of a UUID, without a version's bits. */
export const uuidOf = (hex: string): string => hex.replace(UUID_GROUPS, "$1-$2-$3-$4-$5");

/** An id in the form of a UUID, for those who expect one: the same 128 bits. */
export const ulidUuid = (id: string): string => uuidOf(ulidHex(id));

/** The lowest id of a millisecond: `id >= ulidBound(from) && id < ulidBound(to)` is `from <= time < to`. */
export function ulidBound(timeMs: number): string {
  return timePrefix(timeMs) + "0".repeat(RANDOM_CHARS);
}

/** The first 10 characters of ids at the start of the UTC day containing `timeMs`: its partition's bound. */
export function ulidDayPrefix(timeMs: number): string {
  return timePrefix(Math.floor(timeMs / DAY_MS) * DAY_MS);
}

function timePrefix(timeMs: number): string {
  if (!Number.isInteger(timeMs) || timeMs < 0 || timeMs > ULID_TIME_MAX_MS) {
    throw new RangeError(`not a time that a ULID can hold: ${timeMs}`);
  }
  return encodeTime(timeMs, TIME_CHARS);
}
