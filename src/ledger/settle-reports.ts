// Settles messages by what their operators reported: `sent` and `unknown` become `delivered` or
// `undelivered`. Locks in one order: messages by id, their submissions, wallets by customer_id.
// Leaves reading and matching to src/dlr/, and what a move does with the money to the charging table.
// Invariants: the first final status stays, whatever comes later; a message of several submits is delivered
// when every one is, and undelivered once one is; a message that is still being sent is not touched, because
// its own outcome comes first. Bound: the caller's ends, SETTLED_AT_ONCE_MAX at a time.

import type { LaneRecord } from "../core/lane-record.ts";
import { isFinal, type Status } from "../core/message.ts";
import type { Connection } from "../platform/mysql.ts";
import type { Change } from "./move.ts";
import { apply, lockRows } from "./settle.ts";
import { endParts, type PartEnd } from "./submissions.ts";

/** How a submit ended, as reported. */
export type ReportedEnd = PartEnd & {
  messageId: string;
  /** Which of the message's `submits` it was, from 0. */
  part: number;
  submits: number;
  operator: string;
  operatorMessageId: string | null;
  receivedAtMs: number;
};
/**
 * What became of a report: it settled its message, or a part of it; it came after the final status; its
 * message is still being sent, or doesn't exist.
 */
export type EndResult = "settled" | "part" | "late" | "early" | "nowhere";
export type Settling = {
  nowMs: number;
  /** The end of a message from its parts' ends: null while it has none. */
  endOf: (parts: readonly (PartEnd | null)[]) => PartEnd | null;
};

/** Within the caller's transaction. Returns a result for each end, and the changes made. */
export async function settleReported(
  conn: Connection,
  ends: readonly ReportedEnd[],
  { nowMs, endOf }: Settling,
): Promise<{ results: EndResult[]; changes: Change[] }> {
  if (ends.length === 0) return { results: [], changes: [] };
  const rows = await lockRows(conn, [...new Set(ends.map((end) => end.messageId))]);
  const present = new Map(rows.map((row) => [row.record.id, row]));
  const parts = ends.filter((end) => {
    const row = present.get(end.messageId);
    return end.submits > 1 && row !== undefined && isOpen(row.status) && isBy(row, end);
  });
  const partsOf = parts.length === 0 ? null : await endParts(conn, parts);
  const changes = new Map<string, Change>();
  const results = ends.map((end): EndResult => {
    const row = present.get(end.messageId);
    if (row === undefined || !isBy(row, end)) return "nowhere";
    if (isFinal(row.status) || changes.has(end.messageId)) return "late";
    if (!isOpen(row.status)) return "early";
    const whole = end.submits > 1 ? endOf(partsOf?.get(end.messageId) ?? []) : end;
    if (whole === null) return "part";
    changes.set(end.messageId, changeOf(row, end, whole));
    return "settled";
  });
  const made = [...changes.values()];
  if (made.length > 0) await apply(conn, made, { nowMs, retryDelayMs: () => 0, id: () => "" });
  return { results, changes: made };
}

const isOpen = (status: Status): boolean => status === "sent" || status === "unknown";

/** An operator only speaks for messages that it was given. */
const isBy = (row: Row, end: ReportedEnd): boolean => row.operator === null || row.operator === end.operator;

type Row = { record: LaneRecord; status: Status; operator: string | null; operatorMessageId: string | null };

// Nobody knows when an operator took an `unknown` message, only that it had when the report says it was done.
// An express message that can't be shown to have been taken in time counts as late.
function changeOf({ record, status, ...row }: Row, end: ReportedEnd, whole: PartEnd): Change {
  const id = row.operatorMessageId ?? end.operatorMessageId;
  return {
    record,
    from: status,
    to: whole.status,
    takenAtMs: status === "unknown" ? (whole.doneAtMs ?? end.receivedAtMs) : null,
    operator: row.operator ?? end.operator,
    operatorMessageIds: id === null ? [] : [id],
    reason: whole.error,
  };
}
