// Events for the reports: status changes and ledger entries. An outbox row of the events lane holds them as
// tuples; Kafka and ClickHouse get them as lines of JSONEachRow. Invariant: unpackEvents returns exactly what
// packEvents wrote and throws RecordError for anything else. Bound: the lines of one row stay within
// EVENT_RECORD_BYTES_MAX, whatever customers put into their fields (limits.ts asserts it).

import { type Entry, OPS } from "./ledger.ts";
import { isLane, isStatus, type Lane, type Status } from "./message.ts";
import { isCount, isText, pack, RecordError, shown, unpack, VERSION } from "./packed.ts";

/** An operator that was asked and did not take the message. */
export type Refusal = { operator: string; error: string; atMs: number };
/** Why a change was made: its message's `last_error`, and who refused it at this attempt before that. */
export type Why = { error: string | null; refusals: readonly Refusal[] };
/** What happened to a message on its way to a change, in Unix ms; absent where nobody knows it. */
export type Passed = {
  /** When the relay gave it to Kafka. */
  relayedAtMs?: number;
  claimedAtMs?: number;
  /** When the operator that took it said so. */
  takenAtMs?: number;
};

/** One status change, a row of `messages_log`. */
export type StatusRow = {
  id: string;
  customerId: number;
  phone: string;
  lane: Lane;
  status: Status;
  parts: number;
  cost: number;
  reference: string | null;
  operator: string | null;
  operatorMessageId: string | null;
  attempt: number;
  sequence: number;
  createdAtMs: number;
  updatedAtMs: number;
  /** Absent where nothing went wrong, as for a message that its first operator took. */
  why?: Why;
  /** Absent if it was not on its way to an operator. */
  passed?: Passed;
};

/** Newline-separated JSONEachRow; '' when there are none. */
export type Events = { status: string; ledger: string };

/**
 * Packs one outbox row of the events lane. Tuples take a quarter of the bytes of JSON, and MySQL writes them
 * three times (page, redo log, binlog); the relay can build the lines later, where nobody waits for them.
 */
export function packEvents(statuses: readonly StatusRow[], entries: readonly Entry[]): Buffer {
  return pack([VERSION, statuses.map(toStatusTuple), entries.map(toLedgerTuple)]);
}

/**
 * The events of a row as lines. Each part fits one Kafka record, because limits.ts keeps rows per transaction
 * × longest line under the bound. @throws RecordError
 */
export function unpackEvents(buf: Uint8Array): Events {
  const [statuses, entries] = eventTuples(buf);
  let status = "";
  for (const tuple of statuses) status += `${statusLine(fromStatusTuple(tuple))}\n`;
  let ledger = "";
  for (const tuple of entries) ledger += `${ledgerLine(fromLedgerTuple(tuple))}\n`;
  return { status, ledger };
}

/**
 * When the events of a row happened, as Unix milliseconds, in no order: shows how old the oldest one is.
 * @throws RecordError
 */
export function unpackEventTimes(buf: Uint8Array): number[] {
  const [statuses, entries] = eventTuples(buf);
  const statusTimes = statuses.map((tuple) => fromStatusTuple(tuple).updatedAtMs);
  return [...statusTimes, ...entries.map((tuple) => fromLedgerTuple(tuple).createdAtMs)];
}

/**
 * A line of `messages_log`, without the newline. Concatenation takes about a third of JSON.stringify's time,
 * and this runs twice a message. Only fields whose values come from outside are escaped; our own contain
 * nothing to escape.
 */
export function statusLine(row: StatusRow): string {
  const reference = row.reference === null ? '""' : JSON.stringify(row.reference);
  const operatorMessageId = row.operatorMessageId === null ? '""' : JSON.stringify(row.operatorMessageId);
  return (
    `{"event_id":"${row.id}:${row.sequence}","id":"${row.id}","customer_id":${row.customerId},` +
    `"phone":"${row.phone}","type":"${row.lane}","status":"${row.status}","parts":${row.parts},` +
    `"cost":${row.cost},"reference":${reference},"operator":"${row.operator ?? ""}",` +
    `"operator_message_id":${operatorMessageId},"attempt":${row.attempt},"sequence":${row.sequence},` +
    `"created_at_ms":${row.createdAtMs},"updated_at_ms":${row.updatedAtMs}` +
    `${row.why === undefined ? "" : whyFields(row.why)}` +
    `${row.passed === undefined ? "" : passedFields(row.passed, row.updatedAtMs)}}`
  );
}

