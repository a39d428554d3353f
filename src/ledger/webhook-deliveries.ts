// Deliveries of webhook events, one row an event. States: pending (run_at says from when) → delivered |
// failed, a dead letter; a replay makes either pending again. Owns these moves and their rows; leaves which
// endpoint is worked on to webhook-endpoints.ts, calls and delays to src/webhook/.
// Invariants: an event becomes a delivery in the transaction that deletes it from webhook_events, so each
// change of a message has exactly one; a delivery leaves `pending` only by what its call, the end of its
// endpoint or that of its customer's webhook says. Bound: the callers' rows of events, WEBHOOK_CHUNK_ROWS_MAX
// deliveries a statement.

import { endpointOf } from "../core/callback-url.ts";
import type { DeadLetter } from "../core/dead-letter.ts";
import {
  WEBHOOK_BODY_CHARS_MAX,
  WEBHOOK_CHUNK_ROWS_MAX,
  WEBHOOK_ENDPOINT_ROWS_MAX,
  WEBHOOK_RETRY_MS,
} from "../core/webhook-limits.ts";
import {
  eventBody,
  eventForm,
  eventIdOf,
  type EventType,
  eventTypeOf,
  MESSAGE_STATUS,
  unpackWebhookEvents,
  type WebhookEvent,
} from "../core/webhook-event.ts";
import { RecordError } from "../core/packed.ts";
import { type Connection, type Pool, withRetries } from "../platform/mysql.ts";
import { keepLetters } from "./dead-letters.ts";
import { byKey, dateTime, quote } from "./sql-text.ts";
import { type EndpointKey, placed, wakeSql } from "./webhook-endpoints.ts";

export const DELIVERY_STATES = ["pending", "delivered", "failed"] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

const ERROR_CHARS_MAX = 100;
const GIVE_UP_AT = `NOW(3) + INTERVAL ${WEBHOOK_RETRY_MS * 1_000} MICROSECOND`;

// ---- from events to deliveries ----

/** `unread`: which rows could not be read, and why; they are dead letters now. */
export type EventsTaken = { rows: number; events: number; unread: string[] };

/** Turns the oldest rows of events, at most `rowsMax` that no other process holds, into deliveries. */
export function takeEvents(pool: Pick<Pool, "use">, rowsMax: number): Promise<EventsTaken> {
  return withRetries(pool, async (conn) => {
    const [, rows] = await conn.query<[unknown, { id: number; payload: Buffer }[]]>(
      "BEGIN;SELECT id, payload FROM webhook_events FORCE INDEX (PRIMARY) " +
        `ORDER BY id LIMIT ${rowsMax} FOR UPDATE SKIP LOCKED`,
    );
    const deliveries: NewDelivery[] = [];
    const dead: DeadLetter[] = [];
    for (const { id, payload } of rows) {
      try {
        deliveries.push(...unpackWebhookEvents(payload).map(deliveryOf));
      } catch (error) {
        // Also a URL or a time that is none: whatever a row holds, those behind it go on.
        const reason = (error as Error).message;
        dead.push({ source: "webhook", place: `webhook_events/${id}`, reason, payload });
      }
    }
    await keepLetters(conn, dead);
    await storeDeliveries(conn, deliveries);
    if (rows.length > 0)
      await conn.query(
        "DELETE /*+ INDEX(webhook_events PRIMARY) */ FROM webhook_events " +
          `WHERE id IN (${rows.map(({ id }) => id)})`,
      );
    await conn.query("COMMIT");
    const unread = dead.map(({ place, reason }) => `${place}: ${reason}`);
    return { rows: rows.length, events: deliveries.length, unread };
  });
}

async function storeDeliveries(conn: Connection, given: readonly NewDelivery[]): Promise<void> {
  if (given.length === 0) return;
  const deliveries = await placed(conn, given);
  for (let at = 0; at < deliveries.length; at += WEBHOOK_CHUNK_ROWS_MAX) {
    const rows = deliveries
      .slice(at, at + WEBHOOK_CHUNK_ROWS_MAX)
      .map(({ endpoint, values }) => `(${values},${quote(endpoint)})`);
    await conn.query(
      "INSERT INTO webhook_deliveries (customer_id,event_id,url,message_id,sequence,status,occurred_at," +
        `body,run_at,give_up_at,form,endpoint) VALUES ${rows.join(",")} ` +
        "ON DUPLICATE KEY UPDATE endpoint=webhook_deliveries.endpoint",
    );
  }
  await conn.query(wakeSql(deliveries, { resume: false }));
}

