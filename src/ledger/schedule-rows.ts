// The rows of `scheduled_messages`: which messages wait for their time, in the order of it; and, of those
// whose time has come, which are still on their way. The latter is for the sweep, which finds messages by
// their ids: those of a scheduled message may be a month older than the record that Kafka lost.
// States of a row: scheduled (run_at: when it is to be sent) → moved (run_at: when it was queued) → deleted,
// once its message can't be queued again; or deleted, when it is canceled. What is due while its customer is
// suspended is held in between, and the looks for what is due pass over it.
// Invariant: a message has a row that isn't moved exactly while it is `scheduled`; if one is held, its
// customer is suspended or has a row of `resumed_customers`. Owns the SQL of both tables but for the insert
// of a resumed customer (src/customers/customers.ts); leaves the messages to schedule.ts and requeue.ts.
// Bound: the callers' ids.

import type { LaneRecord } from "../core/lane-record.ts";
import { LANES, type Lane } from "../core/message.ts";
import type { Connection } from "../platform/mysql.ts";
import { dateTime, quote } from "./sql-text.ts";

// As with the outbox: the table's statistics change too fast to be believed.
const DUE = "scheduled_messages FORCE INDEX (due)";
const BY_ID = "/*+ INDEX(scheduled_messages PRIMARY) */";

const listed = (ids: readonly string[]): string => `('${ids.join("','")}')`;

/** One INSERT of messages that are stored as scheduled. */
export function scheduleSql(records: readonly LaneRecord[]): string {
  const values = records.map(
    ({ id, lane, sendAtMs, customerId, phone }) =>
      `('${id}','${lane}',${dateTime(sendAtMs as number)},${customerId},${quote(phone)})`,
  );
  return `INSERT INTO scheduled_messages (message_id,lane,run_at,customer_id,phone) VALUES ${values}`;
}

/** A customer's messages that wait for their time to be sent to this phone, and from which sender. */
export async function findScheduledTo(
  conn: Pick<Connection, "query">,
  customerId: number,
  phone: string,
  limit: number,
): Promise<{ id: string; from: string | null }[]> {
  const rows = await conn.query<{ id: string; sender: string | null }[]>(
    "SELECT s.message_id AS id, m.sender FROM scheduled_messages AS s FORCE INDEX (to_phone) " +
      "JOIN messages AS m FORCE INDEX (PRIMARY) ON m.id=s.message_id " +
      `WHERE s.customer_id=${customerId} AND s.phone=${quote(phone)} AND s.moved=FALSE LIMIT ${limit}`,
  );
  return rows.map(({ id, sender }) => ({ id, from: sender }));
}

/** Locks rows of messages within the caller's transaction; waits for whoever has them locked. */
export async function lockScheduledRows(conn: Connection, ids: readonly string[]): Promise<void> {
  await conn.query(
    "SELECT message_id FROM scheduled_messages FORCE INDEX (PRIMARY) " +
      `WHERE message_id IN ${listed(ids)} ORDER BY message_id FOR UPDATE`,
  );
}

/** Begins a transaction and locks up to `limit` messages whose time has come, the longest due first. */
export async function takeDue(conn: Connection, lane: Lane, limit: number): Promise<string[]> {
  const [, rows] = await conn.query<[unknown, { message_id: string }[]]>(
    `BEGIN;SELECT message_id FROM ${DUE} WHERE lane='${lane}' AND moved=FALSE AND held_for=0 ` +
      `AND run_at<=NOW(3) ORDER BY run_at, message_id LIMIT ${limit} FOR UPDATE SKIP LOCKED`,
  );
  return rows.map((row) => row.message_id);
}

/** Begins a transaction and locks the row of a message, if it has one; waits for whoever has it locked. */
export async function lockScheduled(conn: Connection, id: string): Promise<void> {
  await conn.query(`BEGIN;SELECT message_id FROM scheduled_messages WHERE message_id='${id}' FOR UPDATE`);
}

/** Notes, within the transaction that locked them, that their messages are queued. */
export async function markMoved(conn: Connection, ids: readonly string[]): Promise<void> {
  await conn.write(
    `UPDATE ${BY_ID} scheduled_messages SET moved=TRUE,run_at=NOW(3),held_for=0 ` +
      `WHERE message_id IN ${listed(ids)}`,
  );
}