function whyFields({ error, refusals }: Why): string {
  const lastError = error === null ? "" : `,"last_error":${JSON.stringify(error)}`;
  if (refusals.length === 0) return lastError;
  const list = (of: (refusal: Refusal) => string | number) => JSON.stringify(refusals.map(of));
  return (
    `${lastError},"refused_by":${list((r) => r.operator)},"refused_why":${list((r) => r.error)},` +
    `"refused_at_ms":${list((r) => r.atMs)}`
  );
}

/** As how long before the change each was, plus one: the columns have 0 for what nobody knows. */
function passedFields({ relayedAtMs, claimedAtMs, takenAtMs }: Passed, updatedAtMs: number): string {
  const ago = (name: string, atMs: number | undefined) =>
    atMs === undefined ? "" : `,"${name}":${Math.min(PASSED_MS_MAX, Math.max(0, updatedAtMs - atMs)) + 1}`;
  return `${ago("relayed_ago", relayedAtMs)}${ago("claimed_ago", claimedAtMs)}${ago("taken_ago", takenAtMs)}`;
}

/** Of a column of 32 bits. */
const PASSED_MS_MAX = 2 ** 32 - 2;

/** A line of ClickHouse's `wallet_ledger`, without the newline. */
export function ledgerLine(row: Entry): string {
  return (
    `{"event_id":"${row.entryId}:${row.leg}","entry_id":"${row.entryId}","leg":"${row.leg}",` +
    `"op":"${row.op}",` +
    `"customer_id":${row.customerId},"amount":${row.amount},"created_at_ms":${row.createdAtMs}}`
  );
}

function eventTuples(buf: Uint8Array): [statuses: unknown[], entries: unknown[]] {
  const value = unpack(buf);
  if (!Array.isArray(value) || value.length !== 3) throw new RecordError("events must be an array of 3");
  const [version, statuses, entries] = value as unknown[];
  if (version !== VERSION) throw new RecordError(`unknown version of events: ${shown(version)}`);
  if (!Array.isArray(statuses) || !Array.isArray(entries)) throw new RecordError("events must be arrays");
  return [statuses, entries];
}

type StatusTuple = [
  id: string,
  customerId: number,
  phone: string,
  lane: Lane,
  status: Status,
  parts: number,
  cost: number,
  reference: string | null,
  operator: string | null,
  operatorMessageId: string | null,
  attempt: number,
  sequence: number,
  createdAtMs: number,
  updatedAtMs: number,
  why?: WhyTuple | null,
  passed?: PassedTuple,
];
type PassedTuple = [relayedAtMs: number | null, claimedAtMs: number | null, takenAtMs: number | null];
type WhyTuple = [error: string | null, ...refusals: [operator: string, error: string, atMs: number][]];
/** Without the last two, which may be left out. */
const STATUS_FIELDS = 14;
const STATUS_FIELDS_MAX = STATUS_FIELDS + 2;

function toStatusTuple(r: StatusRow): StatusTuple {
  const tuple: StatusTuple = [
    r.id,
    r.customerId,
    r.phone,
    r.lane,
    r.status,
    r.parts,
    r.cost,
    r.reference,
    r.operator,
    r.operatorMessageId,
    r.attempt,
    r.sequence,
    r.createdAtMs,
    r.updatedAtMs,
  ];
  if (r.why !== undefined) {
    const { error, refusals } = r.why;
    const why: WhyTuple = [error];
    for (const one of refusals) why.push([one.operator, one.error, one.atMs]);
    tuple.push(why);
  }
  if (r.passed !== undefined) {
    const { relayedAtMs, claimedAtMs, takenAtMs } = r.passed;
    if (r.why === undefined) tuple.push(null);
    tuple.push([relayedAtMs ?? null, claimedAtMs ?? null, takenAtMs ?? null]);
  }
  return tuple;
}

