// A message's row as acceptance stores it and as its moves change it: the only statements that write
// `messages` (test/tidy.test.ts holds the tree to that), and the status event that goes with each.
// Leaves to others: which moves to make, their money (settle-plan.ts), transactions.
// Invariants: every statement asserts that its move is one of core/message.ts, changes only rows that are
// still at the status and attempt it starts from, and gives them the sequence of where they arrive.
// Bound: the callers' batches.

import assert from "node:assert/strict";
import { type AcceptedStatus, attemptAfter, canMove, type Move, sequenceOf } from "../core/message.ts";
import type { StatusRow } from "../core/event-record.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { dateTime, quote, rows } from "./sql-text.ts";

/** One message and the move it makes, at `record.attempt`. */
export type Change = Move & {
  record: LaneRecord;
  /** When an operator took it, which decides about late express; null when none did. */
  takenAtMs: number | null;
  operator: string | null;
  operatorMessageId: string | null;
  /** Kept in messages.last_error: printable ASCII, cut at 100 characters. */
  reason: string | null;
};

const REASON_CHARS_MAX = 100;
const NOT_PRINTABLE = /[^\x20-\x7e]/g;

/** One INSERT of accepted messages. */
export function storeSql(records: readonly LaneRecord[], status: AcceptedStatus): string {
  const sequence = sequenceOf(0, status);
  let values = "";
  for (const r of records) {
    const created = dateTime(r.createdAtMs);
    const promised = r.guaranteedByMs === null ? "NULL" : dateTime(r.guaranteedByMs);
    values +=
      `${values === "" ? "" : ","}('${r.id}',${r.customerId},'${r.lane}','${status}',${sequence},` +
      `'${r.phone}',${quote(r.text)},${quote(r.from)},${quote(r.reference)},'${r.encoding}',${r.parts},` +
      `${r.cost},${promised},${created},${created})`;
  }
  return (
    "INSERT INTO messages (id,customer_id,lane,status,sequence,phone,text,sender,reference,encoding,parts," +
    `cost,guaranteed_by,created_at,updated_at) VALUES ${values}`
  );
}

/**
 * One UPDATE of messages that make the same move from the same attempt. It changes as many rows as there are
 * ids, or some message was elsewhere: the caller looks at affectedRows.
 */
export function moveSql(move: Move, attempt: number, ids: readonly string[], nowMs: number): string {
  return `UPDATE messages SET ${arrivalSql(move, attempt, nowMs)} ${guardSql(move, attempt, ids)}`;
}

/** The same, for changes of one move and attempt, with who took each message or why nobody did. */
export function changesSql(changes: readonly Change[], nowMs: number): string {
  const { record, ...first } = changes[0] as Change;
  const { attempt } = record;
  if (changes.every((change) => isAlike(change, first))) {
    const ids = changes.map((change) => change.record.id);
    const set = `${alikeSql(first)}${arrivalSql(first, attempt, nowMs)}`;
    return `UPDATE messages SET ${set} ${guardSql(first, attempt, ids)}`;
  }
  // `_ascii` keeps the join on the primary key: a utf8mb4 value would convert the column instead.
  const values = changes.map((c) => [
    `_ascii'${c.record.id}'`,
    ascii(c.operator),
    ascii(c.operatorMessageId),
    ascii(lastError(c)),
  ]);
  return (
    `UPDATE (VALUES ${rows(values)}) AS v (i,o,oi,e) STRAIGHT_JOIN messages m ON m.id=v.i ` +
    "SET m.operator=COALESCE(v.o,m.operator),m.operator_message_id=COALESCE(v.oi,m.operator_message_id)," +
    `m.last_error=v.e,${arrivalSql(first, attempt, nowMs)} WHERE ${atSql(first, attempt)}`
  );
}

/** The event of a message that arrives at `to`. */
export function statusRow(
  record: LaneRecord,
  { to, attempt, atMs }: { to: StatusRow["status"]; attempt: number; atMs: number },
  by: Pick<Change, "operator" | "operatorMessageId"> | null = null,
): StatusRow {
  return {
    id: record.id,
    customerId: record.customerId,
    phone: record.phone,
    lane: record.lane,
    status: to,
    parts: record.parts,
    cost: record.cost,
    reference: record.reference,
    operator: by?.operator ?? null,
    operatorMessageId: by?.operatorMessageId ?? null,
    attempt,
    sequence: sequenceOf(attempt, to),
    createdAtMs: record.createdAtMs,
    updatedAtMs: atMs,
  };
}

function arrivalSql(move: Move, attempt: number, nowMs: number): string {
  assert(canMove(move.from, move.to), `${move.from} never becomes ${move.to}`);
  const next = attemptAfter(move, attempt);
  const raised = next === attempt ? "" : `attempt=${next},`;
  return `status='${move.to}',${raised}sequence=${sequenceOf(next, move.to)},updated_at=${dateTime(nowMs)}`;
}

const guardSql = (move: Move, attempt: number, ids: readonly string[]): string =>
  `WHERE id IN ('${ids.join("','")}') AND ${atSql(move, attempt)}`;

const atSql = ({ from }: Move, attempt: number): string => `status='${from}' AND attempt=${attempt}`;

const isAlike = (a: Omit<Change, "record">, b: Omit<Change, "record">): boolean =>
  a.operator === b.operator && a.operatorMessageId === b.operatorMessageId && a.reason === b.reason;

function alikeSql(change: Omit<Change, "record">): string {
  const { operator, operatorMessageId } = change;
  const by = operator === null ? "" : `operator=${quote(operator)},`;
  const theirs = operatorMessageId === null ? "" : `operator_message_id=${quote(operatorMessageId)},`;
  return `${by}${theirs}last_error=${quote(lastError(change))},`;
}

const lastError = ({ reason }: Pick<Change, "reason">): string | null =>
  reason?.replace(NOT_PRINTABLE, "?").slice(0, REASON_CHARS_MAX) ?? null;

const ascii = (value: string | null): string => (value === null ? "NULL" : `_ascii${quote(value)}`);
