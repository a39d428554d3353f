// Which message an operator's id belongs to: one row for each submit that an operator accepted, written by
// the settlement that captures the message, or makes it `unknown` because another submit of it was lost; and,
// for a message of several submits, how each of them ended.
// Leaves to others: the form of the keys (src/operators/reports/), what an end means for the message.
// Invariant: the first end of a part stays. Bound: rows go with their partition (src/schema/partitions.ts).

import { ulidBound } from "../core/id.ts";
import type { Connection } from "../platform/mysql.ts";
import type { Change } from "./move.ts";
import { dateTime, quote } from "./sql-text.ts";

export type Submission = {
  operator: string;
  /** The operator's id, in the form in which responses and reports are equal. */
  idKey: string;
  operatorMessageId: string;
  messageId: string;
  /** From 0, of `submits`. */
  part: number;
  submits: number;
  /** Whether it was reported how it ended; only known if `submits` is more than 1. */
  isEnded: boolean;
};

/** How a submit ended, as its operator reported it. `error`: printable ASCII, at most 100 characters. */
export type PartEnd = {
  status: "delivered" | "undelivered";
  error: string | null;
  doneAtMs: number | null;
};

/**
 * One INSERT of the submits of these changes; null if none of them will be looked up by an operator's id. An
 * `unknown` message of which a late answer says that all was taken has some rows already: those stay, but of
 * as many submits as are reported now.
 */
export function submissionsSql(changes: readonly Change[]): string | null {
  const values = changes.flatMap(({ record, operator, reported = [] }) =>
    reported.flatMap(({ idKey, operatorMessageId }, part) =>
      idKey === ""
        ? []
        : [
            `('${record.id}',${part},${reported.length},${quote(operator)},${quote(idKey)},` +
              `${quote(operatorMessageId)})`,
          ],
    ),
  );
  return values.length === 0
    ? null
    : "INSERT INTO submissions (message_id,part,submits,operator,id_key,operator_message_id) VALUES " +
        `${values.join(",")} AS n ON DUPLICATE KEY UPDATE submits=n.submits`;
}

type Row = {
  operator: string;
  id_key: string;
  operator_message_id: string;
  message_id: string;
  part: number;
  submits: number;
  status: string | null;
};

/**
 * The submits to these operators with one of these keys, of messages that were accepted after `fromMs`, or,
 * with `untilMs`, before. Reads without locks.
 */
export async function findSubmissions(
  conn: Connection,
  keys: ReadonlyMap<string, readonly string[]>,
  accepted: { fromMs: number } | { untilMs: number },
): Promise<Submission[]> {
  const inTime =
    "fromMs" in accepted
      ? `message_id>='${ulidBound(accepted.fromMs)}'`
      : `message_id<'${ulidBound(accepted.untilMs)}'`;
  const found: Submission[] = [];
  for (const [operator, of] of keys) {
    if (of.length === 0) continue;
    // Every partition of that time is asked, since a report names no message; the hint keeps a young one from
    // being scanned.
    const rows = await conn.query<Row[]>(
      "SELECT operator, id_key, operator_message_id, message_id, part, submits, status " +
        `FROM submissions FORCE INDEX (by_operator_id) WHERE operator=${quote(operator)} ` +
        `AND id_key IN (${of.map(quote)}) AND ${inTime}`,
    );
    for (const row of rows)
      found.push({
        operator: row.operator,
        idKey: row.id_key,
        operatorMessageId: row.operator_message_id,
        messageId: row.message_id,
        part: row.part,
        submits: row.submits,
        isEnded: row.status !== null,
      });
  }
  return found;
}

/** The operator's ids of these messages' submits that have no end yet, by message. */
export async function findNamed(
  conn: Pick<Connection, "query">,
  messageIds: readonly string[],
): Promise<Map<string, string[]>> {
  if (messageIds.length === 0) return new Map();
  const rows = await conn.query<{ message_id: string; operator_message_id: string }[]>(
    "SELECT message_id, operator_message_id FROM submissions FORCE INDEX (PRIMARY) " +
      `WHERE message_id IN ('${messageIds.join("','")}') AND status IS NULL ORDER BY message_id, part`,
  );
  const named = new Map<string, string[]>();
  for (const { message_id, operator_message_id } of rows)
    named.set(message_id, [...(named.get(message_id) ?? []), operator_message_id]);
  return named;
}

/** To whom these messages went, and when they changed last: tells those apart that share an operator's id. */
export async function findRecipients(
  conn: Connection,
  messageIds: readonly string[],
): Promise<Map<string, { phone: string; changedAtMs: number }>> {
  const rows = await conn.query<{ id: string; phone: string; updated_at: Date }[]>(
    "SELECT id, phone, updated_at FROM messages FORCE INDEX (PRIMARY) " +
      `WHERE id IN ('${messageIds.join("','")}')`,
  );
  return new Map(rows.map(({ id, phone, updated_at }) => [id, { phone, changedAtMs: updated_at.getTime() }]));
}

type EndRow = {
  message_id: string;
  part: number;
  submits: number;
  status: PartEnd["status"] | null;
  error: string | null;
  done_at: Date | null;
};

/**
 * Stores how these parts ended, unless they had ended before, and returns all parts of their messages, in
 * order: null for one that has no end yet. The caller holds the messages' locks.
 */
export async function endParts(
  conn: Connection,
  ends: readonly (PartEnd & { messageId: string; part: number })[],
): Promise<Map<string, (PartEnd | null)[]>> {
  for (const { messageId, part, status, error, doneAtMs } of ends) {
    const done = doneAtMs === null ? "NULL" : dateTime(doneAtMs);
    await conn.write(
      `UPDATE submissions FORCE INDEX (PRIMARY) SET error=${quote(error)},done_at=${done},` +
        `status='${status}' WHERE message_id='${messageId}' AND part=${part} AND status IS NULL`,
    );
  }
  const ids = [...new Set(ends.map(({ messageId }) => messageId))];
  const rows = await conn.query<EndRow[]>(
    "SELECT message_id, part, submits, status, error, done_at FROM submissions FORCE INDEX (PRIMARY) " +
      `WHERE message_id IN ('${ids.join("','")}') ORDER BY message_id, part`,
  );
  const all = new Map<string, (PartEnd | null)[]>();
  for (const { message_id, part, submits, status, error, done_at } of rows) {
    // A part to which the operator gave no id has no row: it never ends.
    const parts = all.get(message_id) ?? Array.from({ length: submits }, (): PartEnd | null => null);
    all.set(message_id, parts);
    if (status !== null) parts[part] = { status, error, doneAtMs: done_at?.getTime() ?? null };
  }
  return all;
}
