// The only statements that write `messages` (test/tidy.test.ts checks that): a message's row as acceptance
// stores it and as its moves change it, with the status event that belongs to each.
// Leaves to others: which moves to make, their money (settle-plan.ts), transactions.
// Invariants: every statement asserts that its move exists in core/message.ts, changes only rows that are
// still at the status and attempt it starts from, and sets the sequence of the status it leads to.
// Bound: the callers' batches.

import assert from "node:assert/strict";
import {
  type AcceptedStatus,
  attemptAfter,
  canMove,
  chargeOfUnreserved,
  type Move,
  sequenceOf,
} from "../core/message.ts";
import type { Passed, Refusal, StatusRow } from "../core/event-record.ts";
import { REASON_CHARS_MAX, REFUSAL_CHARS_MAX } from "../core/limits.ts";
import { type LaneRecord, wantedAtMs } from "../core/lane-record.ts";
import { byKey, dateTime, quote } from "./sql-text.ts";

/** A submit as its operator's reports will name it; both are "" if the operator gave it no id. */
export type ReportedSubmit = { idKey: string; operatorMessageId: string };

/** One message and its move, which starts at `record.attempt`. */
export type Change = Move & {
  record: LaneRecord;
  /** When an operator accepted it, which decides whether express was late; null if none did. */
  takenAtMs: number | null;
  /** When it was claimed for this attempt; absent if it was not, or nobody knows. */
  claimedAtMs?: number;
  operator: string | null;
  /** Its ids there, one for each submit in order; the first is stored with the message. */
  operatorMessageIds: readonly string[];
  /** The submits on which it will report by its own id; absent if its reports name ours. */
  reported?: readonly ReportedSubmit[];
  /** Stored in messages.last_error: printable ASCII, cut at REASON_CHARS_MAX characters. */
  reason: string | null;
  /** The operators that refused it at this attempt, in order, for its event; absent if none did. */
  refusals?: readonly Refusal[];
  /**
   * Operators that may report on the message although nothing else says so from now on: whose answer was lost
   * when it was submitted to another one, of which it ended before they named all of its submits, or that
   * refused it and may report all the same.
   */
  lostAt?: readonly string[];
  /** Of a message that is queued again: how long its next attempt waits; absent: not at all. */
  retryInMs?: number;
};

/** In `lostAt`: nobody knows which one it is. */
export const ANY_OPERATOR = "";

// MySQL's statistics say that a partition which is new today is empty, until they are updated: without this
// hint it would read the whole partition.
const MESSAGES = "messages FORCE INDEX (PRIMARY)";
const NOT_PRINTABLE = /[^\x20-\x7e]/g;

/**
 * One INSERT of accepted messages. Callbacks, their forms and sealed codes are columns of it only if some
 * message has one, whether nothing is reserved only if that is so of some, and the time at which they are to
 * be sent only if they are scheduled.
 */
export function storeSql(records: readonly LaneRecord[], status: AcceptedStatus): string {
  const sequence = sequenceOf(0, status);
  const areTold = records.some(({ callback }) => callback !== undefined);
  const haveForms = areTold && records.some(({ callback }) => callback?.form !== undefined);
  const areLater = status === "scheduled";
  const areSealed = records.some(({ sealedCode }) => sealedCode !== undefined);
  const areUnreserved = records.some(({ unreserved }) => unreserved === true);
  let values = "";
  for (const r of records) {
    const created = dateTime(r.createdAtMs);
    const promised = r.guaranteedByMs === null ? "NULL" : dateTime(r.guaranteedByMs);
    const validUntil = r.validUntilMs === null ? "NULL" : dateTime(r.validUntilMs);
    values +=
      `${values === "" ? "" : ","}('${r.id}',${r.customerId},'${r.lane}','${status}',${sequence},` +
      `'${r.phone}',${quote(r.text)},${quote(r.from)},${quote(r.reference)},'${r.encoding}',${r.parts},` +
      `${r.cost},${promised},${validUntil},${created},${created}${areTold ? callbackSql(r) : ""}` +
      `${haveForms ? `,${quote(r.callback?.form ?? null)}` : ""}` +
      `${areLater ? `,${dateTime(r.sendAtMs as number)}` : ""}` +
      `${areSealed ? `,${quote(r.sealedCode ?? null)}` : ""}` +
      `${areUnreserved ? `,${r.unreserved === true}` : ""})`;
  }
  return (
    "INSERT INTO messages (id,customer_id,lane,status,sequence,phone,text,sender,reference,encoding,parts," +
    "cost,guaranteed_by,valid_until,created_at,updated_at" +
    `${areTold ? ",callback_statuses,callback_url" : ""}${haveForms ? ",callback_form" : ""}` +
    `${areLater ? ",send_at" : ""}${areSealed ? ",sealed_code" : ""}` +
    `${areUnreserved ? ",unreserved" : ""}) VALUES ${values}`
  );
}

const callbackSql = ({ callback }: LaneRecord): string =>
  callback === undefined ? ",NULL,NULL" : `,${callback.statuses},${quote(callback.url)}`;

/**
 * One UPDATE of messages that make the same move from the same attempt. If it changes fewer rows than there
 * are ids, some message was at another status: the caller must check affectedRows.
 */
export function moveSql(move: Move, attempt: number, ids: readonly string[], nowMs: number): string {
  return `UPDATE ${MESSAGES} SET ${arrivalSql(move, attempt, nowMs)} ${guardSql(move, attempt, ids)}`;
}

/** Like moveSql, for the claim of unreserved messages, whose cost the same transaction reserves. */
export function reservingMoveSql(move: Move, attempt: number, ids: readonly string[], nowMs: number): string {
  assert(chargeOfUnreserved(move) === "reserve", `${move.from} to ${move.to} reserves nothing`);
  return (
    `UPDATE ${MESSAGES} SET unreserved=FALSE,${arrivalSql(move, attempt, nowMs)} ` +
    `${guardSql(move, attempt, ids)} AND unreserved=TRUE`
  );
}

