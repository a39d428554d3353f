// One webhook endpoint that takes no calls any more, as its customer is told: a packed row of webhook_events
// has it beside changes of messages (webhook-event.ts, which leaves its id, body and shape to this file).
// Invariant: id and body follow from the event alone, so whatever repeats an event repeats both.
// Bound: a body has WEBHOOK_BODY_CHARS_MAX characters.

import { createHash } from "node:crypto";
import { ulidOf } from "./id.ts";
import { isCount, isText, RecordError } from "./packed.ts";

/** The event's type, by which a receiver and a packed row know it. */
export const ENDPOINT_PAUSED = "endpoint.paused";

/** `paused`: nothing succeeded for long; `gone`: the customer's own URL answered 410. */
export const STOPPED_STATES = ["paused", "gone"] as const;
export type StoppedState = (typeof STOPPED_STATES)[number];

export type PauseEvent = {
  customerId: number;
  /** Where it is told: a callback_url; null: the customer's own URL. */
  url: string | null;
  /** What takes no calls: an origin of callback_urls, or several (`*`); "": the customer's own URL. */
  endpoint: string;
  /** The customer's own URL, or the callback_url that was acknowledged last; null if none was. */
  endpointUrl: string | null;
  state: StoppedState;
  /** In a row. */
  failures: number;
  /** Why its last call failed. */
  reason: string | null;
  occurredAtMs: number;
};

/** A ULID of the time of the pause. An endpoint never stops twice at one time. */
export function pauseIdOf({ customerId, url, endpoint, occurredAtMs }: PauseEvent): string {
  const what = JSON.stringify([ENDPOINT_PAUSED, customerId, endpoint, occurredAtMs, url]);
  return ulidOf(occurredAtMs, createHash("sha256").update(what).digest());
}

/** What is posted, byte for byte, however often. */
export function pauseBody(event: PauseEvent): string {
  const occurredAt = new Date(event.occurredAtMs).toISOString();
  return JSON.stringify({
    type: ENDPOINT_PAUSED,
    timestamp: occurredAt,
    data: {
      customer_id: String(event.customerId),
      origin: event.endpoint === "" ? null : event.endpoint,
      url: event.endpointUrl,
      state: event.state,
      failures: event.failures,
      reason: event.reason,
      occurred_at: occurredAt,
    },
  });
}

export type PauseTuple = [
  type: typeof ENDPOINT_PAUSED,
  customerId: number,
  url: string | null,
  endpoint: string,
  endpointUrl: string | null,
  state: StoppedState,
  failures: number,
  reason: string | null,
  occurredAtMs: number,
];
const PAUSE_FIELDS = 9;

export const pauseTuple = (e: PauseEvent): PauseTuple => [
  ENDPOINT_PAUSED,
  e.customerId,
  e.url,
  e.endpoint,
  e.endpointUrl,
  e.state,
  e.failures,
  e.reason,
  e.occurredAtMs,
];

/** @throws RecordError */
export function pauseOf(values: readonly unknown[]): PauseEvent {
  if (values.length !== PAUSE_FIELDS) throw new RecordError(`a pause has ${PAUSE_FIELDS} fields`);
  const [, customerId, url, endpoint, endpointUrl, state, failures, reason, occurredAtMs] =
    values as unknown as PauseTuple;
  const isSound =
    [customerId, failures, occurredAtMs].every(isCount) &&
    [url, endpointUrl, reason].every((each) => each === null || isText(each)) &&
    isText(endpoint) &&
    STOPPED_STATES.includes(state);
  if (!isSound) throw new RecordError("a field of a pause has the wrong type");
  return { customerId, url, endpoint, endpointUrl, state, failures, reason, occurredAtMs };
}
