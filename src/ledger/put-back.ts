// Messages whose record was lost on its way to a sender: looked for, and put back into the outbox under their
// next attempt. Owns that SQL and the mark below which nothing is open; leaves to the relay's sweep when a
// record is proven lost.
// Invariants: the raised attempt, the outbox row and the event commit together, so an attempt is put back
// once and a record of it that turns up after all is skipped by its claim; at MESSAGE_ATTEMPTS_MAX a message
// is failed and refunded instead. Bound: CLAIM_ROWS_MAX messages a transaction, OPEN_ROWS_MAX rows a look.

import { ulidBound, ulidTimeMs } from "../core/id.ts";
import { CLAIM_ROWS_MAX, MESSAGE_ATTEMPTS_MAX } from "../core/limits.ts";
import { type Lane, queuedSequence } from "../core/message.ts";
import type { StatusRow } from "../core/event-record.ts";
import { type LaneRecord, packLaneRow } from "../core/lane-record.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { eventsSql } from "./posting.ts";
import { failQueued, lockRecords, repeated } from "./settle.ts";
import { blob, dateTime } from "./sql-text.ts";

export type Queued = { id: string; attempt: number };
/**
 * What a look at ids from `from` up to `next` (excluded) found: messages queued since before the cutoff, and
 * the first message that is open in any way.
 */
export type Look = { next: string; queued: Queued[]; firstOpen: string | null };
export type PutBack = { ids: string[]; failed: string[] };

/** Ids of so much time are looked at in one statement: 35,000 at a peak of 3,500 messages a second. */
const WINDOW_MS = 10_000;
const OPEN_ROWS_MAX = 1_000;

type OpenRow = { id: string; status: string; attempt: number; isDue: 0 | 1 };

/**
 * One look at the first window of [from, before) that holds a message. `cutoffMs` bounds updated_at.
 */
export async function lookForQueued(
  conn: Pick<Connection, "query">,
  lane: Lane,
  { from, before, cutoffMs }: { from: string; before: string; cutoffMs: number },
): Promise<Look> {
  const [first] = await conn.query<{ id: string }[]>(
    `SELECT id FROM messages WHERE id>='${from}' AND id<'${before}' ORDER BY id LIMIT 1`,
  );
  if (first === undefined) return { next: before, queued: [], firstOpen: null };
  const windowEnd = ulidBound(ulidTimeMs(first.id) + WINDOW_MS);
  const end = windowEnd < before ? windowEnd : before;
  const open = await conn.query<OpenRow[]>(
    `SELECT id, status, attempt, updated_at < ${dateTime(cutoffMs)} AS isDue FROM messages ` +
      `WHERE id>='${first.id}' AND id<'${end}' AND lane='${lane}' ` +
      `AND status IN ('scheduled','queued','sending') ORDER BY id LIMIT ${OPEN_ROWS_MAX}`,
  );
  const last = open.length === OPEN_ROWS_MAX ? open.at(-1) : undefined;
  return {
    // Just above it: ids are of one length, and `!` sorts before their digits.
    next: last === undefined ? end : `${last.id}!`,
    queued: open.filter((row) => row.status === "queued" && row.isDue === 1),
    firstOpen: open[0]?.id ?? null,
  };
}

/**
 * Puts back those that are still queued at that attempt. Returns what went back, and what was failed for
 * having no attempt left.
 */
export function putBack(pool: Pool, lane: Lane, lost: readonly Queued[], nowMs: number): Promise<PutBack> {
  const attempts = new Map(lost.slice(0, CLAIM_ROWS_MAX).map((row) => [row.id, row.attempt]));
  return repeated(pool, async (conn) => {
    await conn.query("BEGIN");
    const locked = await lockRecords(conn, [...attempts.keys()], "queued");
    const queued = locked.filter((record) => record.attempt === attempts.get(record.id));
    const [ended, again] = split(queued, (record) => record.attempt + 1 >= MESSAGE_ATTEMPTS_MAX);
    const records = again.map((record) => ({ ...record, attempt: record.attempt + 1 }));
    if (records.length > 0) await conn.query(putBackSql(lane, records, nowMs));
    const failed = await failQueued(
      conn,
      ended.map((record) => record.id),
      "lost before it was sent",
      nowMs,
    );
    await conn.query("COMMIT");
    return { ids: records.map((record) => record.id), failed: failed.map((change) => change.record.id) };
  });
}

function putBackSql(lane: Lane, records: readonly LaneRecord[], nowMs: number): string {
  const updates = [...Map.groupBy(records, (record) => record.attempt)].map(
    ([attempt, of]) =>
      `UPDATE messages SET attempt=${attempt},sequence=${queuedSequence(attempt)},` +
      `updated_at=${dateTime(nowMs)} WHERE id IN ('${of.map((record) => record.id).join("','")}')`,
  );
  const row = blob(packLaneRow(records));
  const statuses = records.map((record) => queuedRow(record, nowMs));
  return (
    `${updates.join(";")};INSERT INTO outbox (lane,payload) VALUES ('${lane}',${row});` +
    eventsSql(statuses, [])
  );
}

const queuedRow = (record: LaneRecord, nowMs: number): StatusRow => ({
  id: record.id,
  customerId: record.customerId,
  phone: record.phone,
  lane: record.lane,
  status: "queued",
  parts: record.parts,
  cost: record.cost,
  reference: record.reference,
  operator: null,
  operatorMessageId: null,
  attempt: record.attempt,
  sequence: queuedSequence(record.attempt),
  createdAtMs: record.createdAtMs,
  updatedAtMs: nowMs,
});

/** Where the lane's next sweep begins; the lowest id when none has ended yet. */
export async function openFrom(conn: Pick<Connection, "query">, lane: Lane): Promise<string> {
  const [row] = await conn.query<{ open_from: string }[]>(
    `SELECT open_from FROM sweeps WHERE lane='${lane}'`,
  );
  return row?.open_from ?? ulidBound(0);
}

export async function setOpenFrom(conn: Connection, lane: Lane, id: string): Promise<void> {
  await conn.write(
    `INSERT INTO sweeps (lane,open_from) VALUES ('${lane}','${id}') AS n ` +
      "ON DUPLICATE KEY UPDATE open_from=n.open_from",
  );
}

function split<T>(all: readonly T[], isFirst: (one: T) => boolean): [first: T[], second: T[]] {
  return [all.filter(isFirst), all.filter((one) => !isFirst(one))];
}
