// The bytes that leave a transaction: outbox payloads and Kafka values, built and read only here.
// Lane records are msgpackr arrays led by a version number (86 B a message, and Bun writes what Node reads); event
// payloads carry lines of JSONEachRow, ready for ClickHouse. Leaves to others: where the bytes are kept or sent.
// Invariant: what pack… wrote, unpack… returns equal; anything else throws RecordError, never a half-read record.
// Bound: an events part stays within EVENT_RECORD_BYTES_MAX, whatever customers put into their fields.

import { Packr } from "msgpackr";
import { EVENT_RECORD_BYTES_MAX } from "./limits.ts";
import type { Encoding, Lane, Status } from "./message.ts";

export type LaneRecord = {
  id: string;
  customerId: number;
  /** E.164 */
  phone: string;
  text: string;
  from: string | null;
  reference: string | null;
  lane: Lane;
  encoding: Encoding;
  parts: number;
  cost: number;
  createdAtMs: number;
  /** 0 at the first submit */
  attempt: number;
  /** Express only: when the message will have reached an operator. */
  guaranteedByMs: number | null;
  /** W3C trace context, '' when none */
  traceparent: string;
};

/** One status change, a row of `messages_log`. */
export type StatusRow = {
  id: string;
  customerId: number;
  phone: string;
  lane: Lane;
  status: Status;
  parts: number;
  cost: number;
  reference: string | null;
  operator: string | null;
  operatorMessageId: string | null;
  attempt: number;
  sequence: number;
  createdAtMs: number;
  updatedAtMs: number;
};

export type LedgerOp = "topup" | "grant" | "reserve" | "capture" | "refund" | "release";
export type LedgerLeg = "open" | "close";

/** One ledger entry, a row of ClickHouse's `wallet_ledger`. */
export type LedgerRow = {
  entryId: string;
  leg: LedgerLeg;
  op: LedgerOp;
  customerId: number;
  amount: number;
  createdAtMs: number;
};

/** Newline-separated JSONEachRow, '' when none. */
export type Events = { status: string; ledger: string };

/** Bytes that are not a record this version can read. They go to `sms.dlq` as they came. */
export class RecordError extends Error {
  override readonly name = "RecordError";
}

const VERSION = 1;
const LANE_FIELDS = 15;

// Arrays need no record structures; shared ones fail across processes ("end of buffer not reached").
const packr = new Packr({ useRecords: false });

type LaneTuple = [
  version: number,
  id: string,
  customerId: number,
  phone: string,
  text: string,
  from: string | null,
  reference: string | null,
  lane: Lane,
  encoding: Encoding,
  parts: number,
  cost: number,
  createdAtMs: number,
  attempt: number,
  guaranteedByMs: number | null,
  traceparent: string,
];

/** One outbox row of a lane. */
export function packLaneRow(records: readonly LaneRecord[]): Buffer {
  return packr.pack(records.map(toTuple));
}

/** @throws RecordError */
export function unpackLaneRow(buf: Uint8Array): LaneRecord[] {
  const value = unpack(buf);
  if (!Array.isArray(value)) throw new RecordError("a lane row must be an array");
  return value.map(fromTuple);
}

/** One Kafka value of a lane topic. */
export function packLaneRecord(record: LaneRecord): Buffer {
  return packr.pack(toTuple(record));
}

/** @throws RecordError */
export function unpackLaneRecord(buf: Uint8Array): LaneRecord {
  return fromTuple(unpack(buf));
}

/**
 * One outbox row of the events lane. Its parts fit one Kafka record each because limits.ts holds rows per transaction
 * times the longest line under the bound. @throws RangeError when a part is too large all the same
 */
export function packEvents(events: Events): Buffer {
  for (const part of [events.status, events.ledger]) {
    // A UTF-16 unit is at most three bytes, so short strings need no counting.
    if (part.length * 3 >= EVENT_RECORD_BYTES_MAX && Buffer.byteLength(part) >= EVENT_RECORD_BYTES_MAX) {
      throw new RangeError(`an events part must be under ${EVENT_RECORD_BYTES_MAX} bytes`);
    }
  }
  return packr.pack([VERSION, events.status, events.ledger]);
}

