// What customers are to be told of a transaction's status changes: a row of webhook_events for each
// CLAIM_ROWS_MAX of them, written by the transaction that makes the changes, so an event exists exactly when
// its change does. Nothing is written for
// messages that nobody wants to hear of. Leaves pauses to webhook-pauses.ts, deliveries to
// webhook-deliveries.ts.
// Bound: the callers' batches.

import { wants } from "../core/callback.ts";
import type { StatusRow } from "../core/event-record.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { PeerCall } from "../core/peers/callback.ts";
import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import { type ChangeEvent, packWebhookEvents, type WebhookEvent } from "../core/webhook-event.ts";
import { blob, pieces } from "./sql-text.ts";

/** A change as its customer is told it; none if that status isn't wanted. `error`: messages.last_error. */
export function webhookEventsOf(record: LaneRecord, row: StatusRow, error: string | null): ChangeEvent[] {
  const { callback } = record;
  if (callback === undefined || !wants(callback.statuses, row.status)) return [];
  return [
    {
      customerId: row.customerId,
      url: callback.url,
      messageId: row.id,
      lane: row.lane,
      phone: row.phone,
      status: row.status,
      sequence: row.sequence,
      parts: row.parts,
      cost: row.cost,
      reference: row.reference,
      operator: row.operator,
      error,
      createdAtMs: row.createdAtMs,
      occurredAtMs: row.updatedAtMs,
      ...(callback.form === undefined ? {} : { call: callOf(record, row, callback.form) }),
    },
  ];
}

const callOf = ({ from, encoding }: LaneRecord, row: StatusRow, form: string): PeerCall => ({
  form,
  from,
  operatorMessageId: row.operatorMessageId,
  encoding,
});

/** One INSERT of these events; null if there are none. */
export function webhookEventsSql(events: readonly WebhookEvent[]): string | null {
  if (events.length === 0) return null;
  const rows = pieces(events, CLAIM_ROWS_MAX).map((some) => `(${blob(packWebhookEvents(some))})`);
  return `INSERT INTO webhook_events (payload) VALUES ${rows}`;
}
