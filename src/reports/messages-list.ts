// GET /v1/messages/{id} and GET /v1/messages: a customer's messages as they are in MySQL now, newest first.
// Owns their SQL and shape; leaves the timeline to timeline.ts. Invariant: every statement is limited to the
// caller's customer_id. Bound: a filtered page looks at SCAN_ROWS_MAX messages at most, so it may be short;
// only a null next_cursor marks the end.

import { SluiceError } from "../core/errors.ts";
import { readUlid } from "../core/id.ts";
import type { Lane, Status } from "../core/message.ts";
import { validUntilOf } from "../core/retries.ts";
import { findLateReports } from "../ledger/late-reports.ts";
import { quote } from "../ledger/sql-text.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import type { Pool } from "../platform/mysql.ts";
import { idRangeOf } from "./messages-report.ts";
import { isIdCursor, type Query, readParams } from "./params.ts";
import { type Step, stepsOf } from "./steps.ts";
import { changesOf, type PastChange, type TimelineEntry, timelineOf } from "./timeline.ts";
import { isUnavailable } from "./usage-pages.ts";

export type MessageDeps = { pool: Pool; clickhouse: Clickhouse };
export type MessageOwner = { customerId: number; region: string; currency: string };

export type Message = {
  id: string;
  customer_id: string;
  phone: string;
  type: Lane;
  status: Status;
  encoding: string;
  parts: number;
  cost: number;
  currency: string;
  from: string | null;
  reference: string | null;
  /** Submits so far, the current one included. */
  attempts: number;
  last_error: string | null;
  operator: string | null;
  operator_message_id: string | null;
  guaranteed_by: string | null;
  valid_until: string;
  /** When it was to be sent, if that was later than its acceptance. */
  send_at: string | null;
  created_at: string;
  updated_at: string;
};
/**
 * `timeline` and `steps` are null while ClickHouse can't be reached; the message's status is always present.
 */
export type MessageWithTimeline = Message & { timeline: TimelineEntry[] | null; steps: Step[] | null };
export type MessageList = { messages: Message[]; next_cursor: string | null };

/** Entries of a customer that one filtered page may look at: some 50 ms. */
const SCAN_ROWS_MAX = 10_000;
/** What `messageOf` reads, of messages `m`. */
export const MESSAGE_COLUMNS =
  "m.id, m.customer_id, m.lane, m.status, m.phone, m.sender, m.reference, m.encoding, m.parts, m.cost, " +
  "m.attempt, m.sequence, m.operator, m.operator_message_id, m.last_error, m.guaranteed_by, " +
  "m.valid_until, m.send_at, m.created_at, m.updated_at";
/** Above every ULID. */
export const ID_AFTER_ALL = "~";

/** Without its timeline. @throws SluiceError not_found, also for another customer's message */
export async function findMessage(
  pool: Pick<Pool, "query">,
  owner: MessageOwner,
  id: string,
): Promise<Message> {
  return messageOf(await rowOf(pool, owner, id), owner);
}

async function rowOf(
  pool: Pick<Pool, "query">,
  { customerId }: Pick<MessageOwner, "customerId">,
  given: string,
): Promise<StoredMessage> {
  const id = readUlid(given);
  if (id === null) throw new SluiceError("not_found");
  const [row] = await pool.query<StoredMessage[]>(
    `SELECT ${MESSAGE_COLUMNS} FROM messages AS m WHERE m.id = ? AND m.customer_id = ?`,
    [id, customerId],
  );
  if (row === undefined) throw new SluiceError("not_found", { detail: "No such message." });
  return row;
}

/** @throws SluiceError not_found, also for another customer's message */
export async function oneMessage(
  deps: MessageDeps,
  owner: MessageOwner,
  given: string,
): Promise<MessageWithTimeline> {
  return (await messageAndChanges(deps, owner, given)).message;
}

/** Also its changes, null while ClickHouse can't be reached. @throws as oneMessage */
export async function messageAndChanges(
  { pool, clickhouse }: MessageDeps,
  owner: MessageOwner,
  given: string,
): Promise<{ message: MessageWithTimeline; changes: readonly PastChange[] | null }> {
  const row = await rowOf(pool, owner, given);
  const { id } = row;
  const present = {
    id,
    customerId: owner.customerId,
    status: row.status,
    sequence: row.sequence,
    attempt: row.attempt,
    operator: row.operator,
    lastError: row.last_error,
    updatedAtMs: row.updated_at.getTime(),
  };
  const late = await findLateReports(pool, id);
  const changes = await changesOf(clickhouse, present).catch((error: unknown) => {
    if (isUnavailable(error)) return null;
    throw error;
  });
  const message = messageOf(row, owner);
  if (changes === null) return { message: { ...message, timeline: null, steps: null }, changes };
  const told = { ...present, createdAtMs: row.created_at.getTime() };
  const steps = await stepsOf(pool, told, changes, late);
  return { message: { ...message, timeline: timelineOf(changes, present, late), steps }, changes };
}

