// One message for whoever runs Sluice, whosever it is: by its own id, with its entries and webhooks beside
// what its customer sees of it; or by the id that an operator gave it. And why an operator refused messages.
// Leaves to others: what a customer sees (messages-list.ts), and under which keys an operator's id may be
// stored (src/operators/reports/).
// Invariant: no message's text is read here, for it may be a one-time code. Bounds: FOUND_MAX rows,
// max_execution_time.

import { endpointOf } from "../core/callback-url.ts";
import { SluiceError } from "../core/errors.ts";
import { readUlid, ULID_TIME_MAX_MS } from "../core/id.ts";
import {
  type Message,
  MESSAGE_COLUMNS,
  messageAndChanges,
  type MessageDeps,
  messageOf,
  type MessageOwner,
  type MessageWithTimeline,
  type StoredMessage,
} from "./messages-list.ts";
import { idRangeOf } from "./messages-report.ts";
import { changeIdsOf } from "./steps.ts";
import { entriesOfMessage, type LedgerEntry } from "./wallet.ts";
import { deliveriesOf, type WebhookDelivery } from "./webhooks.ts";

/** A webhook, with the origin of its URL only, whose path may have a secret; null: the customer's own. */
type MessageWebhook = Omit<WebhookDelivery, "url"> & { endpoint: string | null };
/** `webhooks`: null while ClickHouse can't be reached, as are `timeline` and `steps`. */
export type WholeMessage = MessageWithTimeline & {
  entries: LedgerEntry[];
  webhooks: MessageWebhook[] | null;
};

const FOUND_MAX = 100;
/** Of the report, unless a period is named. */
const PERIOD_DEFAULT_MS = 24 * 3_600_000;
const EXECUTION_MAX_S = 60;

/** @throws SluiceError not_found */
export async function wholeMessage(deps: MessageDeps, given: string): Promise<WholeMessage> {
  const { pool } = deps;
  const id = readUlid(given);
  const owner = id === null ? null : await ownerOf(deps, id);
  if (id === null || owner === null) throw new SluiceError("not_found", { detail: "No such message." });
  const { message, changes } = await messageAndChanges(deps, owner, id);
  const entries = await entriesOfMessage(pool, owner.customerId, id);
  if (changes === null) return { ...message, entries, webhooks: null };
  const deliveries = await deliveriesOf(pool, owner.customerId, changeIdsOf(id, changes));
  const webhooks = deliveries.map(({ url, ...row }) => ({ ...row, endpoint: endpointOf(url) || null }));
  return { ...message, entries, webhooks };
}

async function ownerOf({ pool }: Pick<MessageDeps, "pool">, id: string): Promise<MessageOwner | null> {
  const [row] = await pool.query<{ customer_id: number; region: string; currency: string }[]>(
    `SELECT c.customer_id, c.region, c.currency FROM messages AS m
     JOIN customers AS c ON c.customer_id = m.customer_id WHERE m.id = ?`,
    [id],
  );
  return row === undefined
    ? null
    : { customerId: Number(row.customer_id), region: row.region, currency: row.currency };
}

export type Quoted = {
  operator: string;
  /** The id as it may stand in a message's row. */
  ids: readonly string[];
  /** The keys under which a submit with it may be stored. */
  keys: readonly string[];
  /** When the message was accepted, in Unix ms: from <= time < to. */
  fromMs: number | null;
  toMs: number | null;
};
export type Found = {
  /** Newest first. Several: parts of one message are one, but operators give an id again. */
  messages: Message[];
  /** Of which the report was asked, because no submit is stored under such a key. */
  reported: { from: string; to: string } | null;
};

/**
 * The messages with this id of their operator. The submits in MySQL are asked first: they are kept for over a
 * month, but there are none where reports name our ids. Then the report, which reads all of the period.
 * @throws SluiceError reports_unavailable
 */