function fromStatusTuple(value: unknown): StatusRow {
  if (!Array.isArray(value) || value.length < STATUS_FIELDS || value.length > STATUS_FIELDS_MAX)
    throw new RecordError(`a status has ${STATUS_FIELDS} to ${STATUS_FIELDS_MAX} fields`);
  const t = value as StatusTuple;
  const sound =
    [t[0], t[2]].every(isText) &&
    [t[1], t[5], t[6], t[10], t[11], t[12], t[13]].every(isCount) &&
    isLane(t[3]) &&
    isStatus(t[4]) &&
    [t[7], t[8], t[9]].every((label) => label === null || isText(label));
  if (!sound) throw new RecordError("a field of a status has the wrong type");
  const row: StatusRow = {
    id: t[0],
    customerId: t[1],
    phone: t[2],
    lane: t[3],
    status: t[4],
    parts: t[5],
    cost: t[6],
    reference: t[7],
    operator: t[8],
    operatorMessageId: t[9],
    attempt: t[10],
    sequence: t[11],
    createdAtMs: t[12],
    updatedAtMs: t[13],
  };
  const hasPassed = value.length === STATUS_FIELDS_MAX;
  if (value.length > STATUS_FIELDS && !(hasPassed && t[14] === null)) row.why = fromWhyTuple(t[14]);
  if (hasPassed) row.passed = fromPassedTuple(t[15]);
  return row;
}

function fromWhyTuple(value: unknown): Why {
  const isRefusal = (one: unknown) =>
    Array.isArray(one) && one.length === 3 && isText(one[0]) && isText(one[1]) && isCount(one[2]);
  if (!Array.isArray(value) || !(value[0] === null || isText(value[0])) || !value.slice(1).every(isRefusal))
    throw new RecordError("why a status changed has the wrong type");
  const [error, ...refusals] = value as WhyTuple;
  return { error, refusals: refusals.map(([operator, why, atMs]) => ({ operator, error: why, atMs })) };
}

function fromPassedTuple(value: unknown): Passed {
  const isTime = (one: unknown) => one === null || isCount(one);
  if (!Array.isArray(value) || value.length !== 3 || !value.every(isTime))
    throw new RecordError("what passed before a status has the wrong type");
  const [relayedAtMs, claimedAtMs, takenAtMs] = value as PassedTuple;
  const passed: Passed = {};
  if (relayedAtMs !== null) passed.relayedAtMs = relayedAtMs;
  if (claimedAtMs !== null) passed.claimedAtMs = claimedAtMs;
  if (takenAtMs !== null) passed.takenAtMs = takenAtMs;
  return passed;
}

const LEDGER_FIELDS = 6;

// leg and op as small numbers: as strings they would be a third of the row.
function toLedgerTuple(r: Entry): [string, 0 | 1, number, number, number, number] {
  return [r.entryId, r.leg === "open" ? 0 : 1, OPS.indexOf(r.op), r.customerId, r.amount, r.createdAtMs];
}

function fromLedgerTuple(value: unknown): Entry {
  if (!Array.isArray(value) || value.length !== LEDGER_FIELDS)
    throw new RecordError(`an entry has ${LEDGER_FIELDS} fields`);
  const [entryId, leg, op, customerId, amount, createdAtMs] = value as number[];
  const name = OPS[op as number];
  const sound =
    isText(entryId) &&
    (leg === 0 || leg === 1) &&
    name !== undefined &&
    isCount(customerId) &&
    isCount(amount) &&
    isCount(createdAtMs);
  if (!sound) throw new RecordError("a field of an entry has the wrong type");
  return {
    entryId,
    leg: leg === 0 ? "open" : "close",
    op: name,
    customerId,
    amount,
    createdAtMs,
  } as Entry;
}