/** `values`: those of its columns before `endpoint`, as SQL text. */
type NewDelivery = EndpointKey & { values: string };

/** What stands in message_id for an event that is about none. Its type stands in `status`. */
export const NO_MESSAGE = "";

/** The type of a delivery's event. */
export const typeOf = (row: { message_id: string; status: string }): EventType =>
  row.message_id === NO_MESSAGE ? (row.status as EventType) : MESSAGE_STATUS;

/** @throws RecordError */
function deliveryOf(event: WebhookEvent): NewDelivery {
  const { customerId, url } = event;
  const about =
    "messageId" in event
      ? `'${event.messageId}',${event.sequence},'${event.status}'`
      : `'${NO_MESSAGE}',0,'${eventTypeOf(event)}'`;
  const body = eventBody(event);
  if (body.length > WEBHOOK_BODY_CHARS_MAX)
    throw new RecordError(`the body of an event has ${body.length} characters`);
  const values =
    `${customerId},'${eventIdOf(event)}',${quote(url)},${about},${dateTime(event.occurredAtMs)},` +
    `${quote(body)},NOW(3),${GIVE_UP_AT},${quote(eventForm(event))}`;
  return { customerId, endpoint: endpointOf(url), values };
}

/** How many rows of events wait, counted up to `max`, and how long the oldest has. */
export async function waitingEvents(
  pool: Pick<Pool, "query">,
  max: number,
): Promise<{ rows: number; oldestS: number }> {
  const [row] = await pool.query<{ n: number; oldestS: number | string | null }[]>(
    `SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM webhook_events LIMIT ${max}) AS counted) AS n, ` +
      "(SELECT TIMESTAMPDIFF(MICROSECOND, created_at, NOW(3)) / 1e6 FROM webhook_events " +
      "FORCE INDEX (PRIMARY) ORDER BY id LIMIT 1) AS oldestS",
  );
  return { rows: Number(row?.n ?? 0), oldestS: Number(row?.oldestS ?? 0) };
}

// ---- the work of one endpoint ----

export type Delivery = {
  eventId: string;
  url: string | null;
  type: EventType;
  /** What is posted, or the URL that is called (core/peers/callback.ts). */
  body: string;
  /** A peer's form; null: Sluice's own. */
  form: string | null;
  /** The calls so far (core/webhook-calls.ts). */
  calls: string | null;
  attempts: number;
  /** When the event occurred, Unix ms. */
  occurredAtMs: number;
  /** How long it is tried again; at most 0 means not any more. */
  leftMs: number;
  /** When that time is over, Unix ms by the database's clock: another one after a replay. */
  giveUpAtMs: number;
};

type DueRow = {
  event_id: string;
  url: string | null;
  message_id: string;
  status: string;
  body: string;
  form: string | null;
  calls: string | null;
  attempts: number;
  occurred_at: Date;
  left_ms: number | string;
  give_up_at: Date;
};

/** The due deliveries of each of these endpoints, oldest first: `limit` of them, or fewer if that is said. */
export async function dueDeliveries(
  conn: Pick<Connection, "query">,
  keys: readonly (EndpointKey & { limit?: number })[],
): Promise<Delivery[][]> {
  if (keys.length === 0) return [];
  const dueSql = ({ customerId, endpoint, limit = WEBHOOK_ENDPOINT_ROWS_MAX }: (typeof keys)[number]) =>
    "SELECT event_id, url, message_id, status, body, form, calls, attempts, occurred_at, give_up_at, " +
    "TIMESTAMPDIFF(MICROSECOND, NOW(3), give_up_at) / 1000 AS left_ms " +
    "FROM webhook_deliveries FORCE INDEX (due) " +
    `WHERE customer_id=${customerId} AND endpoint=${quote(endpoint)} AND run_at<=NOW(3) ` +
    `ORDER BY run_at, event_id LIMIT ${limit}`;
  const found = await conn.query<DueRow[][]>(`${keys.map(dueSql).join(";")};DO 0`);
  return keys.map((_, at) =>
    (found[at] as DueRow[]).map((row) => ({
      eventId: row.event_id,
      url: row.url,
      type: typeOf(row),
      body: row.body,
      form: row.form,
      calls: row.calls,
      attempts: row.attempts,
      occurredAtMs: row.occurred_at.getTime(),
      leftMs: Number(row.left_ms),
      giveUpAtMs: row.give_up_at.getTime(),
    })),
  );
}