/** `scanMax`: messages that a filtered page looks at, at most. @throws SluiceError validation_failed */
export async function listMessages(
  { pool, scanMax = SCAN_ROWS_MAX }: { pool: Pool; scanMax?: number },
  owner: MessageOwner,
  query: Query,
): Promise<MessageList> {
  const params = readParams(query);
  const [fromMs, toMs] = [params.time("from"), params.time("to")];
  if (fromMs !== null && toMs !== null && fromMs >= toMs) params.fail("from", "must be before `to`");
  const after = params.cursor(isIdCursor)?.[0] as string | undefined;
  const before = after ?? (toMs === null ? ID_AFTER_ALL : idRangeOf(0, toMs).high);
  const lowest = fromMs === null ? "" : idRangeOf(fromMs, fromMs).low;
  const filters: [condition: string, value: string | Date | null][] = [
    ["status = ?", params.status()],
    ["lane = ?", params.type()],
    ["phone = ?", params.phone(owner.region)],
    ["sender = ?", params.sender()], // asked for by Twilio's door
    ["created_at >= ?", fromMs === null ? null : new Date(fromMs)],
    ["created_at < ?", toMs === null ? null : new Date(toMs)],
  ];
  const limit = params.limit();
  params.check();

  const wanted = filters.filter(([, value]) => value !== null);
  const { customerId } = owner;
  const scanned = (most: number) => newestOf({ customerId, before, lowest, most });
  const rows =
    wanted.length === 0
      ? await pool.query<StoredMessage[]>(`SELECT ${MESSAGE_COLUMNS} ${scanned(limit + 1)}`)
      : await pool.query<StoredMessage[]>(
          `SELECT * FROM (SELECT ${MESSAGE_COLUMNS} ${scanned(scanMax)}) AS scanned
           WHERE ${wanted.map(([condition]) => condition).join(" AND ")} ORDER BY id DESC LIMIT ?`,
          [...wanted.map(([, value]) => value), limit + 1],
        );
  const messages = rows.slice(0, limit).map((row) => messageOf(row, owner));
  if (rows.length > limit)
    return { messages, next_cursor: params.nextCursor([messages.at(-1)?.id as string]) };
  if (wanted.length === 0) return { messages, next_cursor: null };
  const [end] = await pool.query<{ lowest: string | null; count: number }[]>(
    `SELECT MIN(id) AS lowest, COUNT(*) AS count FROM (SELECT m.id ${scanned(scanMax)}) AS scanned`,
  );
  if (end === undefined || end.lowest === null || Number(end.count) < scanMax)
    return { messages, next_cursor: null };
  // Messages that came since the page was read have moved the end of the scan up, above rows of the page.
  const last = messages.at(-1)?.id ?? ID_AFTER_ALL;
  return { messages, next_cursor: params.nextCursor([last < end.lowest ? last : end.lowest]) };
}

type Newest = { customerId: number; before: string; lowest: string; most: number };

/**
 * The FROM of a customer's newest `most` messages `m` with `lowest` <= id < `before`, the newest first. A
 * message that was reserved has an entry with its id, an unreserved one a row with it, both under keys that
 * begin with customer_id: these serve as the index that `messages` itself doesn't need.
 */
export function newestOf({ customerId, before, lowest, most }: Newest): string {
  const idsIn = (table: string, id: string, also: string) =>
    `(SELECT ${id} AS id FROM ${table} WHERE customer_id = ${customerId} AND ${id} < ${quote(before)} ` +
    `AND ${id} >= ${quote(lowest)}${also} ORDER BY ${id} DESC LIMIT ${most})`;
  return (
    `FROM (${idsIn("wallet_ledger", "entry_id", " AND leg = 'open' AND op = 'reserve'")} UNION ALL ` +
    `${idsIn("unreserved_messages", "message_id", "")} ORDER BY id DESC LIMIT ${most}) AS l ` +
    "STRAIGHT_JOIN messages AS m ON m.id = l.id ORDER BY m.id DESC"
  );
}

export type StoredMessage = {
  id: string;
  customer_id: number;
  lane: Lane;
  status: Status;
  phone: string;
  sender: string | null;
  reference: string | null;
  encoding: string;
  parts: number;
  cost: number;
  attempt: number;
  sequence: number;
  operator: string | null;
  operator_message_id: string | null;
  last_error: string | null;
  guaranteed_by: Date | null;
  valid_until: Date | null;
  send_at: Date | null;
  created_at: Date;
  updated_at: Date;
};

/** At these the message's attempt has not begun. */
const UNTRIED: readonly Status[] = ["scheduled", "queued", "canceled"];

export function messageOf(row: StoredMessage, { currency }: Pick<MessageOwner, "currency">): Message {
  const times = {
    createdAtMs: row.created_at.getTime(),
    validUntilMs: row.valid_until?.getTime() ?? null,
    ...(row.send_at === null ? {} : { sendAtMs: row.send_at.getTime() }),
  };
  return {
    id: row.id,
    customer_id: String(row.customer_id),
    phone: row.phone,
    type: row.lane,
    status: row.status,
    encoding: row.encoding,
    parts: row.parts,
    cost: Number(row.cost),
    currency,
    from: row.sender,
    reference: row.reference,
    attempts: row.attempt + (UNTRIED.includes(row.status) ? 0 : 1),
    last_error: row.last_error,
    operator: row.operator,
    operator_message_id: row.operator_message_id,
    guaranteed_by: row.guaranteed_by?.toISOString() ?? null,
    valid_until: new Date(validUntilOf(times)).toISOString(),
    send_at: row.send_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
