// What was reported first about messages that could not end then: one row for each thing that reports are
// about, written by the transaction that puts such a report back, and read by every one that ends messages.
// Leaves to src/dlr/order.ts what a report is about, and when its row goes.
// Invariant: the first row stays until it is deleted. Bound: rows go after WAITING_END_TTL_MS at the latest;
// ROWS_AT_ONCE a statement.

import { REPORT_TTL_MS } from "../core/limits.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { dateTime, quote } from "./sql-text.ts";
import type { PartEnd } from "./submissions.ts";

/** By operator: what its reports are about. */
export type About = ReadonlyMap<string, readonly string[]>;
export type WaitingEnd = PartEnd & {
  operator: string;
  about: string;
  /** The recipient's digits, if the report names it. */
  phone: string | null;
  receivedAtMs: number;
};

const ROWS_AT_ONCE = 500;
/** Longer than any report waits. */
const WAITING_END_TTL_MS = REPORT_TTL_MS + 3_600_000;
const PURGE_ROWS_MAX = 1_000;

/** Stores these ends; one that was stored before stays as it is. */
export async function keepFirstEnds(conn: Connection, ends: readonly WaitingEnd[]): Promise<void> {
  for (let from = 0; from < ends.length; from += ROWS_AT_ONCE) {
    const values = ends
      .slice(from, from + ROWS_AT_ONCE)
      .map(
        (end) =>
          `(${quote(end.operator)},${quote(end.about)},'${end.status}',${quote(end.error)},` +
          `${end.doneAtMs === null ? "NULL" : dateTime(end.doneAtMs)},${quote(end.phone)},` +
          `${dateTime(end.receivedAtMs)})`,
      );
    await conn.write(
      "INSERT INTO waiting_ends (operator,about,status,error,done_at,phone,received_at) VALUES " +
        `${values.join(",")} ON DUPLICATE KEY UPDATE about=waiting_ends.about`,
    );
  }
}

type Row = {
  about: string;
  status: PartEnd["status"];
  error: string | null;
  done_at: Date | null;
  phone: string | null;
  received_at: Date;
};

/** The ends stored about these. */
export async function findFirstEnds(conn: Connection, about: About): Promise<WaitingEnd[]> {
  const found: WaitingEnd[] = [];
  for (const [operator, of] of about) {
    if (of.length === 0) continue;
    const rows = await conn.query<Row[]>(
      "SELECT about, status, error, done_at, phone, received_at FROM waiting_ends FORCE INDEX (PRIMARY) " +
        `WHERE operator=${quote(operator)} AND about IN (${of.map(quote)})`,
    );
    for (const { done_at, received_at, ...row } of rows)
      found.push({
        ...row,
        operator,
        doneAtMs: done_at?.getTime() ?? null,
        receivedAtMs: received_at.getTime(),
      });
  }
  return found;
}

/** Deletes what is stored about these. */
export async function forgetFirstEnds(conn: Connection, about: About): Promise<void> {
  for (const [operator, of] of about)
    if (of.length > 0)
      await conn.write(
        `DELETE FROM waiting_ends WHERE operator=${quote(operator)} AND about IN (${of.map(quote)})`,
      );
}

/** Deletes what no report waits for any more, some rows at a time: those of operators that are gone. */
export async function purgeWaitingEnds(pool: Pick<Pool, "write">): Promise<void> {
  await pool.write(
    `DELETE FROM waiting_ends WHERE received_at < NOW(3) - INTERVAL ${WAITING_END_TTL_MS * 1_000} ` +
      `MICROSECOND ORDER BY received_at LIMIT ${PURGE_ROWS_MAX}`,
  );
}
