// Stores inbound messages for the customers whose numbers they came to, with the events that tell them, and
// what they ask for: an opt-out or its end. States of an inbound message: in the inbox → part of a longer one
// that waits (inbound-parts.ts) → stored and told | repeated | of an unknown number. Owns which of these it
// is, and the rows of inbound_messages and inbound_seen; leaves reading to src/operators/reports/.
// Invariants: a message of a known number has one row, with one event exactly if its customer has a URL, and
// both are written by the transaction that ends its report; what came before is told once.
// Bound: the callers' messages, of one row of the inbox at a time.

import { boundedText, idKeyOf, type Inbound, partKeyOf, textKeyOf } from "../core/inbound.ts";
import { INBOUND_ID_MS, INBOUND_JOIN_MS, INBOUND_REPEAT_MS, INBOUND_TTL_MS } from "../core/inbound-limits.ts";
import { ulidBound } from "../core/id.ts";
import { commandOf, keywordOf } from "../core/opt-out-words.ts";
import { parsePhone } from "../core/phone.ts";
import { type InboundEvent, inboundIdOf } from "../core/webhook-inbound.ts";
import type { INBOUND_RESULTS } from "../platform/inbound-metrics.ts";
import { type Connection, type Pool, withRetries } from "../platform/mysql.ts";
import { addPart, takeIncomplete } from "./inbound-parts.ts";
import { findNumbers, type NumberOwner, ownersOf } from "./number-owners.ts";
import { addOptOutSql, removeOptOuts } from "./opt-outs.ts";
import { dateTime, quote } from "./sql-text.ts";
import { webhookEventsSql } from "./webhook-events.ts";

/** What became of one: as in inbound-metrics.ts. */
export type InboundResult = (typeof INBOUND_RESULTS)[number];

/** Rows that one DELETE removes of what is over. */
const PURGE_ROWS_MAX = 5_000;

/** Stores these, in order, within the caller's transaction. Returns what became of each. */
export async function storeInbound(conn: Connection, inbounds: readonly Inbound[]): Promise<InboundResult[]> {
  const results: InboundResult[] = [];
  for (const inbound of inbounds) results.push(await storeOne(conn, inbound));
  return results;
}

async function storeOne(conn: Connection, inbound: Inbound): Promise<InboundResult> {
  const { part } = inbound;
  if (part === null) return storeWhole(conn, inbound, true);
  const key = partKeyOf(inbound, part);
  const keys = [key, idKeyOf(inbound)].filter((each) => each !== null);
  if (await isSeen(conn, keys, inbound.receivedAtMs)) return "repeated";
  await see(
    conn,
    keys.map((each) => [each, inbound.receivedAtMs + (each === key ? INBOUND_JOIN_MS : INBOUND_ID_MS)]),
  );
  let result: InboundResult = "part";
  for (const whole of await addPart(conn, inbound, part)) result = await storeWhole(conn, whole, false);
  return result;
}

/** `isNew`: its id may have come before. The ids of parts were looked at when these came. */
async function storeWhole(conn: Connection, inbound: Inbound, isNew: boolean): Promise<InboundResult> {
  const { receivedAtMs } = inbound;
  const owners = ownersOf(await findNumbers(conn, inbound.to), {
    keyword: keywordOf(inbound.text),
    commandOf: (region) => commandOf(inbound.text, region),
  });
  if (owners.length === 0) return "unknown_number";
  const [idKey, textKey] = [isNew ? idKeyOf(inbound) : null, textKeyOf(inbound)];
  const keys = [textKey, idKey].filter((each) => each !== null);
  if (idKey !== null && (await isSeen(conn, [idKey], receivedAtMs))) return "repeated";
  if (await isSeen(conn, [textKey], receivedAtMs)) {
    for (const owner of owners) await obeyRepeat(conn, owner, eventOf(inbound, owner));
    return "repeated";
  }
  await see(
    conn,
    keys.map((each) => [each, receivedAtMs + (each === idKey ? INBOUND_ID_MS : INBOUND_REPEAT_MS)]),
  );
  let result: InboundResult = "untold";
  for (const owner of owners) {
    const event = eventOf(inbound, owner);
    await conn.write(insertSql(event, inbound.to, owner.hasUrl));
    const sql = webhookEventsSql(owner.hasUrl ? [event] : []);
    if (sql !== null) await conn.query(sql);
    if (owner.hasUrl) result = "told";
    await obey(conn, owner, event);
  }
  return result;
}

