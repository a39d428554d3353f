// Parts of long inbound messages that wait for the others: one row a part. Owns this table's SQL; leaves what
// a message is to core/inbound.ts, and what becomes of a whole one to inbound.ts.
// States of a part: waiting → deleted, in the transaction in which its message is told: whole, or, once
// INBOUND_JOIN_MS have passed or INBOUND_WAITING_PARTS_MAX are exceeded, as much of it as there is.
// Invariant: nothing that was acknowledged is dropped. Bound: the callers' parts; TAKEN_MAX messages a call.

import { type Inbound, type InboundPart, joined, joinKeyOf } from "../core/inbound.ts";
import { INBOUND_JOIN_MS, INBOUND_WAITING_PARTS_MAX } from "../core/inbound-limits.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { blob, dateTime, quote } from "./sql-text.ts";

type PartRow = {
  part: number;
  total: number;
  operator: string;
  operator_message_id: string | null;
  sender: string;
  recipient: string;
  text: Buffer;
  received_at: Date;
};

const COLUMNS = "part, total, operator, operator_message_id, sender, recipient, text, received_at";
/** Messages that are told incomplete in one transaction. */
const TAKEN_MAX = 50;

/**
 * Adds a part to those that wait, within the caller's transaction, and returns what is to be told by now: its
 * message, if this was the last part; one that its reference was used for before, as much as there is of it.
 */
export async function addPart(conn: Connection, inbound: Inbound, part: InboundPart): Promise<Inbound[]> {
  const key = joinKeyOf(inbound, part);
  const waiting = await partsOf(conn, key);
  const same = waiting.find(({ part: other }) => other?.number === part.number);
  if (same?.text === inbound.text) return [];
  const before = same === undefined ? [] : waiting;
  const all = [...(same === undefined ? waiting : []), inbound];
  if (before.length > 0 || all.length === part.total) await deleteParts(conn, key);
  if (all.length === part.total) return [...told(before), joined(all)];
  await conn.write(insertSql(key, inbound, part));
  return told(before);
}

const told = (parts: readonly Inbound[]): Inbound[] => (parts.length === 0 ? [] : [joined(parts)]);

const insertSql = (key: string, inbound: Inbound, { number, total }: InboundPart): string =>
  "INSERT INTO inbound_parts (join_key,part,total,operator,operator_message_id,sender,recipient,text," +
  `received_at) VALUES ('${key}',${number},${total},${quote(inbound.operator)},` +
  `${quote(inbound.operatorMessageId)},${quote(inbound.from)},${quote(inbound.to)},` +
  `${blob(Buffer.from(inbound.text, "utf16le"))},${dateTime(inbound.receivedAtMs)})`;

async function partsOf(conn: Pick<Connection, "query">, key: string): Promise<Inbound[]> {
  const rows = await conn.query<PartRow[]>(
    `SELECT ${COLUMNS} FROM inbound_parts FORCE INDEX (PRIMARY) WHERE join_key='${key}' ` +
      "ORDER BY part FOR UPDATE",
  );
  return rows.map((row) => ({
    operator: row.operator,
    operatorMessageId: row.operator_message_id,
    from: row.sender,
    to: row.recipient,
    text: row.text.toString("utf16le"),
    receivedAtMs: row.received_at.getTime(),
    part: { reference: "", total: row.total, number: row.part },
    parts: 1,
    missingParts: 0,
  }));
}

async function deleteParts(conn: Connection, key: string): Promise<void> {
  await conn.write(`DELETE FROM inbound_parts WHERE join_key='${key}'`);
}

/** Takes messages whose parts have waited long enough, within the caller's transaction. */
export async function takeIncomplete(conn: Connection): Promise<Inbound[]> {
  const [count] = await conn.query<{ n: number }[]>("SELECT COUNT(*) AS n FROM inbound_parts");
  const tooMany = Number(count?.n ?? 0) - INBOUND_WAITING_PARTS_MAX;
  const old = `stored_at < NOW(3) - INTERVAL ${INBOUND_JOIN_MS * 1_000} MICROSECOND`;
  const rows = await conn.query<{ join_key: string }[]>(
    "SELECT join_key FROM inbound_parts FORCE INDEX (by_age) " +
      `${tooMany > 0 ? "" : `WHERE ${old} `}ORDER BY stored_at LIMIT ${TAKEN_MAX} FOR UPDATE`,
  );
  const taken: Inbound[] = [];
  for (const key of new Set(rows.map((row) => row.join_key))) {
    taken.push(...told(await partsOf(conn, key)));
    await deleteParts(conn, key);
  }
  return taken;
}

/** How many parts wait. */
export async function countParts(pool: Pick<Pool, "query">): Promise<number> {
  const [row] = await pool.query<{ n: number }[]>("SELECT COUNT(*) AS n FROM inbound_parts");
  return Number(row?.n ?? 0);
}
