// Settles messages by what their operators reported: `sent` and `unknown` become `delivered` or
// `undelivered`. Locks in one order: messages by id, their submissions, wallets by customer_id.
// Leaves reading and matching to src/dlr/, and what a move does with the money to the charging table.
// Invariants: the first final status stays, and what comes later is only kept (late-reports.ts); a message of
// several submits is delivered when every one is, and undelivered once one is; a message that is still being
// sent is not touched, because its own outcome comes first. Bound: the caller's ends, SETTLED_AT_ONCE_MAX at
// a time.

import { type LaneRecord, wantedAtMs } from "../core/lane-record.ts";
import { isFinal, type Status } from "../core/message.ts";
import type { Connection } from "../platform/mysql.ts";
import { keepLateReports } from "./late-reports.ts";
import type { Change, ReportedSubmit } from "./move.ts";
import { apply, type LockedMessage, lockRows } from "./settle.ts";
import { endParts, type PartEnd } from "./submissions.ts";

/** How a submit ended, as reported. */
export type ReportedEnd = PartEnd & {
  messageId: string;
  /** Which of the message's `submits` it was, from 0. */
  part: number;
  submits: number;
  /** Its operator reports on no other of them. */
  isOnly: boolean;
  operator: string;
  operatorMessageId: string | null;
  receivedAtMs: number;
  /** How later reports will name a message that was only found by its recipient. */
  named?: ReportedSubmit;
};
/**
 * What became of a report: it settled its message, or a part of it; it came after the final status; its
 * message is still being sent, or nobody knows if all of it was; it doesn't exist.
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
    // By its recipient it was found because nothing else could be meant, and that is over.
    const isOpenStill = row.status === "unknown" && !changes.has(end.messageId);
    if (end.named !== undefined && !isOpenStill) return "nowhere";
    if (isFinal(row.status) || changes.has(end.messageId)) return "late";
    if (!isOpen(row.status)) return "early";
    const whole = end.submits > 1 ? endOf(partsOf?.get(end.messageId) ?? []) : end;
    // A late answer may still say that all was taken; that one report is about all of it then, so it waits.
    if (whole === null) return end.isOnly && row.status === "unknown" ? "early" : "part";
    changes.set(end.messageId, changeOf(row, end, whole));
    return "settled";
  });
  const made = [...changes.values()];
  if (made.length > 0) await apply(conn, made, { nowMs, id: () => "" });
  const late = ends.filter((end, at) => {
    const row = present.get(end.messageId);
    return results[at] === "late" && row !== undefined && isNews(end, row, changes.get(end.messageId));
  });
  await keepLateReports(conn, late);
  return { results, changes: made };
}

/** Not the report that ended the message, come again because it had to wait. */
function isNews(end: ReportedEnd, row: LockedMessage, change: Change | undefined): boolean {
  return end.status !== (change?.to ?? row.status) || end.receivedAtMs > row.updatedAtMs;
}

const isOpen = (status: Status): boolean => status === "sent" || status === "unknown";

/** An operator only speaks for messages that it was given. */
const isBy = (row: LockedMessage, end: ReportedEnd): boolean =>
  row.operator === null || row.operator === end.operator;

/** A time at which the message could not have been taken yet is from a clock, or a zone, that is behind. */
function provenAtMs(record: LaneRecord, doneAtMs: number | null, receivedAtMs: number): number {
  return doneAtMs === null || doneAtMs < wantedAtMs(record) ? receivedAtMs : doneAtMs;
}

// Nobody knows when an operator took an `unknown` message, only that it had when the report says it was done.
// An express message that can't be shown to have been taken in time counts as late.
function changeOf({ record, status, ...row }: LockedMessage, end: ReportedEnd, whole: PartEnd): Change {
  const id = row.operatorMessageId ?? end.operatorMessageId;
  return {
    record,
    from: status,
    to: whole.status,
    takenAtMs: status === "unknown" ? provenAtMs(record, whole.doneAtMs, end.receivedAtMs) : null,
    operator: row.operator ?? end.operator,
    operatorMessageIds: id === null ? [] : [id],
    reason: whole.error,
    ...(end.named === undefined ? {} : { reported: [end.named] }),
    // Reports on its other submits may have ids that nobody knows: they must not be taken for another's.
    ...(status === "unknown" && record.parts > 1 ? { lostAt: [end.operator] } : {}),
  };
}