/** What became of one call of a delivery. `delayMs`: until the next one, if it is still pending. */
export type CallOutcome = Pick<Delivery, "eventId" | "giveUpAtMs"> & {
  state: DeliveryState;
  /** The answer's status; null: there was none. */
  code: number | null;
  error: string | null;
  delayMs: number;
  /** The calls so far, this one included; absent if there was none. */
  calls?: string;
};

/**
 * One UPDATE of a customer's deliveries by their calls. What was ended or replayed meanwhile stays so,
 * however late the outcome is stored.
 */
export function outcomesSql(customerId: number, outcomes: readonly CallOutcome[]): string {
  const set = (column: string, valueOf: (outcome: CallOutcome) => string) => {
    const values = outcomes.map((one) => [`_ascii'${one.eventId}'`, valueOf(one)] as const);
    return `${column}=${byKey("event_id", values, column)}`;
  };
  const runAt = ({ state, delayMs }: CallOutcome) =>
    state === "pending" ? `NOW(3) + INTERVAL ${Math.round(delayMs * 1_000)} MICROSECOND` : "NULL";
  const readWith = outcomes.map((one) => [`_ascii'${one.eventId}'`, dateTime(one.giveUpAtMs)] as const);
  return (
    "UPDATE webhook_deliveries FORCE INDEX (PRIMARY) SET " +
    `${set("run_at", runAt)},${set("code", ({ code }) => String(code ?? "NULL"))},` +
    `${set("error", ({ error }) => asciiText(error))},${set("calls", callsSql)},` +
    "attempts=LEAST(attempts+1,65535),changed_at=NOW(3)," +
    `${set("state", ({ state }) => `_ascii'${state}'`)} ` +
    `WHERE customer_id=${customerId} AND event_id IN ('${outcomes.map((o) => o.eventId).join("','")}') ` +
    `AND state='pending' AND give_up_at=${byKey("event_id", readWith, "NULL")}`
  );
}

const callsSql = ({ calls }: CallOutcome): string => (calls === undefined ? "calls" : `_ascii'${calls}'`);

const asciiText = (text: string | null): string =>
  text === null ? "NULL" : `_ascii${quote(text.replace(/[^\x20-\x7e]/g, "?").slice(0, ERROR_CHARS_MAX))}`;

/** One UPDATE that ends what is pending at an endpoint that takes no calls, some of it at a time. */
export const buryPendingSql = ({ customerId, endpoint }: EndpointKey, reason: string): string =>
  "UPDATE webhook_deliveries FORCE INDEX (due) SET state='failed', run_at=NULL, changed_at=NOW(3), " +
  `error=COALESCE(error, ${quote(reason)}) WHERE customer_id=${customerId} ` +
  `AND endpoint=${quote(endpoint)} AND run_at IS NOT NULL LIMIT ${WEBHOOK_CHUNK_ROWS_MAX}`;

/** Why an event is not called whose customer has removed its webhook, or its URL. */
export const NO_WEBHOOK_URL = "the customer has no webhook URL any more";

/** A million deliveries: what a customer gets in a day at a dozen a second. */
const END_STATEMENTS_MAX = 2_000;

/**
 * Ends all that is pending by the webhook of a customer that has removed it, in chunks, each committed by
 * itself: if it stops half-way, and beyond END_STATEMENTS_MAX, the rest ends when it is due. Callbacks in a
 * peer's form stay. Returns how many ended.
 */
export async function endPending(pool: Pick<Pool, "use">, customerId: number): Promise<number> {
  let ended = 0;
  for (let statements = 0; statements < END_STATEMENTS_MAX; statements++) {
    const { affectedRows } = await withRetries(pool, (conn) =>
      conn.write(
        "UPDATE webhook_deliveries FORCE INDEX (by_state) SET state='failed', run_at=NULL, code=NULL, " +
          `error=${quote(NO_WEBHOOK_URL)}, changed_at=NOW(3) ` +
          `WHERE customer_id=${customerId} AND state='pending' AND form IS NULL ` +
          `LIMIT ${WEBHOOK_CHUNK_ROWS_MAX}`,
      ),
    );
    ended += affectedRows;
    if (affectedRows < WEBHOOK_CHUNK_ROWS_MAX) break;
  }
  return ended;
}
