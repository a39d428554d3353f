// Tells customers of endpoints that take no calls any more: an event in webhook_events, written by the
// transaction that stops them, so there is one exactly when an endpoint stopped. It goes to the customer's
// own URL; if that is what stopped, or there is none, to origins of its callback_urls that work. Leaves when
// an endpoint stops to webhook-endpoints.ts, deliveries to webhook-deliveries.ts.
// Bound: TOLD_ORIGINS_MAX events an endpoint; a customer's endpoints are read, WEBHOOK_ORIGINS_MAX or so.

import type { PauseEvent } from "../core/webhook-pause.ts";
import type { Connection } from "../platform/mysql.ts";
import type { Stopped } from "./webhook-endpoints.ts";
import { webhookEventsSql } from "./webhook-events.ts";

/** Enough that somebody reads it, and few enough that 500 origins that die one by one are no flood. */
const TOLD_ORIGINS_MAX = 8;

/** A customer that wants to be told. `own`: the state of its own URL's endpoint; null: never called. */
type Wish = { customer_id: number; url: string | null; own: string | null };

/** Call it in the transaction that stopped these endpoints, after that. Locks nothing. */
export async function tellPauses(
  conn: Pick<Connection, "query">,
  stopped: readonly Stopped[],
): Promise<void> {
  if (stopped.length === 0) return;
  const customerIds = [...new Set(stopped.map(({ customerId }) => customerId))];
  const wishes = await conn.query<Wish[]>(
    "SELECT w.customer_id, w.url, e.state AS own FROM webhooks AS w LEFT JOIN webhook_endpoints AS e " +
      "FORCE INDEX (PRIMARY) ON e.customer_id=w.customer_id AND e.endpoint='' " +
      `WHERE w.customer_id IN (${customerIds}) AND w.tell_pauses`,
  );
  const origins = await workingOrigins(
    conn,
    wishes.filter((wish) => !isReached(wish)),
  );
  const events = stopped.flatMap((one) => {
    const wish = wishes.find(({ customer_id }) => customer_id === one.customerId);
    if (wish === undefined) return [];
    const urls = isReached(wish) ? [null] : (origins.get(one.customerId) ?? []);
    return urls.map((url) => pauseOf(one, wish, url));
  });
  const sql = webhookEventsSql(events);
  if (sql !== null) await conn.query(sql);
}

/** Whether its own URL takes calls. */
const isReached = ({ url, own }: Wish): boolean => url !== null && (own === null || own === "active");

/** A callback_url of each of the first origins, by name, whose last call was acknowledged, by customer. */
async function workingOrigins(
  conn: Pick<Connection, "query">,
  of: readonly Wish[],
): Promise<Map<number, string[]>> {
  const byCustomer = new Map<number, string[]>();
  if (of.length === 0) return byCustomer;
  const rows = await conn.query<{ customer_id: number; url: string }[]>(
    "SELECT customer_id, url FROM webhook_endpoints FORCE INDEX (PRIMARY) " +
      `WHERE customer_id IN (${of.map(({ customer_id }) => customer_id)}) AND state='active' ` +
      "AND failures=0 AND url IS NOT NULL ORDER BY customer_id, endpoint",
  );
  for (const { customer_id, url } of rows) {
    const urls = byCustomer.get(customer_id) ?? [];
    if (urls.length < TOLD_ORIGINS_MAX) byCustomer.set(customer_id, [...urls, url]);
  }
  return byCustomer;
}

const pauseOf = (stopped: Stopped, wish: Wish, url: string | null): PauseEvent => ({
  customerId: stopped.customerId,
  url,
  endpoint: stopped.endpoint,
  endpointUrl: stopped.endpoint === "" ? wish.url : stopped.url,
  state: stopped.state,
  failures: stopped.failures,
  reason: stopped.error,
  occurredAtMs: stopped.atMs,
});
