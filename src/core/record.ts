// The bytes that leave a transaction: outbox payloads and Kafka values, built and read only here.
// Lane records are msgpackr arrays led by a version number (86 B a message, and Bun writes what Node reads);
// event payloads carry tuples that become lines of JSONEachRow when they are read. Leaves to others: where
// the bytes are kept or sent.
// Invariant: what pack… wrote, unpack… returns equal; anything else throws RecordError, never a half-read
// record.
// Bound: an events part stays within EVENT_RECORD_BYTES_MAX, whatever customers put into their fields
// (limits.ts asserts it).

import { Packr } from "msgpackr";
import { type Encoding, isLane, isStatus, type Lane, type Status } from "./message.ts";

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
 * One outbox row of the events lane: tuples, a quarter of the JSON's bytes, because MySQL writes them three
 * times (page, redo, binlog) and the relay can make the lines where nobody waits for them.
 */
export function packEvents(statuses: readonly StatusRow[], entries: readonly LedgerRow[]): Buffer {
  return packr.pack([VERSION, statuses.map(toStatusTuple), entries.map(toLedgerTuple)]);
}

/**
 * The row's events as lines. Each part fits one Kafka record because limits.ts holds rows per transaction
 * times the longest line under the bound. @throws RecordError
 */
export function unpackEvents(buf: Uint8Array): Events {
  const [statuses, entries] = eventTuples(buf);
  let status = "";
  for (const tuple of statuses) status += `${statusLine(fromStatusTuple(tuple))}\n`;
  let ledger = "";
  for (const tuple of entries) ledger += `${ledgerLine(fromLedgerTuple(tuple))}\n`;
  return { status, ledger };
}

/**
 * Unix milliseconds of the row's events, in no order: how far back what it holds may go. @throws RecordError
 */
export function unpackEventTimes(buf: Uint8Array): number[] {
  const [statuses, entries] = eventTuples(buf);
  const statusTimes = statuses.map((tuple) => fromStatusTuple(tuple).updatedAtMs);
  return [...statusTimes, ...entries.map((tuple) => fromLedgerTuple(tuple).createdAtMs)];
}

/**
 * A line of `messages_log`, without the newline. Concatenated by hand: about a third of JSON.stringify's
 * time, and it runs twice a message. Only what outsiders chose is escaped; the rest is ours and has no
 * character to escape.
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
    `{"event_id":"${row.entryId}:${row.leg}","entry_id":"${row.entryId}","leg":"${row.leg}",` +
    `"op":"${row.op}",` +
    `"customer_id":${row.customerId},"amount":${row.amount},"created_at_ms":${row.createdAtMs}}`
  );
}

function eventTuples(buf: Uint8Array): [statuses: unknown[], entries: unknown[]] {
  const value = unpack(buf);
  if (!Array.isArray(value) || value.length !== 3) throw new RecordError("events must be an array of 3");
  const [version, statuses, entries] = value as unknown[];
  if (version !== VERSION) throw new RecordError(`unknown version of events: ${String(version)}`);
  if (!Array.isArray(statuses) || !Array.isArray(entries)) throw new RecordError("events must be arrays");
  return [statuses, entries];
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

type StatusTuple = [
  id: string,
  customerId: number,
  phone: string,
  lane: Lane,
  status: Status,
  parts: number,
  cost: number,
  reference: string | null,
  operator: string | null,
  operatorMessageId: string | null,
  attempt: number,
  sequence: number,
  createdAtMs: number,
  updatedAtMs: number,
];
const STATUS_FIELDS = 14;

function toStatusTuple(r: StatusRow): StatusTuple {
  return [
    r.id,
    r.customerId,
    r.phone,
    r.lane,
    r.status,
    r.parts,
    r.cost,
    r.reference,
    r.operator,
    r.operatorMessageId,
    r.attempt,
    r.sequence,
    r.createdAtMs,
    r.updatedAtMs,
  ];
}

function fromStatusTuple(value: unknown): StatusRow {
  if (!Array.isArray(value) || value.length !== STATUS_FIELDS)
    throw new RecordError(`a status has ${STATUS_FIELDS} fields`);
  const t = value as StatusTuple;
  const sound =
    [t[0], t[2]].every(isText) &&
    [t[1], t[5], t[6], t[10], t[11], t[12], t[13]].every(isCount) &&
    isLane(t[3]) &&
    isStatus(t[4]) &&
    [t[7], t[8], t[9]].every((label) => label === null || isText(label));
  if (!sound) throw new RecordError("a field of a status has the wrong type");
  return {
    id: t[0],
    customerId: t[1],
    phone: t[2],
    lane: t[3],
    status: t[4],
    parts: t[5],
    cost: t[6],
    reference: t[7],
    operator: t[8],
    operatorMessageId: t[9],
    attempt: t[10],
    sequence: t[11],
    createdAtMs: t[12],
    updatedAtMs: t[13],
  };
}

const OPS = ["topup", "grant", "reserve", "capture", "refund", "release"] as const;
const LEDGER_FIELDS = 6;

// leg and op as small numbers: they are a third of the row otherwise.
function toLedgerTuple(r: LedgerRow): [string, 0 | 1, number, number, number, number] {
  return [r.entryId, r.leg === "open" ? 0 : 1, OPS.indexOf(r.op), r.customerId, r.amount, r.createdAtMs];
}

function fromLedgerTuple(value: unknown): LedgerRow {
  if (!Array.isArray(value) || value.length !== LEDGER_FIELDS)
    throw new RecordError(`an entry has ${LEDGER_FIELDS} fields`);
  const [entryId, leg, op, customerId, amount, createdAtMs] = value as number[];
  const name = OPS[op as number];
  const sound =
    isText(entryId) &&
    (leg === 0 || leg === 1) &&
    name !== undefined &&
    isCount(customerId) &&
    isCount(amount) &&
    isCount(createdAtMs);
  if (!sound) throw new RecordError("a field of an entry has the wrong type");
  return {
    entryId,
    leg: leg === 0 ? "open" : "close",
    op: name,
    customerId,
    amount,
    createdAtMs,
  } as LedgerRow;
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