function eventOf(inbound: Inbound, { customerId, number, keyword, region }: NumberOwner): InboundEvent {
  const { operator, operatorMessageId, from, to, receivedAtMs } = inbound;
  const { text, isCut } = boundedText(inbound.text);
  const phone = phoneOf(from, region);
  return {
    inboundId: inboundIdOf(receivedAtMs, [operator, operatorMessageId, from, to, inbound.text, customerId]),
    customerId,
    url: null,
    operator,
    operatorMessageId,
    from: phone ?? from,
    to: number,
    keyword: keyword === "" ? null : keyword,
    text,
    isCut,
    command: commandOf(inbound.text, region),
    parts: inbound.parts,
    missingParts: inbound.missingParts,
    occurredAtMs: receivedAtMs,
  };
}

/** Operators write numbers with and without a plus, and some as they are dialled at home. */
function phoneOf(from: string, region: string): string | null {
  for (const written of [from, `+${from}`]) {
    const parsed = parsePhone(written, region);
    if ("e164" in parsed) return parsed.e164;
  }
  return null;
}

/** A STOP is kept, a START ends it: of the number that it was sent to. */
async function obey(
  conn: Connection,
  { customerId, number, region }: NumberOwner,
  event: InboundEvent,
): Promise<void> {
  const { from: phone, command } = event;
  if (command === null || !E164.test(phone)) return;
  const optOut = { customerId, phone, sender: number };
  if (command === "stop") await conn.write(addOptOutSql({ ...optOut, source: "inbound" }));
  if (command === "start") await removeOptOuts(conn, { ...optOut, region });
}

/**
 * STOP, START and STOP within a minute: the second STOP is told to nobody, but kept. So is a START, if its
 * own id says that it is no copy of the first.
 */
async function obeyRepeat(conn: Connection, owner: NumberOwner, event: InboundEvent): Promise<void> {
  const isOwn = event.command === "start" && event.operatorMessageId !== null;
  if (event.command === "stop" || isOwn) await obey(conn, owner, event);
}

const E164 = /^\+[1-9][0-9]{3,14}$/;

const insertSql = (event: InboundEvent, recipient: string, told: boolean): string =>
  "INSERT INTO inbound_messages (id,customer_id,operator,operator_message_id,sender,recipient,text,command," +
  `told,received_at) VALUES ('${event.inboundId}',${event.customerId},${quote(event.operator)},` +
  `${quote(event.operatorMessageId)},${quote(event.from)},${quote(recipient)},${quote(event.text)},` +
  `${quote(event.command)},${Number(told)},${dateTime(event.occurredAtMs)}) ` +
  // Its event has the same id, so neither can become two.
  "ON DUPLICATE KEY UPDATE id=inbound_messages.id";

// ---- repeats ----

async function isSeen(
  conn: Pick<Connection, "query">,
  keys: readonly string[],
  receivedAtMs: number,
): Promise<boolean> {
  const rows = await conn.query<unknown[]>(
    `SELECT seen_key FROM inbound_seen WHERE seen_key IN ('${keys.join("','")}') ` +
      `AND expires_at>=${dateTime(receivedAtMs)}`,
  );
  return rows.length > 0;
}

async function see(conn: Connection, keys: readonly (readonly [string, number])[]): Promise<void> {
  const values = keys.map(([key, untilMs]) => `('${key}',${dateTime(untilMs)})`);
  await conn.write(
    `INSERT INTO inbound_seen (seen_key,expires_at) VALUES ${values.join(",")} AS n ` +
      "ON DUPLICATE KEY UPDATE expires_at=n.expires_at",
  );
}

// ---- what passes ----

/** Tells what has waited too long for its other parts; returns what became of each. */
export function tellIncomplete(pool: Pick<Pool, "use">): Promise<InboundResult[]> {
  return withRetries(pool, async (conn) => {
    await conn.query("BEGIN");
    const results: InboundResult[] = [];
    for (const whole of await takeIncomplete(conn)) results.push(await storeWhole(conn, whole, false));
    await conn.query("COMMIT");
    return results;
  });
}

/** Deletes what is over, some rows at a time. */
export async function purgeInbound(pool: Pick<Pool, "write">, nowMs: number): Promise<void> {
  await pool.write(
    `DELETE FROM inbound_messages WHERE id < '${ulidBound(Math.max(0, nowMs - INBOUND_TTL_MS))}' ` +
      `ORDER BY id LIMIT ${PURGE_ROWS_MAX}`,
  );
  // A repeat may wait in the inbox while its first copy is settled.
  await pool.write(
    `DELETE FROM inbound_seen WHERE expires_at < NOW(3) - INTERVAL ${INBOUND_JOIN_MS * 1_000} MICROSECOND ` +
      `ORDER BY expires_at LIMIT ${PURGE_ROWS_MAX}`,
  );
}
