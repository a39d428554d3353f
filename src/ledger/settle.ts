// Settles messages: changes their status together with entry, wallet, event, retry row and claim. Owns the
// only SQL that ends a message; settle-plan.ts decides what is written. Locks in one order: claim, messages
// by id, wallets by customer_id. The common case takes two round trips: every statement, checked by the
// number of rows it changed, then COMMIT. After any surprise it rolls back and reads the rows under lock.
// Invariants: a message leaves `sending` or `unknown` once, whoever settles it first; a retry's outbox row, a
// refund and the status that caused it commit together. Bound: CLAIM_ROWS_MAX changes a transaction.

import assert from "node:assert/strict";
import { CLAIM_ROWS_MAX, UNKNOWN_TTL_MS } from "../core/limits.ts";
import type { Lane, Status } from "../core/message.ts";
import { type LaneRecord, packLaneRow } from "../core/lane-record.ts";
import { isError } from "../platform/mysql-errors.ts";
import { type Connection, type Pool, withRetries, type WriteResult } from "../platform/mysql.ts";
import { type Change, changesSql } from "./move.ts";
import { entriesSql, eventsSql, walletsSql } from "./posting.ts";
import { submissionsSql } from "./submissions.ts";
import { lostSubmitsSql } from "./unsure.ts";
import { webhookEventsSql } from "./webhook-events.ts";
import {
  changeTo,
  expiredChange,
  applicableChanges,
  type MessageKey,
  type Plan,
  planOf,
  reportedChanges,
} from "./settle-plan.ts";

export type Settlement = {
  claimId: string;
  lane: Lane;
  changes: Change[];
  /** Messages of the claim whose outcome is still to come; if there are none, the claim ends. */
  idsLeft: readonly string[];
  nowMs: number;
};
export type SettleDeps = { pool: Pool; id: () => string };
/**
 * The changes that were stored, without those that had been settled before. `late`: the claim was gone.
 */
export type Settled = { changes: Change[]; late: boolean };

/** Settles in one transaction. May be repeated after a lost connection: it skips what was stored before. */
export function settleClaim({ pool, id }: SettleDeps, settlement: Settlement): Promise<Settled> {
  assert(settlement.changes.length <= CLAIM_ROWS_MAX, "a settlement is at most one claim");
  const { changes, nowMs } = settlement;
  changes.sort(byId);
  const plan = planOf(changes, nowMs);
  return withRetries(pool, async (conn) => {
    const context = { ...settlement, id };
    const sql = `BEGIN;${claimSql(settlement)};${planSql(plan, context)}`;
    const results = await conn.query<unknown[]>(sql).catch((error: unknown) => {
      // A second close of a message, or a wallet below zero: it had been settled before.
      if (!isError(error, "duplicate", "checkViolated")) throw error;
      return null;
    });
    const held = results !== null && (results[1] as WriteResult).affectedRows === 1;
    if (held && isComplete(results.slice(2), plan)) {
      await conn.query("COMMIT");
      return { changes, late: false };
    }
    await conn.query("ROLLBACK");
    return settleRead(conn, context);
  });
}

async function settleRead(conn: Connection, settlement: Settlement & { id: () => string }): Promise<Settled> {
  const [, claim] = await conn.query<[unknown, unknown[]]>(
    `BEGIN;SELECT claim_id FROM claims WHERE claim_id='${settlement.claimId}' FOR UPDATE`,
  );
  const present = await lockMessages(
    conn,
    settlement.changes.map((c) => c.record.id),
  );
  const changes = applicableChanges(settlement.changes, present);
  if (changes.length > 0) await apply(conn, changes, settlement);
  if (claim.length === 1) await conn.query(claimSql(settlement));
  await conn.query("COMMIT");
  return { changes, late: claim.length === 0 };
}

/**
 * Applies what operators reported outside of a claim: settles messages that are `unknown`. `early`: ids of
 * messages still being sent; all others stay as they are.
 */
export function settleReports(
  { pool, id }: SettleDeps,
  changes: readonly Change[],
  nowMs: number,
): Promise<{ settled: Change[]; early: Set<string> }> {
  assert(changes.length <= CLAIM_ROWS_MAX, "reports are settled some at a time");
  return withRetries(pool, async (conn) => {
    await conn.query("BEGIN");
    const present = await lockMessages(
      conn,
      changes.map((c) => c.record.id),
    );
    const [settled, early] = reportedChanges(changes, present);
    if (settled.length > 0) await apply(conn, settled, { nowMs, id });
    await conn.query("COMMIT");
    return { settled, early };
  });
}

