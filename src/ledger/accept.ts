// The group commit's transaction: messages, their reserve entries, one outbox row per lane (and a held row,
// see held.ts, for each customer and link that has held rows already), one events row, one-time codes, and
// what each lease spent. A message that is to be sent later has a row of its schedule instead (schedule.ts),
// and one that nothing is reserved for has a row that says so (unreserved.ts) instead of its entry.
// It takes two round trips: all statements, whose results are checked, then COMMIT. Leases come last, so that
// their row locks, which every batch of the same customers needs, are held only for one update and the
// commit, not for the inserts.
// Invariant: a lease that was taken back has no row to update, so its late owner can't commit. Bound:
// COMMIT_ROWS_MAX messages, or BATCH_MESSAGES_MAX in large batches; outbox and events rows have
// COMMIT_ROWS_MAX messages each.

import type { StatusRow } from "../core/event-record.ts";
import { COMMIT_ROWS_MAX } from "../core/limits.ts";
import { type LaneRecord, packLaneRow } from "../core/lane-record.ts";
import { type Entry, entryOf } from "../core/ledger.ts";
import { chargeOf } from "../core/message.ts";
import type { ChangeEvent } from "../core/webhook-event.ts";
import { isError } from "../platform/mysql-errors.ts";
import type { Connection, Pool, WriteResult } from "../platform/mysql.ts";
import { holdSql } from "./held.ts";
import { claimKeysSql, type KeyClaim, KeyTakenError, takenKeys } from "./idempotency.ts";
import { statusRow, storeSql } from "./move.ts";
import { type NewOtp, otpsSql } from "./otps.ts";
import { entriesSql, eventsRow } from "./posting.ts";
import { scheduleSql } from "./schedule-rows.ts";
import { blob, byKey, pieces } from "./sql-text.ts";
import { keepUnreservedSql } from "./unreserved.ts";
import { webhookEventsOf, webhookEventsSql } from "./webhook-events.ts";

const ACCEPT = { from: null, to: "queued" } as const;
const SCHEDULE = { from: null, to: "scheduled" } as const;

export type Spend = { customerId: number; epoch: number; amount: number };
/** `keys`, `otps`: the idempotency keys and one-time codes that some of the records come with. */
export type CommitBatch = {
  nodeId: string;
  records: LaneRecord[];
  spends: Spend[];
  keys: KeyClaim[];
  otps?: readonly NewOtp[];
  nowMs: number;
};
export type AcceptStore = {
  /**
   * Stores the whole batch or nothing. @throws FencedError, KeyTakenError or the database's error (nothing
   * was stored); CommitInDoubtError
   */
  accept(batch: CommitBatch): Promise<void>;
  /** Whether a batch in doubt was committed; the answer is final. */
  isStored(batch: CommitBatch): Promise<boolean>;
};

/**
 * The link of a normal message that joins those which its customer's held rows of that link have already;
 * null: it goes into the outbox.
 */
export type HeldLinkOf = (record: LaneRecord) => string | null;

export const createAcceptStore = (pool: Pool, heldLinkOf: HeldLinkOf = neverHeld): AcceptStore => ({
  accept: (batch) => pool.use((conn) => acceptBatch(conn, batch, heldLinkOf)),
  isStored: ({ records: [first] }) => pool.use((conn) => isStored(conn, (first as LaneRecord).id)),
});

export const neverHeld: HeldLinkOf = () => null;

/** Nothing was stored, because these leases of the batch are gone, or never held that much. */
export class FencedError extends Error {
  override readonly name = "FencedError";
  readonly lost: Spend[];
  constructor(lost: Spend[]) {
    super(`${lost.length} leases were taken back`);
    this.lost = lost;
  }
}
/** The connection was lost during COMMIT, so the batch may or may not be stored. Ask `isStored`. */
export class CommitInDoubtError extends Error {
  override readonly name = "CommitInDoubtError";
}

/** Implements `AcceptStore.accept`. Keys come first and leases last, each in the order of their own key. */
export async function acceptBatch(
  conn: Connection,
  batch: CommitBatch,
  heldLinkOf: HeldLinkOf = neverHeld,
): Promise<void> {
  await storeBatch(conn, "BEGIN", batch, heldLinkOf);
  await commitOrDoubt(conn);
}

/**
 * Stores the batch, with `before` in front, in one round trip; the caller commits. @throws FencedError or
 * KeyTakenError, after a ROLLBACK
 */
export async function storeBatch(
  conn: Connection,
  before: string,
  batch: CommitBatch,
  heldLinkOf: HeldLinkOf,
): Promise<void> {
  batch.spends.sort((a, b) => a.customerId - b.customerId || a.epoch - b.epoch);
  let results: (WriteResult | { owner: string }[])[];
  try {
    results = await conn.query(`${before};${acceptSql(batch, heldLinkOf)}`);
  } catch (error) {
    if (!isError(error, "checkViolated")) throw error;
    await conn.query("ROLLBACK");
    throw new FencedError(batch.spends);
  }
  // Only the read of the keys' owners has rows.
  const owners = batch.keys.length === 0 ? [] : (results.find(Array.isArray) ?? []);
  const taken = takenKeys(batch.keys, owners);
  if (taken.length > 0) {
    await conn.query("ROLLBACK");
    throw new KeyTakenError(taken);
  }
  if (batch.spends.length === 0) return;
  const spent = results.at(-1) as WriteResult;
  if (spent.affectedRows !== batch.spends.length) {
    await conn.query("ROLLBACK");
    throw new FencedError(await lostLeases(conn, batch));
  }
}

