// That a customer's credit fell below what it set, as it is told: a packed row of webhook_events has it
// beside changes of messages (webhook-event.ts, which leaves its id, body and shape to this file).
// Invariant: id and body follow from the event alone, so whatever repeats an event repeats both. Bound: a
// body has WEBHOOK_BODY_CHARS_MAX characters.

import { createHash } from "node:crypto";
import { ulidOf } from "./id.ts";
import { isCount, isText, RecordError } from "./packed.ts";

/** The event's type, by which a receiver and a packed row know it. */
export const WALLET_LOW = "wallet.low";

export type LowBalanceEvent = {
  customerId: number;
  /** Always the customer's own URL. */
  url: null;
  /** All it could spend then, in minor units of `currency`, and below which amount it is told so. */
  balance: number;
  threshold: number;
  currency: string;
  occurredAtMs: number;
};

/** A ULID of the time of the event. A customer's credit never falls twice at one time. */
export function lowBalanceIdOf({ customerId, occurredAtMs }: LowBalanceEvent): string {
  const what = JSON.stringify([WALLET_LOW, customerId, occurredAtMs]);
  return ulidOf(occurredAtMs, createHash("sha256").update(what).digest());
}

/** What is posted, byte for byte, however often. */
export function lowBalanceBody(event: LowBalanceEvent): string {
  const occurredAt = new Date(event.occurredAtMs).toISOString();
  return JSON.stringify({
    type: WALLET_LOW,
    timestamp: occurredAt,
    data: {
      customer_id: String(event.customerId),
      balance: event.balance,
      threshold: event.threshold,
      currency: event.currency,
      occurred_at: occurredAt,
    },
  });
}

export type LowBalanceTuple = [
  type: typeof WALLET_LOW,
  customerId: number,
  balance: number,
  threshold: number,
  currency: string,
  occurredAtMs: number,
];
const LOW_FIELDS = 6;

export const lowBalanceTuple = (e: LowBalanceEvent): LowBalanceTuple => [
  WALLET_LOW,
  e.customerId,
  e.balance,
  e.threshold,
  e.currency,
  e.occurredAtMs,
];

/** @throws RecordError */
export function lowBalanceOf(values: readonly unknown[]): LowBalanceEvent {
  if (values.length !== LOW_FIELDS) throw new RecordError(`a low balance has ${LOW_FIELDS} fields`);
  const [, customerId, balance, threshold, currency, occurredAtMs] = values as unknown as LowBalanceTuple;
  const isSound = [customerId, balance, threshold, occurredAtMs].every(isCount) && isText(currency);
  if (!isSound) throw new RecordError("a field of a low balance has the wrong type");
  return { customerId, url: null, balance, threshold, currency, occurredAtMs };
}
