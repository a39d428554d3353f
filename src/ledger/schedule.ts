// Scheduled messages: moves them into the outbox when their time has come, or, while their customer is
// suspended, once it is resumed; cancels them, changes their time.
// Locks in one order: a resumed customer, the row of the schedule, the message, a suspended customer, the
// wallet. So whoever comes first decides, and the other one finds a message that is no longer scheduled.
// Leaves the table of those that wait to schedule-rows.ts, when to look to src/relay/schedule.ts, and what a
// change writes to settle.ts.
// Invariants: a message becomes `queued` in the transaction that writes its outbox row, once, by MySQL's
// clock not before its time; a canceled one is refunded in the transaction that cancels it. Crash points:
// before a COMMIT nothing has happened; after it all has. Bound: CLAIM_ROWS_MAX messages a move.

import { CallerGoneError, type IsGone } from "../core/caller.ts";
import { notScheduled, SluiceError } from "../core/errors.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import type { Lane, Status } from "../core/message.ts";
import { isConnectionLost } from "../platform/mysql-errors.ts";
import { inDoubt } from "../platform/repeatable.ts";
import { type Connection, type Pool, withRetries } from "../platform/mysql.ts";
import { sleep } from "../platform/retry.ts";
import { rescheduleSql } from "./move.ts";
import {
  dropResumed,
  dropScheduled,
  hasHeld,
  holdRows,
  lockResumed,
  lockScheduled,
  markMoved,
  putOff,
  takeDue,
  takeHeld,
} from "./schedule-rows.ts";
import { apply, type LockedMessage, lockRecords, lockRows } from "./settle.ts";
import { changeTo } from "./settle-plan.ts";

export type ScheduleDeps = { pool: Pool; now: () => number };

/** `found`: due messages that were looked at; if they are CLAIM_ROWS_MAX, more may be due. */
type Moved = { records: LaneRecord[]; found: number };

/**
 * Moves messages of this lane whose time has come, the longest due first. Those of suspended customers are
 * held instead.
 */
export function moveDue({ pool, now }: ScheduleDeps, lane: Lane): Promise<Moved> {
  return withRetries(pool, async (conn) => {
    const ids = await takeDue(conn, lane, CLAIM_ROWS_MAX);
    if (ids.length === 0) {
      await conn.query("ROLLBACK");
      return { records: [], found: 0 };
    }
    const found = await lockRecords(conn, ids, "scheduled");
    const { isSuspended, resends } = await wishesOf(conn, found);
    const held = new Set<string>();
    for (const customerId of isSuspended.size === 0 ? [] : await lockSuspended(conn, isSuspended)) {
      const own = found.filter((record) => record.customerId === customerId).map(({ id }) => id);
      await holdRows(conn, customerId, own);
      for (const id of own) held.add(id);
    }
    const records = held.size === 0 ? found : found.filter(({ id }) => !held.has(id));
    const free = held.size === 0 ? ids : ids.filter((id) => !held.has(id));
    if (free.length > 0) await queue(conn, { records, ids: free, resends }, now());
    await conn.query("COMMIT");
    return { records, found: ids.length };
  });
}

/** `customerId`: a resumed customer; null if there is none behind the given one. */
type Resumed = { customerId: number | null; records: LaneRecord[] };

/**
 * Moves held messages of this lane of the next resumed customer behind `after`, and forgets the customer once
 * it has none in any lane.
 */
export function moveResumed({ pool, now }: ScheduleDeps, lane: Lane, after: number): Promise<Resumed> {
  return withRetries(pool, async (conn) => {
    const customerId = await lockResumed(conn, after);
    if (customerId === null) {
      await conn.query("ROLLBACK");
      return { customerId, records: [] };
    }
    const { isSuspended, resends } = await wishesOf(conn, [{ customerId }]);
    const isAgain = isSuspended.has(customerId);
    const ids = isAgain ? [] : await takeHeld(conn, lane, customerId, CLAIM_ROWS_MAX);
    const records = ids.length === 0 ? [] : await lockRecords(conn, ids, "scheduled");
    if (ids.length > 0) await queue(conn, { records, ids, resends }, now());
    else if (isAgain || !(await hasHeld(conn, customerId))) await dropResumed(conn, customerId);
    await conn.query("COMMIT");
    return { customerId, records };
  });
}

const noId = () => "";

type Due = { records: readonly LaneRecord[]; ids: readonly string[]; resends: ReadonlySet<number> };

/** `ids`: the rows that are moved, at least one, also those whose messages are scheduled no longer. */
async function queue(conn: Connection, { records, ids, resends }: Due, nowMs: number): Promise<void> {
  for (const record of records)
    if (record.lane === "express" && resends.has(record.customerId)) record.mayResend = true;
  const changes = records.map((record) => changeTo("queued", record, "scheduled", null));
  if (changes.length > 0) await apply(conn, changes, { nowMs, id: noId });
  await markMoved(conn, ids);
}

type Wishes = { isSuspended: ReadonlySet<number>; resends: ReadonlySet<number> };

/**
 * Which of these customers are suspended, and which want an express message resent whose answer was lost: a
 * message's row doesn't say it, so what its customer wants now counts.
 */
