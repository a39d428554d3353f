// Changes of message status with everything that goes along: entry, wallet, event, retry row, claim. Owns the
// only SQL that ends a message. Locks in one order: claim, messages by id, wallets by customer_id. The common
// case is two round trips: every statement, checked by the number of rows it changed, then COMMIT; any
// surprise rolls back and reads the rows under lock.
// Invariants: a message leaves `sending` or `unknown` once, whoever gets there first; a retry's outbox row, a
// refund and the status that caused it commit together. Bound: CLAIM_ROWS_MAX changes a transaction.

import assert from "node:assert/strict";
import { CLAIM_ROWS_MAX, TRANSACTION_ATTEMPTS_MAX, UNKNOWN_TTL_MS } from "../core/limits.ts";
import { canMove, lateSequence, outcomeSequence, type Lane, type Status } from "../core/message.ts";
import { type LaneRecord, type LedgerRow, packLaneRow, type StatusRow } from "../core/record.ts";
import { type Connection, errorNumber, isRetryable, type Pool, type WriteResult } from "../platform/mysql.ts";
import { sleep } from "../platform/retry.ts";
import { entriesSql, eventsSql } from "./posting.ts";
import { dateTime, quote, rows } from "./sql-text.ts";

export type Change = {
  record: LaneRecord;
  from: Status;
  to: Status;
  money: "capture" | "refund" | null;
  operator: string | null;
  operatorMessageId: string | null;
  /** Kept in messages.last_error: printable ASCII, cut at 100 characters. */
  reason: string | null;
};

export type Settlement = {
  claimId: string;
  lane: Lane;
  changes: Change[];
  /** Messages of the claim whose outcome is still to come; none: the claim ends. */
  idsLeft: readonly string[];
  nowMs: number;
  /** When those that go back to `queued` are due, by the attempt that failed (0-based). */
  retryDelayMs: (attempt: number) => number;
};
export type SettleDeps = { pool: Pool; id: () => string };
/**
 * Changes as they were stored. Fewer than asked for when the claim had expired or the same was stored before.
 */
export type Settled = { changes: Change[]; late: boolean };

const REASON_CHARS_MAX = 100;
const NOT_PRINTABLE = /[^\x20-\x7e]/g;
// The database refuses a second close of a message (1062), or a wallet below zero (3819): it was settled
// before.
const REFUSED_BY_KEYS = new Set([1062, 3819]);

/** One transaction. Safe to repeat after a lost connection: what was stored before is left alone. */
export function settleClaim({ pool, id }: SettleDeps, settlement: Settlement): Promise<Settled> {
  assert(settlement.changes.length <= CLAIM_ROWS_MAX, "a settlement is at most one claim");
  const { claimId, changes } = settlement;
  changes.sort(byId);
  return repeated(pool, async (conn) => {
    const lock = `SELECT claim_id FROM claims WHERE claim_id='${claimId}' FOR UPDATE`;
    const ended = { ...settlement, id };
    const sql = `BEGIN;${lock};${changesSql(changes, ended)};${claimSql(settlement)}`;
    const results = await conn.query<unknown[]>(sql).catch((error: unknown) => {
      if (!REFUSED_BY_KEYS.has(errorNumber(error) ?? 0)) throw error;
      return null;
    });
    const held = results !== null && (results[1] as unknown[]).length === 1;
    if (held && isComplete(results.slice(2), changes)) {
      await conn.query("COMMIT");
      return { changes, late: false };
    }
    await conn.query("ROLLBACK");
    return settleRead(conn, lock, ended);
  });
}