export async function findByOperator(deps: MessageDeps, quoted: Quoted): Promise<Found> {
  const submitted = await messagesOf(deps, await idsOfSubmits(deps, quoted));
  const messages = submitted.filter(({ created_at }) => isWithin(quoted, Date.parse(created_at)));
  if (messages.length > 0) return { messages, reported: null };
  const toMs = quoted.toMs ?? Date.now();
  const fromMs = quoted.fromMs ?? Math.max(0, toMs - PERIOD_DEFAULT_MS);
  const reported = await idsOfReport(deps, { ...quoted, fromMs, toMs });
  const period = { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() };
  return { messages: await messagesOf(deps, reported), reported: period };
}

const isWithin = ({ fromMs, toMs }: Quoted, atMs: number): boolean =>
  (fromMs === null || atMs >= fromMs) && (toMs === null || atMs < toMs);

async function idsOfSubmits(
  { pool }: Pick<MessageDeps, "pool">,
  { operator, keys, fromMs, toMs }: Quoted,
): Promise<string[]> {
  const { low, high } = idRangeOf(fromMs ?? 0, toMs ?? ULID_TIME_MAX_MS);
  const rows = await pool.query<{ id: string }[]>(
    "SELECT DISTINCT message_id AS id FROM submissions FORCE INDEX (by_operator_id) " +
      "WHERE operator=? AND id_key IN (?) AND message_id>=? AND message_id<? " +
      "ORDER BY message_id DESC LIMIT ?",
    [operator, keys, low, high, FOUND_MAX],
  );
  return rows.map(({ id }) => id);
}

async function idsOfReport(
  { clickhouse }: Pick<MessageDeps, "clickhouse">,
  { operator, ids, fromMs, toMs }: Quoted & { fromMs: number; toMs: number },
): Promise<string[]> {
  const rows = await clickhouse.query<{ id: string }>(
    `SELECT DISTINCT id FROM messages_log
     WHERE created_at >= fromUnixTimestamp64Milli({from:Int64})
       AND created_at < fromUnixTimestamp64Milli({to:Int64})
       AND operator = {operator:String} AND operator_message_id IN {ids:Array(String)}
     ORDER BY id DESC LIMIT {count:UInt32} SETTINGS max_execution_time = ${EXECUTION_MAX_S}`,
    { operator, ids, from: fromMs, to: toMs, count: FOUND_MAX },
  );
  return rows.map(({ id }) => id);
}

export type Refusals = {
  why: string;
  messages: number;
  /** The id of the newest of them. */
  newest: string;
};

/**
 * Why an operator refused messages that were accepted within a period, the most frequent reason first.
 * @throws SluiceError reports_unavailable
 */
export async function refusalsBy(
  { clickhouse }: Pick<MessageDeps, "clickhouse">,
  { operator, fromMs, toMs }: { operator: string; fromMs: number; toMs: number },
): Promise<Refusals[]> {
  const rows = await clickhouse.query<{ why: string; messages: string | number; newest: string }>(
    `SELECT refusal.2 AS why, uniqExact(id) AS messages, max(id) AS newest
     FROM messages_log ARRAY JOIN arrayZip(refused_by, refused_why) AS refusal
     WHERE created_at >= fromUnixTimestamp64Milli({from:Int64})
       AND created_at < fromUnixTimestamp64Milli({to:Int64})
       AND has(refused_by, {operator:String}) AND refusal.1 = {operator:String}
     GROUP BY why ORDER BY messages DESC, why LIMIT {count:UInt32}
     SETTINGS max_execution_time = ${EXECUTION_MAX_S}`,
    { operator, from: fromMs, to: toMs, count: FOUND_MAX },
  );
  return rows.map((row) => ({ ...row, messages: Number(row.messages) }));
}

async function messagesOf({ pool }: Pick<MessageDeps, "pool">, ids: readonly string[]): Promise<Message[]> {
  if (ids.length === 0) return [];
  const rows = await pool.query<(StoredMessage & { currency: string })[]>(
    `SELECT ${MESSAGE_COLUMNS}, c.currency FROM messages AS m
     JOIN customers AS c ON c.customer_id = m.customer_id WHERE m.id IN (?) ORDER BY m.id DESC`,
    [ids],
  );
  return rows.map((row) => messageOf(row, row));
}
