// Sends again the events that ClickHouse lacks: writes outbox rows with the same event_id, which take the
// same way as the first time, so an event that arrives twice counts once. Leaves finding them to events.ts.
// Bounds: RESEND_MAX events a run, CLAIM_ROWS_MAX an outbox row, which fits one Kafka record (limits.ts).

import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import { eventStatus, sequencesSinceEvent } from "../core/message.ts";
import type { StatusRow } from "../core/event-record.ts";
import type { Pool } from "../platform/mysql.ts";
import { eventsSql } from "../ledger/posting.ts";
import type { Missing } from "./result.ts";

/**
 * A second of the relay's work, so that new events are not held up; the next run finds the remaining ones.
 */
export const RESEND_MAX = 10_000;

/** Returns how many events it wrote to the outbox. */
export async function resend(pool: Pool, { entries, messageIds }: Missing): Promise<number> {
  let sent = 0;
  for (const part of chunks(entries.slice(0, RESEND_MAX))) {
    await pool.query(eventsSql([], part));
    sent += part.length;
  }
  for (const ids of chunks(messageIds.slice(0, RESEND_MAX - sent))) {
    const statuses = await presentStatuses(pool, ids);
    if (statuses.length > 0) await pool.query(eventsSql(statuses, []));
    sent += statuses.length;
  }
  return sent;
}

type StoredMessage = Omit<
  StatusRow,
  "customerId" | "operatorMessageId" | "createdAtMs" | "updatedAtMs" | "why" | "unreserved"
> & {
  customer_id: number;
  operator_message_id: string | null;
  last_error: string | null;
  unreserved: 0 | 1;
  created_at: Date;
  updated_at: Date;
};

// The messages' present statuses: a message that has moved on since is reported with its newer status, as its
// own event does too.
async function presentStatuses(pool: Pool, ids: readonly string[]): Promise<StatusRow[]> {
  const rows = await pool.query<StoredMessage[]>(
    `SELECT id, customer_id, phone, lane, status, parts, cost, reference, operator, operator_message_id,
       last_error, unreserved, attempt, sequence, created_at, updated_at FROM messages WHERE id IN (?)`,
    [ids],
  );
  return rows.map(
    ({ customer_id, operator_message_id, last_error, unreserved, created_at, updated_at, ...row }) => ({
      ...row,
      ...(Number(unreserved) === 1 ? { unreserved: true } : {}),
      cost: Number(row.cost),
      customerId: Number(customer_id),
      operatorMessageId: operator_message_id,
      createdAtMs: created_at.getTime(),
      updatedAtMs: updated_at.getTime(),
      // From the stored number, so that for `sending` the event is again the one written before it.
      status: eventStatus(row.status),
      sequence: row.sequence - sequencesSinceEvent(row.status),
      // Who refused it is only in the event that was lost.
      ...(last_error === null ? {} : { why: { error: last_error, refusals: [] } }),
    }),
  );
}

function chunks<T>(all: readonly T[]): T[][] {
  const parts: T[][] = [];
  for (let i = 0; i < all.length; i += CLAIM_ROWS_MAX) parts.push(all.slice(i, i + CLAIM_ROWS_MAX));
  return parts;
}