async function settleRead(
  conn: Connection,
  lock: string,
  settlement: Settlement & { id: () => string },
): Promise<Settled> {
  const [, claim] = await conn.query<[unknown, unknown[]]>(`BEGIN;${lock}`);
  const present = await lockMessages(
    conn,
    settlement.changes.map((c) => c.record.id),
  );
  const changes = settlement.changes.flatMap((change) => {
    const row = present.get(change.record.id);
    if (row === undefined || row.attempt !== change.record.attempt) return [];
    if (row.status === change.from) return [change];
    const late = row.status === "unknown" ? asLate(change) : null;
    return late === null ? [] : [late];
  });
  if (changes.length > 0) await apply(conn, changes, settlement);
  if (claim.length === 1) await conn.query(claimSql(settlement));
  await conn.query("COMMIT");
  return { changes, late: claim.length === 0 };
}

/**
 * An outcome that comes after its claim expired counts as a report on an `unknown` message: taken is
 * captured; not taken by anyone is certain too, and ends it, because `unknown` never goes back to `queued`.
 * "Unknown" adds nothing.
 */
export function asLate(change: Change): Change | null {
  if (change.to === "unknown") return null;
  const from = "unknown" as const;
  return change.to === "queued" ? { ...change, from, to: "failed", money: "refund" } : { ...change, from };
}

/** Messages that can't go on, inside the caller's transaction: those still queued are failed and refunded. */
export async function failQueued(
  conn: Connection,
  ids: readonly string[],
  reason: string,
  nowMs: number,
): Promise<Change[]> {
  const records = ids.length === 0 ? [] : await lockRecords(conn, ids, "queued");
  const changes = records.map((record): Change => ({ ...ended(record, reason), from: "queued" }));
  if (changes.length > 0) await apply(conn, changes, { nowMs, retryDelayMs: () => 0, id: () => "" });
  return changes;
}

const ended = (record: LaneRecord, reason: string): Change => ({
  record,
  from: "unknown",
  to: "failed",
  money: "refund",
  operator: null,
  operatorMessageId: null,
  reason,
});

type ReapedClaim = { claim_id: string; kind: "sending" | "unknown"; lane: Lane; ids: string };

/**
 * Ends one claim that expired by MySQL's clock: what is still `sending` becomes `unknown` under a new claim;
 * what is still `unknown` at its limit is failed and refunded. Returns what changed, null when no claim is
 * due. Call again until null.
 */
export function reapClaim({ pool, id }: SettleDeps, nowMs: number): Promise<Change[] | null> {
  return repeated(pool, async (conn) => {
    const [, claims] = await conn.query<[unknown, ReapedClaim[]]>(
      "BEGIN;SELECT claim_id, kind, lane, ids FROM claims WHERE expires_at < NOW(3) " +
        "ORDER BY expires_at LIMIT 1 " +
        "FOR UPDATE SKIP LOCKED",
    );
    const [claim] = claims;
    if (claim === undefined) {
      await conn.query("ROLLBACK");
      return null;
    }
    const records = await lockRecords(conn, claim.ids.split(","), claim.kind);
    const changes = records.map(
      (record): Change =>
        claim.kind === "unknown"
          ? ended(record, "no answer within the time limit")
          : { ...ended(record, "the sender was lost"), from: "sending", to: "unknown", money: null },
    );
    changes.sort(byId);
    if (changes.length > 0) await apply(conn, changes, { nowMs, retryDelayMs: () => 0, id });
    await conn.query(`DELETE FROM claims WHERE claim_id='${claim.claim_id}'`);
    await conn.query("COMMIT");
    return changes;
  });
}

type MessageKey = { id: string; status: Status; attempt: number };

async function lockMessages(conn: Connection, ids: readonly string[]): Promise<Map<string, MessageKey>> {
  const found = await conn.query<MessageKey[]>(
    `SELECT id, status, attempt FROM messages WHERE id IN ('${ids.join("','")}') ORDER BY id FOR UPDATE`,
  );
  return new Map(found.map((row) => [row.id, row]));
}

type MessageRow = Omit<
  LaneRecord,
  "customerId" | "from" | "createdAtMs" | "guaranteedByMs" | "traceparent"
> & {
  customer_id: number;
  sender: string | null;
  created_at: Date;
  guaranteed_by: Date | null;
};