/** @throws CommitInDoubtError */
export async function commitOrDoubt(conn: Connection): Promise<void> {
  try {
    await conn.query("COMMIT");
  } catch (cause) {
    throw new CommitInDoubtError("connection lost at COMMIT", { cause });
  }
}

/**
 * Whether this message is stored. The locking read waits for a transaction that is still open, so the answer
 * is final.
 */
export async function isStored(conn: Connection, id: string): Promise<boolean> {
  const found = await conn.query(`SELECT id FROM messages WHERE id='${id}' FOR UPDATE`);
  return found.length > 0;
}

function acceptSql(batch: CommitBatch, heldLinkOf: HeldLinkOf): string {
  const { records, nowMs, otps } = batch;
  const entries: Entry[] = [];
  const statuses: StatusRow[] = [];
  const told: ChangeEvent[] = [];
  const held = new Map<LaneRecord, string>();
  let scheduled: LaneRecord[] | null = null;
  let unreserved: LaneRecord[] | null = null;
  for (const r of records) {
    const isNow = r.sendAtMs === undefined;
    if (!isNow) (scheduled ??= []).push(r);
    const link = isNow && r.lane === "normal" ? heldLinkOf(r) : null;
    if (link !== null) held.set(r, link);
    const move = isNow ? ACCEPT : SCHEDULE;
    if (r.unreserved === true) (unreserved ??= []).push(r);
    else entries.push(entryOf(r.id, chargeOf(move, false), r.customerId, r.cost, nowMs));
    const row = statusRow(r, { to: move.to, attempt: 0, atMs: r.createdAtMs });
    statuses.push(row);
    if (r.callback !== undefined) told.push(...webhookEventsOf(r, row, null));
  }
  const toldSql = webhookEventsSql(told);
  const queued = scheduled === null ? records : records.filter((r) => r.sendAtMs === undefined);
  const others = held.size === 0 ? queued : queued.filter((r) => !held.has(r));
  return (
    `${batch.keys.length === 0 ? "" : `${claimKeysSql(batch.keys)};`}` +
    `${queued.length === 0 ? "" : `${storeSql(queued, ACCEPT.to)};`}` +
    `${scheduled === null ? "" : `${storeSql(scheduled, SCHEDULE.to)};${scheduleSql(scheduled)};`}` +
    `${entries.length === 0 ? "" : `${entriesSql(entries)};`}` +
    `${unreserved === null ? "" : `${keepUnreservedSql(unreserved)};`}` +
    `INSERT INTO outbox (lane,payload) VALUES ${[...laneRows(others), ...eventsRows(statuses, entries)]}` +
    `${toldSql === null ? "" : `;${toldSql}`}` +
    `${otps === undefined || otps.length === 0 ? "" : `;${otpsSql(otps)}`}` +
    `${held.size === 0 ? "" : `;${heldSql(held)}`}${batch.spends.length === 0 ? "" : `;${spendSql(batch)}`}`
  );
}

const NO_ENTRIES: readonly Entry[] = [];

const heldSql = (held: ReadonlyMap<LaneRecord, string>): string =>
  holdSql("normal", [...held.keys()], (record) => held.get(record) as string);

/** Each message has one status and at most one entry, so there are no more pieces of entries. */
function eventsRows(statuses: readonly StatusRow[], entries: readonly Entry[]): string[] {
  const posted = pieces(entries, COMMIT_ROWS_MAX);
  return pieces(statuses, COMMIT_ROWS_MAX).map((some, at) => eventsRow(some, posted[at] ?? NO_ENTRIES));
}

/** One outbox row for each lane that the batch has messages of; several if they are too many for one. */
function laneRows(records: LaneRecord[]): string[] {
  const express = records.filter((r) => r.lane === "express");
  const normal = express.length === 0 ? records : records.filter((r) => r.lane === "normal");
  const row = (lane: string, of: LaneRecord[]) =>
    pieces(of, COMMIT_ROWS_MAX).map((some) => `('${lane}',${blob(packLaneRow(some))})`);
  return [...row("express", express), ...row("normal", normal)];
}

function spendSql({ nodeId, spends }: CommitBatch): string {
  const keys = spends.map((s) => `(${s.customerId},'${nodeId}',${s.epoch})`);
  return (
    `UPDATE credit_leases FORCE INDEX (PRIMARY) SET spent=spent+${amountSql(spends)} ` +
    `WHERE (customer_id,node_id,epoch) IN (${keys})`
  );
}

// In rare cases a batch spends from two leases of one customer, the older of which is being ended.
function amountSql(spends: Spend[]): string {
  const isRepeated = spends.some((s, i) => s.customerId === spends[i - 1]?.customerId);
  if (!isRepeated)
    return byKey(
      "customer_id",
      spends.map((s) => [s.customerId, s.amount]),
      0,
    );
  const whens = spends.map((s) => `WHEN customer_id=${s.customerId} AND epoch=${s.epoch} THEN ${s.amount}`);
  return `CASE ${whens.join(" ")} ELSE 0 END`;
}

async function lostLeases(conn: Connection, { nodeId, spends }: CommitBatch): Promise<Spend[]> {
  const found = await conn.query<{ customer_id: number; epoch: number }[]>(
    `SELECT customer_id, epoch FROM credit_leases WHERE node_id='${nodeId}' ` +
      `AND customer_id IN (${spends.map((s) => s.customerId)})`,
  );
  const held = new Set(found.map((row) => `${row.customer_id}:${row.epoch}`));
  return spends.filter((s) => !held.has(`${s.customerId}:${s.epoch}`));
}
