// msgpack as used in outbox payloads and Kafka values, and the error for bytes that can't be read. What the
// arrays contain is up to lane-record.ts and event-record.ts.

import { Packr } from "msgpackr";

/** The bytes are not a record that this version can read. They are kept as a dead letter. */
export class RecordError extends Error {
  override readonly name = "RecordError";
}

/** The first field of every record; a record with another version is refused. */
export const VERSION = 1;

// Arrays need no record structures, and shared structures fail across processes ("end of buffer not
// reached").
const packr = new Packr({ useRecords: false });

export const pack = (value: unknown): Buffer => packr.pack(value);

/** @throws RecordError */
export function unpack(buf: Uint8Array): unknown {
  try {
    return packr.unpack(buf);
  } catch (cause) {
    throw new RecordError("not msgpack", { cause });
  }
}

/** A value that was read, for an error's text. Never calls its own toString, which may be anything. */
export const shown = (value: unknown): string => (isCount(value) ? String(value) : typeof value);

export function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** A whole number from 0 to 2^53 - 1. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