async function lockRecords(conn: Connection, ids: readonly string[], status: Status): Promise<LaneRecord[]> {
  const found = await conn.query<MessageRow[]>(
    "SELECT id, customer_id, lane, phone, text, sender, reference, encoding, parts, cost, attempt, " +
      "created_at, guaranteed_by " +
      `FROM messages WHERE id IN ('${ids.join("','")}') AND status='${status}' ORDER BY id FOR UPDATE`,
  );
  return found.map(({ customer_id, sender, created_at, guaranteed_by, ...row }) => ({
    ...row,
    customerId: customer_id,
    from: sender,
    createdAtMs: created_at.getTime(),
    guaranteedByMs: guaranteed_by?.getTime() ?? null,
    traceparent: "",
  }));
}

type Context = { nowMs: number; retryDelayMs: (attempt: number) => number; id: () => string };

async function apply(conn: Connection, changes: Change[], context: Context): Promise<void> {
  const results = await conn.query<unknown>(`${changesSql(changes, context)};DO 0`);
  assert(isComplete(results as unknown[], changes), "rows under lock change as they were read");
}

// Statement order is what isComplete relies on: messages by group, then wallets (when money moves).
function changesSql(changes: readonly Change[], { nowMs, retryDelayMs, id }: Context): string {
  const entries: LedgerRow[] = [];
  const wallets = new Map<number, { reserved: number; balance: number }>();
  const statuses: StatusRow[] = [];
  for (const change of changes) {
    assert(canMove(change.from, change.to), `${change.from} never becomes ${change.to}`);
    statuses.push(statusRow(change, nowMs));
    if (change.money === null) continue;
    const { id: entryId, customerId, cost } = change.record;
    entries.push({ entryId, leg: "close", op: change.money, customerId, amount: cost, createdAtMs: nowMs });
    let wallet = wallets.get(customerId);
    if (wallet === undefined) wallets.set(customerId, (wallet = { reserved: 0, balance: 0 }));
    wallet.reserved += cost;
    if (change.money === "refund") wallet.balance += cost;
  }
  const retries = changes
    .filter((c) => c.to === "queued")
    .map((c) => ({ ...c.record, attempt: c.record.attempt + 1 }));
  const unknown = changes.filter((c) => c.to === "unknown");
  const statements = [...groupsOf(changes).values()].map((group) => messagesSql(group, nowMs));
  if (entries.length > 0) statements.push(walletsSql(wallets), entriesSql(entries));
  statements.push(eventsSql(statuses, entries));
  for (const [attempt, of] of Map.groupBy(retries, (r) => r.attempt))
    statements.push(retrySql(of, retryDelayMs(attempt - 1)));
  if (unknown.length > 0) statements.push(unknownSql(unknown, id()));
  return statements.join(";");
}

function isComplete(results: readonly unknown[], changes: readonly Change[]): boolean {
  const groups = [...groupsOf(changes).values()];
  const customers = new Set(changes.filter((c) => c.money !== null).map((c) => c.record.customerId)).size;
  const changed = (index: number): number => (results[index] as WriteResult).affectedRows;
  return (
    groups.every((group, index) => changed(index) === group.length) &&
    (customers === 0 || changed(groups.length) === customers)
  );
}

// Messages that change in the same way share a statement, with what is equal as constants: half the cost of a
// statement that carries all columns for each row.
function groupsOf(changes: readonly Change[]): Map<string, Change[]> {
  return Map.groupBy(changes, (c) => `${c.from} ${c.to} ${c.record.attempt}`);
}

function statusRow(change: Change, nowMs: number): StatusRow {
  const { record } = change;
  return {
    id: record.id,
    customerId: record.customerId,
    phone: record.phone,
    lane: record.lane,
    status: change.to,
    parts: record.parts,
    cost: record.cost,
    reference: record.reference,
    operator: change.operator,
    operatorMessageId: change.operatorMessageId,
    attempt: nextAttempt(change),
    sequence: nextSequence(change),
    createdAtMs: record.createdAtMs,
    updatedAtMs: nowMs,
  };
}

