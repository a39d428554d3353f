// What a customer is told: a change of a message's status, that an endpoint takes no calls any more
// (webhook-pause.ts), that its credit is low (webhook-low-balance.ts), or a message that came in
// (webhook-inbound.ts). Packed rows of webhook_events, the id under which an event is delivered, and the body
// that is posted. Leaves signatures and calls to
// src/webhook/. Invariants: unpackWebhookEvents returns exactly what packWebhookEvents wrote and throws
// RecordError for anything else; id and body follow from the event alone, so whatever repeats an event
// repeats both. Bound: a body has WEBHOOK_BODY_CHARS_MAX characters.

import { createHash } from "node:crypto";
import { ulidOf } from "./id.ts";
import { type Encoding, isLane, isStatus, type Lane, type Status } from "./message.ts";
import { isCount, isText, pack, RecordError, shown, unpack, VERSION } from "./packed.ts";
import { type PeerCall, peerBody, type PeerEvent } from "./peers/callback.ts";
import {
  inboundBody,
  type InboundEvent,
  inboundOf,
  type InboundTuple,
  inboundTuple,
  MESSAGE_RECEIVED,
} from "./webhook-inbound.ts";
import {
  lowBalanceBody,
  type LowBalanceEvent,
  lowBalanceIdOf,
  lowBalanceOf,
  type LowBalanceTuple,
  lowBalanceTuple,
  WALLET_LOW,
} from "./webhook-low-balance.ts";
import {
  ENDPOINT_PAUSED,
  pauseBody,
  type PauseEvent,
  pauseIdOf,
  pauseOf,
  type PauseTuple,
  pauseTuple,
} from "./webhook-pause.ts";

export const MESSAGE_STATUS = "message.status";
/** The types of events, as receivers see them. */
export const EVENT_TYPES = [MESSAGE_STATUS, MESSAGE_RECEIVED, ENDPOINT_PAUSED, WALLET_LOW] as const;
export type EventType = (typeof EVENT_TYPES)[number];

export type WebhookEvent = ChangeEvent | PauseEvent | LowBalanceEvent | InboundEvent;

export type ChangeEvent = {
  customerId: number;
  /** The message's callback_url; null: the customer's own URL. */
  url: string | null;
  messageId: string;
  lane: Lane;
  /** E.164 */
  phone: string;
  status: Status;
  sequence: number;
  parts: number;
  cost: number;
  reference: string | null;
  operator: string | null;
  /** As in messages.last_error. */
  error: string | null;
  createdAtMs: number;
  occurredAtMs: number;
  /** Absent if it is told in Sluice's own form. */
  call?: PeerCall;
};

export const packWebhookEvents = (events: readonly WebhookEvent[]): Buffer =>
  pack([VERSION, ...events.map(toTuple)]);

/** @throws RecordError */
export function unpackWebhookEvents(bytes: Uint8Array): WebhookEvent[] {
  const value = unpack(bytes);
  if (!Array.isArray(value)) throw new RecordError("webhook events must be an array");
  const [version, ...events] = value as unknown[];
  if (version !== VERSION) throw new RecordError(`unknown version of webhook events: ${shown(version)}`);
  return events.map(fromTuple);
}

export const isPause = (event: WebhookEvent): event is PauseEvent => "endpoint" in event;
const isPeerEvent = (event: WebhookEvent): event is PeerEvent => "call" in event;
const isLowBalance = (event: WebhookEvent): event is LowBalanceEvent => "threshold" in event;
export const isInbound = (event: WebhookEvent): event is InboundEvent => "inboundId" in event;

/** The type of an event, as its receiver sees it. */
export function eventTypeOf(event: WebhookEvent): EventType {
  if (isPause(event)) return ENDPOINT_PAUSED;
  if (isLowBalance(event)) return WALLET_LOW;
  return isInbound(event) ? MESSAGE_RECEIVED : MESSAGE_STATUS;
}

/** A ULID of the time of the event, so ids sort by it. A message never has two changes of one sequence. */
export function eventIdOf(event: WebhookEvent): string {
  if (isPause(event)) return pauseIdOf(event);
  if (isLowBalance(event)) return lowBalanceIdOf(event);
  if (isInbound(event)) return event.inboundId;
  return changeIdOf(event);
}

/** The id of the event of a change, whether or not it was told. */
export const changeIdOf = (change: Pick<ChangeEvent, "messageId" | "sequence" | "occurredAtMs">): string =>
  ulidOf(change.occurredAtMs, createHash("sha256").update(`${change.messageId}:${change.sequence}`).digest());

/** The form of a peer in which it is told; null: Sluice's own. */
export const eventForm = (event: WebhookEvent): string | null =>
  isPeerEvent(event) ? event.call.form : null;