/** Holds the rows of a suspended customer, within the transaction that locked them and the customer. */
export async function holdRows(conn: Connection, customerId: number, ids: readonly string[]): Promise<void> {
  await conn.write(
    `UPDATE ${BY_ID} scheduled_messages SET held_for=${customerId} WHERE message_id IN ${listed(ids)}`,
  );
}

/**
 * Begins a transaction and locks the first resumed customer behind this one that nobody else has locked; null
 * if there is none. A customer that is resumed again waits for the end of the transaction.
 */
export async function lockResumed(conn: Connection, after: number): Promise<number | null> {
  const [, rows] = await conn.query<[unknown, { customer_id: number }[]]>(
    `BEGIN;SELECT customer_id FROM resumed_customers WHERE customer_id>${after} ` +
      "ORDER BY customer_id LIMIT 1 FOR UPDATE SKIP LOCKED",
  );
  return rows[0]?.customer_id ?? null;
}

/** Locks up to `limit` held messages of a customer, the longest due first. */
export async function takeHeld(
  conn: Connection,
  lane: Lane,
  customerId: number,
  limit: number,
): Promise<string[]> {
  const rows = await conn.query<{ message_id: string }[]>(
    `SELECT message_id FROM ${DUE} WHERE lane='${lane}' AND moved=FALSE AND held_for=${customerId} ` +
      `ORDER BY run_at, message_id LIMIT ${limit} FOR UPDATE SKIP LOCKED`,
  );
  return rows.map((row) => row.message_id);
}

/** Whether any message of the customer is held, in any lane. */
export async function hasHeld(conn: Connection, customerId: number): Promise<boolean> {
  const lanes = LANES.map((lane) => `'${lane}'`).join(",");
  const found = await conn.query(
    `SELECT held_for FROM ${DUE} WHERE lane IN (${lanes}) AND moved=FALSE AND held_for=${customerId} ` +
      "LIMIT 1",
  );
  return found.length > 0;
}

/** Within the transaction that locked it. */
export async function dropResumed(conn: Connection, customerId: number): Promise<void> {
  await conn.write(`DELETE FROM resumed_customers WHERE customer_id=${customerId}`);
}

/** Within the transaction that locked it. */
export async function putOff(conn: Connection, id: string, sendAtMs: number): Promise<void> {
  await conn.write(
    `UPDATE scheduled_messages SET run_at=${dateTime(sendAtMs)},held_for=0 ` +
      `WHERE message_id='${id}' AND moved=FALSE`,
  );
}

export async function dropScheduled(conn: Pick<Connection, "write">, ids: readonly string[]): Promise<void> {
  if (ids.length > 0)
    await conn.write(`DELETE ${BY_ID} FROM scheduled_messages WHERE message_id IN ${listed(ids)}`);
}

/** A moved row, as a place in the order of these. */
export type MovedPlace = { movedMs: number; id: string };
/** What became of the message of a moved row; `status` is null if there is no such message. */
export type MovedRow = MovedPlace & { status: string | null; attempt: number; updatedAtMs: number };

/** The first `limit` rows behind this place that were moved before `beforeMs`, with their messages. */
export async function movedAfter(
  conn: Pick<Connection, "query">,
  lane: Lane,
  after: MovedPlace | null,
  { beforeMs, limit }: { beforeMs: number; limit: number },
): Promise<MovedRow[]> {
  const behind =
    after === null
      ? ""
      : `AND run_at>=${dateTime(after.movedMs)} ` +
        `AND (run_at>${dateTime(after.movedMs)} OR message_id>'${after.id}') `;
  const rows = await conn.query<
    { id: string; run_at: Date; status: string | null; attempt: number | null; updated_at: Date | null }[]
  >(
    "SELECT s.message_id AS id, s.run_at, m.status, m.attempt, m.updated_at FROM " +
      `(SELECT message_id, run_at FROM ${DUE} WHERE lane='${lane}' AND moved=TRUE AND held_for=0 ` +
      `AND run_at<${dateTime(beforeMs)} ${behind}ORDER BY run_at, message_id LIMIT ${limit}) AS s ` +
      "LEFT JOIN messages AS m FORCE INDEX (PRIMARY) ON m.id=s.message_id ORDER BY s.run_at, s.message_id",
  );
  return rows.map(({ id, run_at, status, attempt, updated_at }) => ({
    id,
    movedMs: run_at.getTime(),
    status,
    attempt: attempt ?? 0,
    updatedAtMs: updated_at?.getTime() ?? 0,
  }));
}
