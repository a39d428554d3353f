// The events of one message, from messages_log, oldest first. `sending` is never an event, so the message's
// present row in MySQL is added if it is ahead of the log. Leaves finding the message to messages-list.ts.

import type { Status } from "../core/message.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";

export type TimelineEntry = { status: string; attempt: number; operator: string | null; at: string };
/** The message as it is in MySQL now. */
export type PresentState = {
  id: string;
  customerId: number;
  status: Status;
  sequence: number;
  attempt: number;
  operator: string | null;
  updatedAtMs: number;
};

/** @throws SluiceError reports_unavailable */
export async function timelineOf(clickhouse: Clickhouse, present: PresentState): Promise<TimelineEntry[]> {
  const rows = await clickhouse.query<{
    status: string;
    attempt: number;
    operator: string;
    sequence: number;
    at: string;
  }>(
    `SELECT sequence, any(status) AS status, any(attempt) AS attempt, any(operator) AS operator,
       toUnixTimestamp64Milli(any(updated_at)) AS at
     FROM messages_log WHERE customer_id = {customer:UInt64} AND id = {id:String}
     GROUP BY sequence ORDER BY sequence`,
    { customer: present.customerId, id: present.id },
  );
  const entries = rows.map((row) => entryOf(row.status, row.attempt, row.operator, Number(row.at)));
  if (Number(rows.at(-1)?.sequence ?? -1) < present.sequence) {
    entries.push(entryOf(present.status, present.attempt, present.operator ?? "", present.updatedAtMs));
  }
  return entries;
}

function entryOf(status: string, attempt: number, operator: string, atMs: number): TimelineEntry {
  return {
    status,
    attempt: Number(attempt) + 1,
    operator: operator === "" ? null : operator,
    at: new Date(atMs).toISOString(),
  };
}