/** What is posted, byte for byte, however often; in a peer's form perhaps the URL that is called. */
export function eventBody(event: WebhookEvent): string {
  if (isPause(event)) return pauseBody(event);
  if (isLowBalance(event)) return lowBalanceBody(event);
  if (isPeerEvent(event)) return peerBody(event);
  if (isInbound(event)) return inboundBody(event);
  const occurredAt = new Date(event.occurredAtMs).toISOString();
  return JSON.stringify({
    type: MESSAGE_STATUS,
    timestamp: occurredAt,
    data: {
      id: event.messageId,
      customer_id: String(event.customerId),
      type: event.lane,
      phone: event.phone,
      status: event.status,
      sequence: event.sequence,
      occurred_at: occurredAt,
      parts: event.parts,
      cost: event.cost,
      reference: event.reference,
      operator: event.operator,
      last_error: event.error,
      created_at: new Date(event.createdAtMs).toISOString(),
    },
  });
}

type EventTuple = [
  customerId: number,
  url: string | null,
  messageId: string,
  lane: Lane,
  phone: string,
  status: Status,
  sequence: number,
  parts: number,
  cost: number,
  reference: string | null,
  operator: string | null,
  error: string | null,
  createdAtMs: number,
  occurredAtMs: number,
  call?: CallTuple,
];
type CallTuple = [form: string, from: string | null, operatorMessageId: string | null, encoding: Encoding];
/** Without the last one, which may be left out. */
const EVENT_FIELDS = 14;
const CALL_FIELDS = 4;

function toTuple(event: WebhookEvent): EventTuple | PauseTuple | LowBalanceTuple | InboundTuple {
  if (isPause(event)) return pauseTuple(event);
  if (isInbound(event)) return inboundTuple(event);
  return isLowBalance(event) ? lowBalanceTuple(event) : changeTuple(event);
}

function changeTuple(e: ChangeEvent): EventTuple {
  const tuple: EventTuple = [
    e.customerId,
    e.url,
    e.messageId,
    e.lane,
    e.phone,
    e.status,
    e.sequence,
    e.parts,
    e.cost,
    e.reference,
    e.operator,
    e.error,
    e.createdAtMs,
    e.occurredAtMs,
  ];
  if (e.call !== undefined) tuple.push(callTuple(e.call));
  return tuple;
}

const callTuple = ({ form, from, operatorMessageId, encoding }: PeerCall): CallTuple => [
  form,
  from,
  operatorMessageId,
  encoding,
];

function fromTuple(value: unknown): WebhookEvent {
  if (Array.isArray(value) && value[0] === ENDPOINT_PAUSED) return pauseOf(value as unknown[]);
  if (Array.isArray(value) && value[0] === WALLET_LOW) return lowBalanceOf(value as unknown[]);
  if (Array.isArray(value) && value[0] === MESSAGE_RECEIVED) return inboundOf(value as unknown[]);
  if (!Array.isArray(value) || (value.length !== EVENT_FIELDS && value.length !== EVENT_FIELDS + 1))
    throw new RecordError(`a webhook event has ${EVENT_FIELDS} fields, or one more`);
  const t = value as EventTuple;
  const sound =
    [t[0], t[6], t[7], t[8], t[12], t[13]].every(isCount) &&
    [t[2], t[4]].every(isText) &&
    [t[1], t[9], t[10], t[11]].every((label) => label === null || isText(label)) &&
    isLane(t[3]) &&
    isStatus(t[5]);
  if (!sound) throw new RecordError("a field of a webhook event has the wrong type");
  const event: ChangeEvent = {
    customerId: t[0],
    url: t[1],
    messageId: t[2],
    lane: t[3],
    phone: t[4],
    status: t[5],
    sequence: t[6],
    parts: t[7],
    cost: t[8],
    reference: t[9],
    operator: t[10],
    error: t[11],
    createdAtMs: t[12],
    occurredAtMs: t[13],
  };
  if (value.length > EVENT_FIELDS) event.call = callOf(t);
  return event;
}

function callOf([, url, ...t]: EventTuple): PeerCall {
  const call: unknown = t.at(-1);
  const sound =
    isText(url) &&
    Array.isArray(call) &&
    call.length === CALL_FIELDS &&
    isText(call[0]) &&
    call.slice(1, 3).every((label) => label === null || isText(label)) &&
    (call[3] === "gsm7" || call[3] === "ucs2");
  if (!sound) throw new RecordError("the form of a webhook event has the wrong type");
  const [form, from, operatorMessageId, encoding] = call as CallTuple;
  return { form, from, operatorMessageId, encoding };
}
