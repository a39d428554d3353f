// Submits of which nobody knows what became of them: of messages that are `unknown`, or `sending` by a sender
// that may be gone; and of those that have rows of their own: they were submitted to another operator after
// their answer was lost, or were refused, or have ended, although the operator may still report on them by an
// id that nobody knows. The claims are the index of the former, the ends of their numbers that of the latter.
// Leaves to src/dlr/find.ts which report is about one of them, to src/sender/look-ups.ts asking operators.
// Bounds: by number, UNSURE_MAX of them, with more nothing is said about any; a page of the unknown ones is
// as long as its reader wants, and one claim; LOST_TTL_MS.

import { LOST_TTL_MS } from "../core/limits.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { ANY_OPERATOR, type Change } from "./move.ts";
import { quote } from "./sql-text.ts";

export type UnsureSubmit = {
  /** Of its message. */
  id: string;
  phone: string;
  from: string | null;
  parts: number;
  /** Who may have it; null: nobody knows that either. */
  operator: string | null;
  /** Its id there, or that of its first part, if the operator named it all the same. */
  operatorMessageId: string | null;
  /** Of its message; null: it was submitted to another operator, too, was refused, or has ended. */
  status: "sending" | "unknown" | null;
  changedAtMs: number;
};

/** So many digits at the end of two forms of one number are the same: an index has them. */
export const PHONE_END_DIGITS = 7;
export const UNSURE_MAX = 20_000;
const IDS_AT_ONCE = 1_000;
const CLAIMS_AT_ONCE = 1_000;
const PURGE_ROWS_MAX = 1_000;

type Row = Omit<UnsureSubmit, "from" | "operatorMessageId" | "changedAtMs"> & {
  sender: string | null;
  operator_message_id: string | null;
  updated_at: Date;
};

/** A place in the order in which claims end. */
export type ClaimPlace = { expiresAt: string; claimId: string };

/**
 * Those of messages that are `unknown`, of the claims behind this place, the oldest first: of so many ids,
 * and the rest of a claim. `next`: the place behind them; null at the end. Reads without locks.
 */
export async function findUnknown(
  conn: Pick<Connection, "query">,
  after: ClaimPlace | null,
  idsMax: number,
): Promise<{ found: UnsureSubmit[]; next: ClaimPlace | null }> {
  const behind =
    after === null
      ? ""
      : `AND expires_at>=${quote(after.expiresAt)} ` +
        `AND (expires_at>${quote(after.expiresAt)} OR claim_id>${quote(after.claimId)}) `;
  const claims = await conn.query<(ClaimPlace & { ids: string })[]>(
    "SELECT claim_id AS claimId, CAST(expires_at AS CHAR) AS expiresAt, ids " +
      "FROM claims FORCE INDEX (by_expiry) " +
      `WHERE kind='unknown' ${behind}ORDER BY expires_at, claim_id LIMIT ${CLAIMS_AT_ONCE}`,
  );
  const ids: string[] = [];
  const read: ClaimPlace[] = [];
  for (const { ids: some, ...place } of claims) {
    if (ids.length >= idsMax) break;
    ids.push(...some.split(","));
    read.push(place);
  }
  const isEnd = read.length === claims.length && claims.length < CLAIMS_AT_ONCE;
  const found = (await readMessages(conn, ids)).filter(({ status }) => status === "unknown");
  return { found, next: isEnd ? null : (read.at(-1) ?? null) };
}

/**
 * All of any lane and operator, but of those that have rows of their own only those to numbers with one of
 * these ends; null if there are too many. Reads without locks.
 */
export async function findUnsure(
  conn: Pick<Connection, "query">,
  phoneEnds: readonly string[],
): Promise<UnsureSubmit[] | null> {
  const claims = await conn.query<{ ids: string }[]>("SELECT ids FROM claims");
  const ids = claims.flatMap((claim) => claim.ids.split(","));
  const lost = await findLost(conn, phoneEnds);
  if (ids.length + lost.length > UNSURE_MAX) return null;
  const rows = lost.map(({ message_id: id, operator, phone, lost_at }): UnsureSubmit => {
    const unknown = { from: null, parts: 1, operatorMessageId: null, status: null };
    const by = operator === ANY_OPERATOR ? null : operator;
    return { id, phone, operator: by, changedAtMs: lost_at.getTime(), ...unknown };
  });
  return [...rows, ...(await readMessages(conn, ids))];
}

/** Those of them that are still `sending` or `unknown`. */
async function readMessages(
  conn: Pick<Connection, "query">,
  ids: readonly string[],
): Promise<UnsureSubmit[]> {
  const found: UnsureSubmit[] = [];
  for (let from = 0; from < ids.length; from += IDS_AT_ONCE) {
    const some = ids.slice(from, from + IDS_AT_ONCE).join("','");
    const rows = await conn.query<Row[]>(
      "SELECT id, phone, sender, parts, operator, operator_message_id, status, updated_at " +
        `FROM messages FORCE INDEX (PRIMARY) WHERE id IN ('${some}') AND status IN ('sending','unknown')`,
    );
    for (const { sender: from, operator_message_id: operatorMessageId, updated_at, ...row } of rows)
      found.push({ ...row, from, operatorMessageId, changedAtMs: updated_at.getTime() });
  }
  return found;
}

type LostRow = { message_id: string; operator: string; phone: string; lost_at: Date };
const findLost = (conn: Pick<Connection, "query">, phoneEnds: readonly string[]): Promise<LostRow[]> =>
  conn.query(
    "SELECT message_id, operator, phone, lost_at FROM lost_submits FORCE INDEX (by_phone_end) " +
      `WHERE RIGHT(phone,${PHONE_END_DIGITS}) IN (${phoneEnds.map((end) => `_ascii${quote(end)}`)}) ` +
      `LIMIT ${UNSURE_MAX + 1}`,
  );

/** One INSERT of what these changes leave behind (`lostAt`), from now on; null if that is nothing. */
export function lostSubmitsSql(changes: readonly Change[]): string | null {
  const values = changes.flatMap(({ record: { id, phone }, lostAt = [] }) =>
    lostAt.map((operator) => `('${id}',${quote(operator)},${quote(phone)})`),
  );
  return values.length === 0
    ? null
    : `INSERT INTO lost_submits (message_id,operator,phone) VALUES ${values.join(",")} ` +
        "ON DUPLICATE KEY UPDATE lost_at=NOW(3)";
}

/** Deletes those that no report can be about any more, some at a time; returns whether there may be more. */
export async function purgeLostSubmits(pool: Pick<Pool, "write">): Promise<boolean> {
  const { affectedRows } = await pool.write(
    `DELETE FROM lost_submits WHERE lost_at < NOW(3) - INTERVAL ${LOST_TTL_MS * 1_000} MICROSECOND ` +
      `ORDER BY lost_at LIMIT ${PURGE_ROWS_MAX}`,
  );
  return affectedRows === PURGE_ROWS_MAX;
}