/**
 * Ends or requeues messages that are still queued, within the caller's transaction: `changeOf` decides for
 * each. Returns the changes made.
 */
export async function changeQueued(
  conn: Connection,
  ids: readonly string[],
  changeOf: (record: LaneRecord) => Change | null,
  nowMs: number,
): Promise<Change[]> {
  const records = ids.length === 0 ? [] : await lockRecords(conn, ids, "queued");
  const changes = records.map(changeOf).filter((change) => change !== null);
  if (changes.length > 0) await apply(conn, changes, { nowMs, id: () => "" });
  return changes;
}

/**
 * Fails those messages, whose record can never be produced, that are still queued, and refunds what they
 * cost.
 */
export const failQueued = (
  conn: Connection,
  ids: readonly string[],
  reason: string,
  nowMs: number,
): Promise<Change[]> =>
  changeQueued(conn, ids, (record) => changeTo("failed", record, "queued", reason), nowMs);

type ReapedClaim = { claim_id: string; kind: "sending" | "unknown"; lane: Lane; ids: string };

/**
 * Ends one claim that has expired by MySQL's clock: messages still `sending` become `unknown` under a new
 * claim; messages still `unknown` at their limit are failed and refunded. Returns the changes, null when no
 * claim is due; call it again until then.
 */
export function reapClaim({ pool, id }: SettleDeps, nowMs: number): Promise<Change[] | null> {
  return withRetries(pool, async (conn) => {
    const [, claims] = await conn.query<[unknown, ReapedClaim[]]>(
      "BEGIN;SELECT claim_id, kind, lane, ids FROM claims FORCE INDEX (by_expiry) " +
        "WHERE expires_at < NOW(3) ORDER BY expires_at LIMIT 1 " +
        "FOR UPDATE SKIP LOCKED",
    );
    const [claim] = claims;
    if (claim === undefined) {
      await conn.query("ROLLBACK");
      return null;
    }
    const rows = await lockRows(conn, claim.ids.split(","));
    const changes = rows
      .filter(({ status }) => status === claim.kind)
      .map(({ record, operator }) => expiredChange(record, claim.kind, operator));
    changes.sort(byId);
    if (changes.length > 0) await apply(conn, changes, { nowMs, id });
    await conn.query(`DELETE FROM claims WHERE claim_id='${claim.claim_id}'`);
    await conn.query("COMMIT");
    return changes;
  });
}

async function lockMessages(conn: Connection, ids: readonly string[]): Promise<Map<string, MessageKey>> {
  const found = await conn.query<MessageKey[]>(
    "SELECT id, status, attempt FROM messages FORCE INDEX (PRIMARY) " +
      `WHERE id IN ('${ids.join("','")}') ORDER BY id FOR UPDATE`,
  );
  return new Map(found.map((row) => [row.id, row]));
}

type MessageRow = Omit<
  LaneRecord,
  | "customerId"
  | "from"
  | "createdAtMs"
  | "guaranteedByMs"
  | "validUntilMs"
  | "traceparent"
  | "callback"
  | "mayResend"
  | "sendAtMs"
  | "sealedCode"
  | "unreserved"
> & {
  customer_id: number;
  sender: string | null;
  created_at: Date;
  guaranteed_by: Date | null;
  valid_until: Date | null;
  send_at: Date | null;
  callback_statuses: number | null;
  callback_url: string | null;
  callback_form: string | null;
  sealed_code: string | null;
  unreserved: 0 | 1;
};

/** Locks those of these messages that are at this status, within the caller's transaction. */
export async function lockRecords(
  conn: Connection,
  ids: readonly string[],
  status: Status,
): Promise<LaneRecord[]> {
  const found = await conn.query<MessageRow[]>(
    `SELECT ${RECORD} FROM messages FORCE INDEX (PRIMARY) ` +
      `WHERE id IN ('${ids.join("','")}') AND status='${status}' ORDER BY id FOR UPDATE`,
  );
  return found.map(recordOf);
}

type SubmittedRow = MessageRow & {
  status: Status;
  operator: string | null;
  operator_message_id: string | null;
  updated_at: Date;
};
export type LockedMessage = {
  record: LaneRecord;
  status: Status;
  operator: string | null;
  operatorMessageId: string | null;
  updatedAtMs: number;
};