/**
 * One UPDATE of a message that is still scheduled: what counts from the time at which it is to be sent counts
 * from the new one. Not a move, and so no event; the caller must check affectedRows.
 */
export function rescheduleSql(record: LaneRecord, sendAtMs: number): string {
  const { id, guaranteedByMs, validUntilMs } = record;
  const laterMs = sendAtMs - wantedAtMs(record);
  const later = (ms: number | null) => (ms === null ? "NULL" : dateTime(ms + laterMs));
  return (
    `UPDATE ${MESSAGES} SET send_at=${dateTime(sendAtMs)},guaranteed_by=${later(guaranteedByMs)},` +
    `valid_until=${later(validUntilMs)} WHERE id='${id}' AND status='scheduled'`
  );
}

/** Like moveSql, for changes of one move and attempt, with the operator or the reason of each message. */
export function changesSql(changes: readonly Change[], nowMs: number): string {
  const { record, ...move } = changes[0] as Change;
  const ids = changes.map((change) => change.record.id);
  // It is still to be sent, and keeps the room for what its settlement writes.
  if (move.from === "scheduled" && move.to === "queued") return moveSql(move, record.attempt, ids, nowMs);
  const set = (column: string, valueOf: (change: Change) => string | null, otherwise: string) => {
    const values = changes.map((c) => [`_ascii'${c.record.id}'`, ascii(valueOf(c)) ?? otherwise] as const);
    return `${column}=${byKey("id", values, otherwise)}`;
  };
  // What can't be submitted again needs its code no more.
  const isSealed = move.to !== "queued" && changes.some((change) => change.record.sealedCode !== undefined);
  const takenAts = changes.map((c) => [`_ascii'${c.record.id}'`, takenAt(c) ?? "taken_at"] as const);
  const isNoted = takenAts.some(([, value]) => value !== "taken_at");
  const taken = isNoted ? `taken_at=${byKey("id", takenAts, "taken_at")},` : "";
  return (
    `UPDATE ${MESSAGES} SET ${set("operator", (c) => c.operator, "operator")},` +
    `${set("operator_message_id", firstId, "operator_message_id")},` +
    `${set("last_error", lastError, "NULL")},settle_room='',${taken}${isSealed ? "sealed_code=NULL," : ""}` +
    `${arrivalSql(move, record.attempt, nowMs)} ` +
    guardSql(move, record.attempt, ids)
  );
}

type Reason = Pick<Change, "operator" | "operatorMessageIds" | "reason" | "refusals" | "claimedAtMs"> &
  Partial<Pick<Change, "takenAtMs">>;

/** The event of a message's move to `to`. */
export function statusRow(
  record: LaneRecord,
  { to, attempt, atMs }: { to: StatusRow["status"]; attempt: number; atMs: number },
  by: Reason | null = null,
): StatusRow {
  const row: StatusRow = {
    id: record.id,
    customerId: record.customerId,
    phone: record.phone,
    lane: record.lane,
    status: to,
    parts: record.parts,
    cost: record.cost,
    reference: record.reference,
    operator: by?.operator ?? null,
    operatorMessageId: by === null ? null : firstId(by),
    attempt,
    sequence: sequenceOf(attempt, to),
    createdAtMs: record.createdAtMs,
    updatedAtMs: atMs,
  };
  if (by !== null && (by.reason !== null || by.refusals !== undefined)) {
    const refusals = (by.refusals ?? []).map((one) => ({ ...one, error: cut(one.error, REFUSAL_CHARS_MAX) }));
    row.why = { error: lastError(by), refusals };
  }
  if (by?.claimedAtMs !== undefined) row.passed = passedOf(record, by.claimedAtMs, by.takenAtMs);
  if (record.unreserved === true) row.unreserved = true;
  return row;
}

function passedOf({ relayedAtMs }: LaneRecord, claimedAtMs: number, takenAtMs: Reason["takenAtMs"]): Passed {
  const passed: Passed = { claimedAtMs };
  if (relayedAtMs !== undefined) passed.relayedAtMs = relayedAtMs;
  if (typeof takenAtMs === "number") passed.takenAtMs = takenAtMs;
  return passed;
}

function arrivalSql(move: Move, attempt: number, nowMs: number): string {
  assert(canMove(move.from, move.to), `${move.from} never becomes ${move.to}`);
  const next = attemptAfter(move, attempt);
  const raised = next === attempt ? "" : `attempt=${next},`;
  return `status='${move.to}',${raised}sequence=${sequenceOf(next, move.to)},updated_at=${dateTime(nowMs)}`;
}

const guardSql = ({ from }: Move, attempt: number, ids: readonly string[]): string =>
  `WHERE id IN ('${ids.join("','")}') AND status='${from}' AND attempt=${attempt}`;

/** What decides whether an express message was late; null if it isn't express, or nobody took it by this. */
const takenAt = ({ record, takenAtMs }: Change): string | null =>
  record.guaranteedByMs === null || takenAtMs === null ? null : dateTime(takenAtMs);

const firstId = ({ operatorMessageIds }: Pick<Change, "operatorMessageIds">): string | null =>
  operatorMessageIds[0] || null;

/** What is stored in messages.last_error. */
export const lastError = ({ reason }: Pick<Change, "reason">): string | null =>
  reason === null ? null : cut(reason, REASON_CHARS_MAX);

const cut = (text: string, chars: number): string => text.replace(NOT_PRINTABLE, "?").slice(0, chars);

const ascii = (value: string | null): string | null => (value === null ? null : `_ascii${quote(value)}`);
