// Turns an outbox row into its records, and back into a row that holds only those that failed. Pure.
// Invariant: whatever the bytes are, the result is a list of records or `undecodable`; it never throws.

import { unpackEvents } from "../core/event-record.ts";
import { type LaneRecord, packLaneRecord, packLaneRow, unpackLaneRow } from "../core/lane-record.ts";
import type { Lane } from "../core/message.ts";
import type { OutRecord } from "../platform/kafka/producer.ts";

export type Topics = { normal: string; express: string; status: string; ledger: string };
export type Decoded =
  | { kind: "messages"; records: LaneRecord[]; out: OutRecord[] }
  | { kind: "events"; out: OutRecord[] }
  | { kind: "undecodable"; reason: string };

/** A row of messages becomes one record per message. */
export const decodeMessages =
  (lane: Lane) =>
  (payload: Buffer, topics: Topics): Decoded =>
    orUndecodable(() => {
      const records = unpackLaneRow(payload);
      return { kind: "messages", records, out: records.map((record) => laneOut(record, topics[lane])) };
    });

/** A row of events becomes one record for each of the two event topics, with all lines for that topic. */
export const decodeEvents = (payload: Buffer, topics: Topics): Decoded =>
  orUndecodable(() => ({ kind: "events", out: eventRecords(payload, topics) }));

function orUndecodable(decode: () => Decoded): Decoded {
  try {
    return decode();
  } catch (error) {
    return { kind: "undecodable", reason: (error as Error).message };
  }
}

/**
 * The payload of the same row with only these records, given by index; null: the whole row, as for events, of
 * which a repeat is harmless, and for what can't be decoded.
 */
export function payloadOf(decoded: Decoded, failed: readonly number[]): Buffer | null {
  if (decoded.kind !== "messages") return null;
  return packLaneRow(failed.map((index) => decoded.records[index] as LaneRecord));
}

/** The ids visible in a lane row that can't be decoded: msgpack writes a ULID as a string of 26 bytes. */
export function idsIn(payload: Buffer): string[] {
  const found = payload.toString("latin1").matchAll(/\xba([0-7][0-9A-HJKMNP-TV-Z]{25})/g);
  return [...new Set([...found].map((match) => match[1] as string))];
}

function eventRecords(payload: Buffer, topics: Topics): OutRecord[] {
  const events = unpackEvents(payload);
  const out: OutRecord[] = [];
  if (events.status !== "") out.push(eventOut(topics.status, events.status));
  if (events.ledger !== "") out.push(eventOut(topics.ledger, events.ledger));
  return out;
}

const eventOut = (topic: string, lines: string): OutRecord => ({
  topic,
  key: null,
  value: Buffer.from(lines),
  traceparent: "",
});

const laneOut = (record: LaneRecord, topic: string): OutRecord => ({
  topic,
  key: String(record.customerId),
  value: packLaneRecord(record),
  traceparent: record.traceparent,
});
