// That a message came in for a customer, as it is told: a packed row of webhook_events has it beside changes
// of messages (webhook-event.ts, which leaves its id, body and shape to this file).
// Invariant: id and body follow from the event alone, so whatever repeats an event repeats both. Bound: a
// body has WEBHOOK_BODY_CHARS_MAX characters.

import { createHash } from "node:crypto";
import { isUlid, ulidOf } from "./id.ts";
import { COMMANDS, type Command } from "./opt-out-words.ts";
import { isCount, isText, RecordError } from "./packed.ts";

/** The event's type, by which a receiver and a packed row know it. */
export const MESSAGE_RECEIVED = "message.received";

export type InboundEvent = {
  /** That of the inbound message, too. */
  inboundId: string;
  customerId: number;
  /** Always the customer's own URL. */
  url: null;
  operator: string;
  operatorMessageId: string | null;
  /** In E.164 if it is a phone number, otherwise as the operator writes it. */
  from: string;
  /** The customer's number as it is registered. */
  to: string;
  keyword: string | null;
  text: string;
  isCut: boolean;
  command: Command | null;
  parts: number;
  missingParts: number;
  occurredAtMs: number;
};

/** A ULID of the time at which it came in. `what`: tells it from others of that time. */
export const inboundIdOf = (receivedAtMs: number, what: readonly unknown[]): string =>
  ulidOf(
    receivedAtMs,
    createHash("sha256")
      .update(JSON.stringify([MESSAGE_RECEIVED, what]))
      .digest(),
  );

/** What is posted, byte for byte, however often. */
export function inboundBody(event: InboundEvent): string {
  const occurredAt = new Date(event.occurredAtMs).toISOString();
  return JSON.stringify({
    type: MESSAGE_RECEIVED,
    timestamp: occurredAt,
    data: {
      id: event.inboundId,
      customer_id: String(event.customerId),
      from: event.from,
      to: event.to,
      keyword: event.keyword,
      text: event.text,
      truncated: event.isCut,
      command: event.command,
      parts: event.parts,
      missing_parts: event.missingParts,
      operator: event.operator,
      operator_message_id: event.operatorMessageId,
      occurred_at: occurredAt,
    },
  });
}

export type InboundTuple = [
  type: typeof MESSAGE_RECEIVED,
  inboundId: string,
  customerId: number,
  operator: string,
  operatorMessageId: string | null,
  from: string,
  to: string,
  keyword: string | null,
  text: string,
  isCut: boolean,
  command: Command | null,
  parts: number,
  missingParts: number,
  occurredAtMs: number,
];
const INBOUND_FIELDS = 14;

export const inboundTuple = (e: InboundEvent): InboundTuple => [
  MESSAGE_RECEIVED,
  e.inboundId,
  e.customerId,
  e.operator,
  e.operatorMessageId,
  e.from,
  e.to,
  e.keyword,
  e.text,
  e.isCut,
  e.command,
  e.parts,
  e.missingParts,
  e.occurredAtMs,
];

/** @throws RecordError */
export function inboundOf(values: readonly unknown[]): InboundEvent {
  if (values.length !== INBOUND_FIELDS)
    throw new RecordError(`an inbound message has ${INBOUND_FIELDS} fields`);
  const t = values as unknown as InboundTuple;
  const isSound =
    isUlid(t[1]) &&
    [t[2], t[11], t[12], t[13]].every(isCount) &&
    [t[3], t[5], t[6], t[8]].every(isText) &&
    [t[4], t[7]].every((each) => each === null || isText(each)) &&
    typeof t[9] === "boolean" &&
    (t[10] === null || COMMANDS.includes(t[10]));
  if (!isSound) throw new RecordError("a field of an inbound message has the wrong type");
  return {
    inboundId: t[1],
    customerId: t[2],
    url: null,
    operator: t[3],
    operatorMessageId: t[4],
    from: t[5],
    to: t[6],
    keyword: t[7],
    text: t[8],
    isCut: t[9],
    command: t[10],
    parts: t[11],
    missingParts: t[12],
    occurredAtMs: t[13],
  };
}
