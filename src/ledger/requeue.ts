// Finds messages whose record was lost on its way to a sender, and requeues them under their next attempt.
// Owns that search and the stored mark below which no message is open. Leaves to the relay's sweep the proof
// that a record is lost and which ids it looks through, and to settle.ts what a change writes.
// Invariants: the new attempt, the outbox row and the event commit together, so an attempt is requeued at
// most once, and a claim skips a lost record that turns up later; a message whose validity is over expires
// instead, and at MESSAGE_ATTEMPTS_MAX it fails. Bound: CLAIM_ROWS_MAX messages a transaction, OPEN_ROWS_MAX
// rows a look.

import { ulidBound, ulidTimeMs } from "../core/id.ts";
import { CLAIM_ROWS_MAX, MESSAGE_ATTEMPTS_MAX } from "../core/limits.ts";
import type { Lane } from "../core/message.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import { retryDelayMaxMs, validUntilOf } from "../core/retries.ts";
import { type Connection, type Pool, withRetries } from "../platform/mysql.ts";
import type { Change } from "./move.ts";
import { dropScheduled, type MovedPlace, type MovedRow, movedAfter } from "./schedule-rows.ts";
import { changeQueued } from "./settle.ts";
import { changeTo } from "./settle-plan.ts";

export type Queued = { id: string; attempt: number };
/** Ids from `from` up to `to` (exclusive). */
export type IdRange = { from: string; to: string };
/**
 * The result of a look at ids up to `next` (exclusive): messages that have been due since before the cutoff,
 * and from the first to the last message that is queued or sending. Scheduled ones don't count: see
 * lookForMoved.
 */
export type LookResult = { next: string; queued: Queued[]; open: IdRange | null };
export type Requeued = { ids: string[]; ended: string[] };

/** One statement looks at ids of this much time: 35,000 at a peak of 3,500 messages a second. */
const WINDOW_MS = 10_000;
const OPEN_ROWS_MAX = 1_000;

type OpenRow = { id: string; status: string; attempt: number; updated_at: Date };

/**
 * One look at the first window of these ids that holds a message. `cutoffMs`: by then a message must have
 * been due, that is, queued for as long as its attempt may have had to wait.
 */
export async function lookForQueued(
  conn: Pick<Connection, "query">,
  lane: Lane,
  { from, to }: IdRange,
  cutoffMs: number,
): Promise<LookResult> {
  const [first] = await conn.query<{ id: string }[]>(
    `SELECT id FROM messages WHERE id>='${from}' AND id<'${to}' ORDER BY id LIMIT 1`,
  );
  if (first === undefined) return { next: to, queued: [], open: null };
  const windowEnd = ulidBound(ulidTimeMs(first.id) + WINDOW_MS);
  const end = windowEnd < to ? windowEnd : to;
  const open = await conn.query<OpenRow[]>(
    "SELECT id, status, attempt, updated_at FROM messages " +
      `WHERE id>='${first.id}' AND id<'${end}' AND lane='${lane}' ` +
      `AND status IN ('queued','sending') ORDER BY id LIMIT ${OPEN_ROWS_MAX}`,
  );
  const isDue = ({ attempt, updated_at }: OpenRow) => wasDue(lane, attempt, updated_at.getTime(), cutoffMs);
  const [lowest, last] = [open[0], open.at(-1)];
  if (lowest === undefined || last === undefined) return { next: end, queued: [], open: null };
  // Just above the last id: ids have one length, and `!` sorts before all their characters.
  const afterLast = `${last.id}!`;
  return {
    next: open.length === OPEN_ROWS_MAX ? afterLast : end,
    queued: open.filter((row) => row.status === "queued" && isDue(row)),
    open: { from: lowest.id, to: afterLast },
  };
}

const wasDue = (lane: Lane, attempt: number, updatedAtMs: number, cutoffMs: number): boolean =>
  updatedAtMs + retryDelayMaxMs(lane, attempt) < cutoffMs;

/**
 * The same for messages that were scheduled, from the moment at which they were queued: a page of those
 * behind `after`; `next` is the place of the last of them, null if that was the last page. Forgets those that
 * can't be queued again.
 */
export async function lookForMoved(
  conn: Pick<Connection, "query" | "write">,
  lane: Lane,
  after: MovedPlace | null,
  cutoffMs: number,
): Promise<{ next: MovedPlace | null; queued: Queued[] }> {
  const rows = await movedAfter(conn, lane, after, { beforeMs: cutoffMs, limit: OPEN_ROWS_MAX });
  const isOpen = ({ status }: MovedRow) => status === "queued" || status === "sending";
  await dropScheduled(
    conn,
    rows.filter((row) => !isOpen(row)).map(({ id }) => id),
  );
  const queued = rows.filter(
    ({ status, attempt, updatedAtMs }) => status === "queued" && wasDue(lane, attempt, updatedAtMs, cutoffMs),
  );
  return { next: rows.length === OPEN_ROWS_MAX ? (rows.at(-1) ?? null) : null, queued };
}

/** Requeues those that are still queued at that attempt. `ended`: those that had no time or attempt left. */
export function requeue(pool: Pool, lost: readonly Queued[], nowMs: number): Promise<Requeued> {
  const attempts = new Map(lost.slice(0, CLAIM_ROWS_MAX).map((row) => [row.id, row.attempt]));
  const endOf = (record: LaneRecord): Change["to"] => {
    if (nowMs >= validUntilOf(record)) return "expired";
    return record.attempt + 1 < MESSAGE_ATTEMPTS_MAX ? "queued" : "failed";
  };
  const changeOf = (record: LaneRecord): Change | null =>
    record.attempt === attempts.get(record.id)
      ? changeTo(endOf(record), record, "queued", "lost before it was sent")
      : null;
  return withRetries(pool, async (conn) => {
    await conn.query("BEGIN");
    const changes = await changeQueued(conn, [...attempts.keys()], changeOf, nowMs);
    await conn.query("COMMIT");
    const [again, ended] = [changes.filter(isQueued), changes.filter((change) => !isQueued(change))];
    return { ids: again.map(idOf), ended: ended.map(idOf) };
  });
}

const isQueued = ({ to }: Change): boolean => to === "queued";
const idOf = ({ record }: Change): string => record.id;

/** The id below which no message of the lane is open; null before the first sweep, and once it is deleted. */
export async function openFrom(conn: Pick<Connection, "query">, lane: Lane): Promise<string | null> {
  const [row] = await conn.query<{ open_from: string }[]>(
    `SELECT open_from FROM sweeps WHERE lane='${lane}'`,
  );
  return row?.open_from ?? null;
}

/** Stores that no message of the lane is open below this id. What another process has found stays. */
export async function setOpenFrom(conn: Connection, lane: Lane, id: string): Promise<void> {
  await conn.write(
    `INSERT INTO sweeps (lane,open_from) VALUES ('${lane}','${id}') AS n ` +
      "ON DUPLICATE KEY UPDATE open_from=GREATEST(sweeps.open_from,n.open_from)",
  );
}

/** Deletes what is stored if it is above this id. Returns whether it was. */
export async function forgetOpenFrom(pool: Pick<Pool, "write">, lane: Lane, above: string): Promise<boolean> {
  const { affectedRows } = await pool.write(
    `DELETE FROM sweeps WHERE lane='${lane}' AND open_from>'${above}'`,
  );
  return affectedRows > 0;
}