async function wishesOf(conn: Connection, of: readonly { customerId: number }[]): Promise<Wishes> {
  const ids = [...new Set(of.map(({ customerId }) => customerId))];
  if (ids.length === 0) return { isSuspended: new Set(), resends: new Set() };
  const rows = await conn.query<{ customer_id: number; suspended: 0 | 1; resends: 0 | 1 }[]>(
    "SELECT customer_id, suspended_at IS NOT NULL AS suspended, express_resend_unknown AS resends " +
      `FROM customers WHERE customer_id IN (${ids})`,
  );
  const those = (which: "suspended" | "resends") =>
    new Set(rows.filter((row) => row[which] === 1).map((row) => row.customer_id));
  return { isSuspended: those("suspended"), resends: those("resends") };
}

/**
 * Those of them that still are suspended. They stay so until the end of the transaction: whoever resumes one
 * then finds what is held.
 */
async function lockSuspended(conn: Connection, ids: ReadonlySet<number>): Promise<number[]> {
  const rows = await conn.query<{ customer_id: number }[]>(
    "SELECT customer_id FROM customers FORCE INDEX (PRIMARY) " +
      `WHERE customer_id IN (${[...ids].toSorted((a, b) => a - b)}) ` +
      "AND suspended_at IS NOT NULL ORDER BY customer_id FOR UPDATE",
  );
  return rows.map((row) => row.customer_id);
}

/** `isGone`: nothing is done for a caller that has left before. */
export type OwnMessage = { customerId: number; id: string; isGone: IsGone };

/**
 * Cancels a scheduled message and refunds it. May be repeated: a message that is canceled stays so.
 * @throws SluiceError not_found, not_scheduled, outcome_unknown; CallerGoneError
 */
export async function cancelScheduled({ pool, now }: ScheduleDeps, own: OwnMessage): Promise<void> {
  const found = await whileScheduled(pool, own, true, async (conn, record) => {
    const change = changeTo("canceled", record, "scheduled", null);
    await apply(conn, [change], { nowMs: now(), id: noId });
    await dropScheduled(conn, [record.id]);
  });
  if (found !== "scheduled" && found !== "canceled") throw notScheduled(found);
}

/**
 * Cancels those of these messages that are still scheduled, for this reason, and refunds them, within the
 * transaction that locked their rows of the schedule. Returns how many. Bound: CLAIM_ROWS_MAX messages.
 */
export async function cancelLocked(
  conn: Connection,
  ids: readonly string[],
  { reason, nowMs }: { reason: string; nowMs: number },
): Promise<number> {
  const waiting = await lockRecords(conn, ids, "scheduled");
  const ends = waiting.map((one) => changeTo("canceled", one, "scheduled", reason));
  if (ends.length > 0) await apply(conn, ends, { nowMs, id: noId });
  await dropScheduled(
    conn,
    waiting.map(({ id }) => id),
  );
  return ends.length;
}

/**
 * Changes when a scheduled message is to be sent: `timeOf` says it of the message. Its validity and its
 * promise count from the new time. @throws as cancelScheduled
 */
export async function putOffScheduled(
  pool: Pool,
  own: OwnMessage,
  timeOf: (message: Pick<LaneRecord, "lane" | "phone">) => number,
): Promise<void> {
  // A repeat may find it sent, when the new time was now.
  const found = await whileScheduled(pool, own, false, async (conn, record) => {
    const sendAtMs = timeOf(record);
    await conn.write(rescheduleSql(record, sendAtMs));
    await putOff(conn, record.id, sendAtMs);
  });
  if (found !== "scheduled") throw notScheduled(found);
}

const TRIES_MAX = 3;
const AGAIN_MS = 50;

/**
 * Runs `body` in a transaction if the message is scheduled, and returns at which status it was. `body` may
 * run again after a lost connection, when it may have been stored. Unless it `isRepeatable`, a message that
 * is no longer scheduled then may be so because of it. @throws SluiceError not_found, outcome_unknown;
 * CallerGoneError
 */
async function whileScheduled(
  pool: Pool,
  own: OwnMessage,
  isRepeatable: boolean,
  body: (conn: Connection, record: LaneRecord) => Promise<void>,
): Promise<Status> {
  // No message becomes scheduled again, so what this says of the others is final, and no lock is needed.
  const found = await statusOf(pool, own);
  if (found !== "scheduled") return found;
  let lost: unknown = null;
  for (let tries = 1; ; tries++) {
    try {
      const was = await withRetries(pool, async (conn) => {
        await lockScheduled(conn, own.id);
        const [row] = (await lockRows(conn, [own.id])) as [LockedMessage];
        const isDone = row.status === "scheduled" && !own.isGone();
        if (isDone) await body(conn, row.record);
        await conn.query(isDone ? "COMMIT" : "ROLLBACK");
        return isDone || row.status !== "scheduled" ? row.status : null;
      });
      if (was === null) throw new CallerGoneError();
      if (was !== "scheduled" && lost !== null && !isRepeatable) throw inDoubt(lost, false);
      return was;
    } catch (cause) {
      if (!isConnectionLost(cause)) throw cause;
      if (tries === TRIES_MAX) throw inDoubt(cause, isRepeatable);
      lost = cause;
      await sleep(AGAIN_MS * tries);
    }
  }
}

async function statusOf(pool: Pick<Pool, "query">, { customerId, id }: OwnMessage): Promise<Status> {
  const [row] = await pool.query<{ status: Status }[]>(
    `SELECT status FROM messages WHERE id='${id}' AND customer_id=${customerId}`,
  );
  if (row === undefined) throw new SluiceError("not_found", { detail: "No such message." });
  return row.status;
}
