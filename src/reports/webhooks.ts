// A customer's webhooks as it sees them: its settings and endpoints, and the deliveries of the last days,
// newest first. Leaves replays to src/ledger/webhook-replay.ts.
// Invariant: every statement is limited to the caller's customer_id; no secret is ever read here. Bounds:
// LIST_LIMIT_MAX rows, ENDPOINTS_MAX endpoints.

import { ulidBound } from "../core/id.ts";
import type { Status } from "../core/message.ts";
import { type Peer, PEERS } from "../core/peers/form.ts";
import { type EventType, MESSAGE_STATUS } from "../core/webhook-event.ts";
import { readWebhook } from "../customers/webhooks.ts";
import { type DeliveryState, typeOf } from "../ledger/webhook-deliveries.ts";
import { type EndpointState, listEndpoints } from "../ledger/webhook-endpoints.ts";
import { replayableFrom } from "../ledger/webhook-replay.ts";
import type { Pool } from "../platform/mysql.ts";
import { isIdCursor, type Query, readParams } from "./params.ts";

export type WebhookView = {
  url: string | null;
  statuses: Status[];
  /** Whether an event says that an endpoint takes no calls any more. */
  tell_pauses: boolean;
  /** Below which credit it is told so; null: never. */
  low_balance: number | null;
  old_secret_until: string | null;
  endpoints: {
    /** null: the customer's own URL; otherwise of callback_urls. */
    origin: string | null;
    state: EndpointState;
    failures: number;
    failing_since: string | null;
    /** When it was paused or gone the last time. */
    stopped_at: string | null;
    last_error: string | null;
    next_attempt_at: string | null;
  }[];
};
export type WebhookDelivery = {
  id: string;
  type: EventType;
  /** It and the next two are null unless the event is a change of a message. */
  message_id: string | null;
  status: string | null;
  sequence: number | null;
  occurred_at: string;
  /** null: the customer's own. */
  url: string | null;
  /** Whose form it has; null: Sluice's own. */
  form: Peer | null;
  state: DeliveryState;
  attempts: number;
  next_attempt_at: string | null;
  last_code: number | null;
  last_error: string | null;
  updated_at: string;
};
export type DeliveryList = { deliveries: WebhookDelivery[]; next_cursor: string | null };

const ENDPOINTS_MAX = 1_000;
/** Above every ULID. */
const ID_AFTER_ALL = "~";

/** @throws SluiceError not_found, if the customer has no webhook */
export async function webhookView({ pool }: { pool: Pool }, customerId: number): Promise<WebhookView> {
  const { url, statuses, tellPauses, lowBalance, oldSecretUntil } = await readWebhook(pool, customerId);
  const endpoints = await listEndpoints(pool, customerId, ENDPOINTS_MAX);
  return {
    url,
    statuses,
    tell_pauses: tellPauses,
    low_balance: lowBalance,
    old_secret_until: oldSecretUntil,
    endpoints: endpoints.map((row) => ({
      origin: row.endpoint === "" ? null : row.endpoint,
      state: row.state,
      failures: row.failures,
      failing_since: row.failing_since?.toISOString() ?? null,
      stopped_at: row.stopped_at?.toISOString() ?? null,
      last_error: row.error,
      next_attempt_at: row.state === "active" ? (row.run_at?.toISOString() ?? null) : null,
    })),
  };
}

const COLUMNS =
  "event_id, url, form, message_id, sequence, status, occurred_at, state, attempts, run_at, code, error, " +
  "changed_at";
type StoredDelivery = {
  event_id: string;
  url: string | null;
  form: string | null;
  message_id: string;
  sequence: number;
  status: string;
  occurred_at: Date;
  state: DeliveryState;
  attempts: number;
  run_at: Date | null;
  code: number | null;
  error: string | null;
  changed_at: Date;
};

/**
 * Of events that can be replayed and occurred from `from` until before `to`.
 * @throws SluiceError validation_failed
 */
export async function listDeliveries(
  { pool }: { pool: Pool },
  customerId: number,
  query: Query,
): Promise<DeliveryList> {
  const params = readParams(query);
  const before = params.cursor(isIdCursor)?.[0] as string | undefined;
  const [from, to] = [params.time("from"), params.time("to")];
  const [state, limit] = [params.state(), params.limit()];
  if (from !== null && to !== null && from >= to) params.fail("from", "must be before `to`");
  params.check();

  const first = await replayableFrom(pool, from);
  const rows = await pool.query<StoredDelivery[]>(
    `SELECT ${COLUMNS} FROM webhook_deliveries FORCE INDEX (${state === null ? "PRIMARY" : "by_state"}) ` +
      `WHERE customer_id=? AND event_id>=? AND event_id<? ${state === null ? "" : "AND state=? "}` +
      "ORDER BY event_id DESC LIMIT ?",
    [
      customerId,
      first,
      before ?? (to === null ? ID_AFTER_ALL : ulidBound(to)),
      ...(state === null ? [] : [state]),
      limit + 1,
    ],
  );
  const deliveries = rows.slice(0, limit).map(deliveryOf);
  const more = rows.length > limit;
  return { deliveries, next_cursor: more ? params.nextCursor([deliveries.at(-1)?.id as string]) : null };
}

/** Those of a customer's events with these ids, oldest first; an event that wasn't told has none. */
export async function deliveriesOf(
  pool: Pick<Pool, "query">,
  customerId: number,
  eventIds: readonly string[],
): Promise<WebhookDelivery[]> {
  if (eventIds.length === 0) return [];
  const rows = await pool.query<StoredDelivery[]>(
    `SELECT ${COLUMNS} FROM webhook_deliveries FORCE INDEX (PRIMARY) ` +
      "WHERE customer_id=? AND event_id IN (?) ORDER BY event_id",
    [customerId, eventIds],
  );
  return rows.map(deliveryOf);
}

const deliveryOf = (row: StoredDelivery): WebhookDelivery => {
  const type = typeOf(row);
  const isChange = type === MESSAGE_STATUS;
  return {
    id: row.event_id,
    type,
    message_id: isChange ? row.message_id : null,
    status: isChange ? row.status : null,
    sequence: isChange ? row.sequence : null,
    occurred_at: row.occurred_at.toISOString(),
    url: row.url,
    form: PEERS.find((peer) => peer === row.form?.split(" ")[0]) ?? null,
    state: row.state,
    attempts: row.attempts,
    next_attempt_at: row.run_at?.toISOString() ?? null,
    last_code: row.code,
    last_error: row.error,
    updated_at: row.changed_at.toISOString(),
  };
};
