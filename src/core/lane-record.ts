// A message on its way to a sender. An outbox row of a lane holds many, a Kafka record one. The format is a
// msgpackr array that begins with a version number: 86 B a message, written by Bun and read by Node. A field
// that was added later stands at the end, and is left out where it and those behind it have no value: so most
// records are as they were before it, and what was written before it is still read.
// Invariant: unpack… returns exactly what pack… wrote and throws RecordError for anything else; never returns
// a record read in part.

import type { Callback } from "./callback.ts";
import { isUlid } from "./id.ts";
import type { Encoding, Lane } from "./message.ts";
import { isCount, isText, pack, RecordError, shown, unpack, VERSION } from "./packed.ts";

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
  /** 0 at the first claim; counts up with each retry or requeue. */
  attempt: number;
  /** Express only: the promised time by which an operator has taken it. */
  guaranteedByMs: number | null;
  /** Until when it may be sent and delivered; null: VALID_FOR_MS after it was to be sent. */
  validUntilMs: number | null;
  /** W3C trace context, '' when none */
  traceparent: string;
  /** What its customer wants to be told; absent, and no byte, for most. */
  callback?: Callback;
  /**
   * Express, if its customer wants that: when its answer is lost it may be submitted once more, to another
   * operator. A message that is requeued because Kafka lost it does without.
   */
  mayResend?: true;
  /** When Kafka got the record, if it was read from there. Not packed: who reads it knows it. */
  relayedAtMs?: number;
  /** When it was to be sent, if that was later than its acceptance; absent, and no byte, for most. */
  sendAtMs?: number;
  /**
   * The code that belongs into the text, which has a placeholder for it (otp-code.ts), as otp-secret.ts seals
   * it; absent, and no byte, for all but one-time codes.
   */
  sealedCode?: string;
};

/** Without those that may be left out, and with all of them. */
const LANE_FIELDS = 15;
const LANE_FIELDS_MAX = LANE_FIELDS + 6;

/** Since when its customer has wanted it to be sent. */
export const wantedAtMs = ({ sendAtMs, createdAtMs }: Pick<LaneRecord, "sendAtMs" | "createdAtMs">): number =>
  sendAtMs ?? createdAtMs;

/** Packs one outbox row of a lane. */
export function packLaneRow(records: readonly LaneRecord[]): Buffer {
  return pack(records.map(toTuple));
}

/** @throws RecordError */
export function unpackLaneRow(buf: Uint8Array): LaneRecord[] {
  const value = unpack(buf);
  if (!Array.isArray(value)) throw new RecordError("a lane row must be an array");
  return value.map(fromTuple);
}

/** Packs the value of one Kafka record of a lane's topic. */
export function packLaneRecord(record: LaneRecord): Buffer {
  return pack(toTuple(record));
}

/** @throws RecordError */
export function unpackLaneRecord(buf: Uint8Array): LaneRecord {
  return fromTuple(unpack(buf));
}

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
  callbackStatuses?: number | null,
  /** With its form, if that isn't Sluice's own. */
  callbackUrl?: string | null | [url: string, form: string],
  validUntilMs?: number | null,
  mayResend?: true | null,
  sendAtMs?: number | null,
  sealedCode?: string | null,
];

function toTuple(r: LaneRecord): LaneTuple {
  const tuple: LaneTuple = [
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
  const { callback, validUntilMs, mayResend, sendAtMs, sealedCode } = r;
  const isPlain = callback === undefined && validUntilMs === null && mayResend === undefined;
  if (isPlain && sendAtMs === undefined && sealedCode === undefined) return tuple;
  tuple.push(callback?.statuses ?? null, calledAt(callback), validUntilMs, mayResend ?? null);
  if (sendAtMs !== undefined || sealedCode !== undefined) tuple.push(sendAtMs ?? null, sealedCode ?? null);
  while (tuple.at(-1) === null) tuple.pop();
  return tuple;
}

const calledAt = (callback: Callback | undefined): LaneTuple[16] =>
  callback?.form === undefined ? (callback?.url ?? null) : [callback.url ?? "", callback.form];

function fromTuple(value: unknown): LaneRecord {
  if (!Array.isArray(value)) throw new RecordError("a lane record must be an array");
  if (value[0] !== VERSION) throw new RecordError(`unknown version of a lane record: ${shown(value[0])}`);
  if (value.length < LANE_FIELDS || value.length > LANE_FIELDS_MAX)
    throw new RecordError(`a lane record has ${LANE_FIELDS} to ${LANE_FIELDS_MAX} fields`);
  const t = value as LaneTuple;
  const statuses = t[15] ?? null;
  const [url, ...form] = Array.isArray(t[16]) ? t[16] : ([t[16] ?? null] as const);
  const validUntilMs = t[17] ?? null;
  const mayResend = t[18] ?? null;
  const sendAtMs = t[19] ?? null;
  const sealedCode = t[20] ?? null;
  const sound =
    isUlid(t[1]) && // it becomes part of SQL
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
    isText(t[14]) &&
    (statuses === null ? url === null : isCount(statuses)) &&
    (url === null || isText(url)) &&
    form.length <= 1 &&
    form.every(isText) &&
    (validUntilMs === null || isCount(validUntilMs)) &&
    (mayResend === null || mayResend === true) &&
    (sendAtMs === null || isCount(sendAtMs)) &&
    (sealedCode === null || isText(sealedCode));
  if (!sound) throw new RecordError("a field of a lane record has the wrong type");
  const record: LaneRecord = {
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
    validUntilMs,
    traceparent: t[14],
    ...(statuses === null ? {} : { callback: { statuses, url } }),
  };
  if (record.callback !== undefined && form[0] !== undefined) record.callback.form = form[0];
  if (mayResend !== null) record.mayResend = true;
  if (sendAtMs !== null) record.sendAtMs = sendAtMs;
  if (sealedCode !== null) record.sealedCode = sealedCode;
  return record;
}