/** @throws RecordError */
export function unpackEvents(buf: Uint8Array): Events {
  const value = unpack(buf);
  if (!Array.isArray(value) || value.length !== 3) throw new RecordError("events must be an array of 3");
  const [version, status, ledger] = value as unknown[];
  if (version !== VERSION) throw new RecordError(`unknown version of events: ${String(version)}`);
  if (typeof status !== "string" || typeof ledger !== "string") throw new RecordError("events must be strings");
  return { status, ledger };
}

/**
 * A line of `messages_log`, without the newline. Concatenated by hand: about a third of JSON.stringify's time, and it
 * runs twice a message. Only what outsiders chose is escaped; the rest is ours and has no character to escape.
 */
export function statusLine(row: StatusRow): string {
  const reference = row.reference === null ? '""' : JSON.stringify(row.reference);
  const operatorMessageId = row.operatorMessageId === null ? '""' : JSON.stringify(row.operatorMessageId);
  return (
    `{"event_id":"${row.id}:${row.sequence}","id":"${row.id}","customer_id":${row.customerId},` +
    `"phone":"${row.phone}","type":"${row.lane}","status":"${row.status}","parts":${row.parts},` +
    `"cost":${row.cost},"reference":${reference},"operator":"${row.operator ?? ""}",` +
    `"operator_message_id":${operatorMessageId},"attempt":${row.attempt},"sequence":${row.sequence},` +
    `"created_at_ms":${row.createdAtMs},"updated_at_ms":${row.updatedAtMs}}`
  );
}

/** A line of ClickHouse's `wallet_ledger`, without the newline. */
export function ledgerLine(row: LedgerRow): string {
  return (
    `{"event_id":"${row.entryId}:${row.leg}","entry_id":"${row.entryId}","leg":"${row.leg}","op":"${row.op}",` +
    `"customer_id":${row.customerId},"amount":${row.amount},"created_at_ms":${row.createdAtMs}}`
  );
}

function toTuple(r: LaneRecord): LaneTuple {
  return [
    VERSION,
    r.id,
    r.customerId,
    r.phone,
    r.text,
    r.from,
    r.reference,
    r.lane,
    r.encoding,
    r.parts,
    r.cost,
    r.createdAtMs,
    r.attempt,
    r.guaranteedByMs,
    r.traceparent,
  ];
}

function fromTuple(value: unknown): LaneRecord {
  if (!Array.isArray(value)) throw new RecordError("a lane record must be an array");
  if (value[0] !== VERSION) throw new RecordError(`unknown version of a lane record: ${String(value[0])}`);
  if (value.length !== LANE_FIELDS) throw new RecordError(`a lane record has ${LANE_FIELDS} fields`);
  const t = value as LaneTuple;
  const sound =
    isText(t[1]) &&
    isCount(t[2]) &&
    isText(t[3]) &&
    isText(t[4]) &&
    (t[5] === null || isText(t[5])) &&
    (t[6] === null || isText(t[6])) &&
    (t[7] === "normal" || t[7] === "express") &&
    (t[8] === "gsm7" || t[8] === "ucs2") &&
    isCount(t[9]) &&
    isCount(t[10]) &&
    isCount(t[11]) &&
    isCount(t[12]) &&
    (t[13] === null || isCount(t[13])) &&
    isText(t[14]);
  if (!sound) throw new RecordError("a field of a lane record has the wrong type");
  return {
    id: t[1],
    customerId: t[2],
    phone: t[3],
    text: t[4],
    from: t[5],
    reference: t[6],
    lane: t[7],
    encoding: t[8],
    parts: t[9],
    cost: t[10],
    createdAtMs: t[11],
    attempt: t[12],
    guaranteedByMs: t[13],
    traceparent: t[14],
  };
}

function unpack(buf: Uint8Array): unknown {
  try {
    return packr.unpack(buf);
  } catch (cause) {
    throw new RecordError("not msgpack", { cause });
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