const nextAttempt = (change: Change): number => change.record.attempt + (change.to === "queued" ? 1 : 0);
const nextSequence = (change: Change): number =>
  change.from === "unknown" ? lateSequence(change.record.attempt) : outcomeSequence(change.record.attempt);

// `_ascii` keeps the join on the primary key: a utf8mb4 value would convert the column instead.
function messagesSql(group: readonly Change[], nowMs: number): string {
  const first = group[0] as Change;
  const values = group.map((c) => [
    `_ascii'${c.record.id}'`,
    ascii(c.operator),
    ascii(c.operatorMessageId),
    ascii(c.reason?.replace(NOT_PRINTABLE, "?").slice(0, REASON_CHARS_MAX) ?? null),
  ]);
  return (
    `UPDATE (VALUES ${rows(values)}) AS v (i,o,oi,e) STRAIGHT_JOIN messages m ON m.id=v.i ` +
    `SET m.status='${first.to}',m.attempt=${nextAttempt(first)},m.sequence=${nextSequence(first)},` +
    "m.operator=COALESCE(v.o,m.operator),m.operator_message_id=COALESCE(v.oi,m.operator_message_id)," +
    `m.last_error=v.e,m.updated_at=${dateTime(nowMs)} ` +
    `WHERE m.status='${first.from}' AND m.attempt=${first.record.attempt}`
  );
}

const ascii = (value: string | null): string => (value === null ? "NULL" : `_ascii${quote(value)}`);

function walletsSql(wallets: ReadonlyMap<number, { reserved: number; balance: number }>): string {
  const values = [...wallets]
    .sort(([a], [b]) => a - b)
    .map(([customerId, w]) => [customerId, w.reserved, w.balance]);
  return (
    `UPDATE (VALUES ${rows(values)}) AS v (c,r,b) STRAIGHT_JOIN wallet_accounts w ON w.customer_id=v.c ` +
    "SET w.reserved=w.reserved-v.r,w.balance=w.balance+v.b"
  );
}

function retrySql(records: LaneRecord[], delayMs: number): string {
  const payload = packLaneRow(records).toString("hex");
  const runAt = `NOW(3) + INTERVAL ${Math.round(delayMs) * 1000} MICROSECOND`;
  return `INSERT INTO outbox (lane,run_at,payload) VALUES ('${records[0]?.lane}',${runAt},x'${payload}')`;
}

function unknownSql(changes: readonly Change[], claimId: string): string {
  const ids = changes.map((c) => c.record.id).join(",");
  return (
    "INSERT INTO claims (claim_id,kind,lane,expires_at,ids) VALUES " +
    `('${claimId}','unknown','${changes[0]?.record.lane}',NOW(3) + INTERVAL ${UNKNOWN_TTL_MS * 1000} ` +
    `MICROSECOND,'${ids}')`
  );
}

// What was settled leaves the claim, so that its end can't touch a later attempt of the same message.
function claimSql({ claimId, idsLeft }: Settlement): string {
  return idsLeft.length === 0
    ? `DELETE FROM claims WHERE claim_id='${claimId}'`
    : `UPDATE claims SET ids='${idsLeft.join(",")}' WHERE claim_id='${claimId}'`;
}

/**
 * Like Pool.transaction, for bodies that send BEGIN along with their first statements and COMMIT themselves.
 */
export async function repeated<T>(pool: Pool, body: (conn: Connection) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await pool.use(body);
    } catch (error) {
      if (!isRetryable(error) || attempt >= TRANSACTION_ATTEMPTS_MAX) throw error;
      await sleep(attempt * 5 * Math.random());
    }
  }
}

function byId(a: Change, b: Change): number {
  return a.record.id < b.record.id ? -1 : 1;
}
