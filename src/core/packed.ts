// msgpack as it is written into outbox payloads and Kafka values, and the error of whoever can't read it.
// What the arrays hold is lane-record.ts's and event-record.ts's.

import { Packr } from "msgpackr";

/** Bytes that are not a record this version can read. They go to `sms.dlq` as they came. */
export class RecordError extends Error {
  override readonly name = "RecordError";
}

/** The first field of every record. Another one is refused. */
export const VERSION = 1;

// Arrays need no record structures; shared ones fail across processes ("end of buffer not reached").
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

export function isText(value: unknown): value is string {
  return typeof value === "string";
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