/** Locks messages, whatever their status, within the caller's transaction. */
export async function lockRows(conn: Connection, ids: readonly string[]): Promise<LockedMessage[]> {
  const found = await conn.query<SubmittedRow[]>(
    `SELECT ${RECORD}, status, operator, operator_message_id, updated_at ` +
      `FROM messages FORCE INDEX (PRIMARY) WHERE id IN ('${ids.join("','")}') ORDER BY id FOR UPDATE`,
  );
  return found.map(({ status, operator, operator_message_id, updated_at, ...row }) => ({
    record: recordOf(row),
    status,
    operator,
    operatorMessageId: operator_message_id,
    updatedAtMs: updated_at.getTime(),
  }));
}

const RECORD =
  "id, customer_id, lane, phone, text, sender, reference, encoding, parts, cost, attempt, created_at, " +
  "guaranteed_by, valid_until, send_at, callback_statuses, callback_url, callback_form, sealed_code, " +
  "unreserved";

function recordOf(found: MessageRow): LaneRecord {
  const { customer_id, sender, created_at, guaranteed_by, valid_until, ...more } = found;
  const { send_at, callback_statuses, callback_url, callback_form, sealed_code, unreserved, ...row } = more;
  const record: LaneRecord = {
    ...row,
    customerId: customer_id,
    from: sender,
    createdAtMs: created_at.getTime(),
    guaranteedByMs: guaranteed_by?.getTime() ?? null,
    validUntilMs: valid_until?.getTime() ?? null,
    traceparent: "",
    ...(callback_statuses === null ? {} : { callback: { statuses: callback_statuses, url: callback_url } }),
  };
  if (record.callback !== undefined && callback_form !== null) record.callback.form = callback_form;
  if (send_at !== null) record.sendAtMs = send_at.getTime();
  if (sealed_code !== null) record.sealedCode = sealed_code;
  if (unreserved === 1) record.unreserved = true;
  return record;
}

type Context = { nowMs: number; id: () => string };

/** Writes changes of rows that the caller has locked, within its transaction. */
export async function apply(conn: Connection, changes: Change[], context: Context): Promise<void> {
  const plan = planOf(changes, context.nowMs);
  const results = await conn.query<unknown>(`${planSql(plan, context)};DO 0`);
  assert(isComplete(results as unknown[], plan), "rows under lock change as they were read");
}

// isComplete relies on the order of statements: messages by group, then wallets (when money moves).
function planSql(plan: Plan, { nowMs, id }: Context): string {
  const statements = plan.groups.map((group) => changesSql(group, nowMs));
  if (plan.entries.length > 0) statements.push(walletsSql(plan.wallets), entriesSql(plan.entries));
  statements.push(eventsSql(plan.statuses, plan.entries));
  for (const [inMs, of] of Map.groupBy(plan.queued, (each) => each.inMs))
    statements.push(
      queueSql(
        of.map(({ record }) => record),
        inMs,
      ),
    );
  if (plan.unknown.length > 0) statements.push(unknownSql(plan.unknown, id()));
  const told = webhookEventsSql(plan.told);
  if (told !== null) statements.push(told);
  const changes = plan.groups.flat();
  const submits = [submissionsSql(changes), lostSubmitsSql(changes)];
  statements.push(...submits.filter((sql) => sql !== null));
  return statements.join(";");
}

function isComplete(results: readonly unknown[], { groups, wallets }: Plan): boolean {
  const changed = (index: number): number => (results[index] as WriteResult).affectedRows;
  return (
    groups.every((group, index) => changed(index) === group.length) &&
    (wallets.length === 0 || changed(groups.length) === wallets.length)
  );
}

function queueSql(records: LaneRecord[], delayMs: number): string {
  const payload = packLaneRow(records).toString("hex");
  const runAt = `NOW(3) + INTERVAL ${Math.round(delayMs) * 1000} MICROSECOND`;
  return `INSERT INTO outbox (lane,run_at,payload) VALUES ('${records[0]?.lane}',${runAt},x'${payload}')`;
}

function unknownSql(records: readonly LaneRecord[], claimId: string): string {
  const ids = records.map((r) => r.id).join(",");
  return (
    "INSERT INTO claims (claim_id,kind,lane,expires_at,ids) VALUES " +
    `('${claimId}','unknown','${records[0]?.lane}',NOW(3) + INTERVAL ${UNKNOWN_TTL_MS * 1000} ` +
    `MICROSECOND,'${ids}')`
  );
}

// Settled messages leave the claim, so that its end can't affect a later attempt of them.
function claimSql({ claimId, idsLeft }: Settlement): string {
  return idsLeft.length === 0
    ? `DELETE FROM claims WHERE claim_id='${claimId}'`
    : `UPDATE claims SET ids='${idsLeft.join(",")}' WHERE claim_id='${claimId}'`;
}

function byId(a: Change, b: Change): number {
  return a.record.id < b.record.id ? -1 : 1;
}
