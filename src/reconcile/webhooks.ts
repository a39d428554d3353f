// Checks what customers were told of: that each change of a message which they asked to be told of has one
// event, that each event is of a change that was made, and that each is delivered, failed, or going to be
// called. What they asked for stands in the message's own row, since its acceptance, so later settings change
// nothing here. Leaves other rows of a message to rows.ts, and deliveries themselves to src/webhook/.
// Of a message's past its row says only how often it was queued and what it is now; `unknown` and `sent` that
// it left behind may have an event, but none is missed. A change's event is in webhook_events until it is
// taken, and in webhook_deliveries from then on: in one snapshot it is in one of them.
// An inbound message and its event have one id, so each is looked for by the other.
// An event that an endpoint was paused, or that credit is low, is about no message. An endpoint's row says
// when it stopped the last time, and nothing what the credit was; where a pause had to be told then is not
// known afterwards either, so of those events none is missed.
// Bounds: messages of WINDOW_MS, because events are large rows, and old ones are dropped; each of their
// events is read once, by the key that leads to it, and sums alone unless they differ.

import assert from "node:assert/strict";
import { maskOf, TOLD_STATUSES } from "../core/callback.ts";
import { ulidBound } from "../core/id.ts";
import { canMove, sequenceOf, STATUSES, type Status } from "../core/message.ts";
import { unpackWebhookEvents } from "../core/webhook-event.ts";
import { WEBHOOK_RETRY_MS, WEBHOOK_TTL_MS } from "../core/webhook-limits.ts";
import { MESSAGE_RECEIVED } from "../core/webhook-inbound.ts";
import { WALLET_LOW } from "../core/webhook-low-balance.ts";
import { ENDPOINT_PAUSED } from "../core/webhook-pause.ts";
import { quote } from "../ledger/sql-text.ts";
import { NO_MESSAGE } from "../ledger/webhook-deliveries.ts";
import type { Connection } from "../platform/mysql.ts";
import { at, type Books, messagesOf, messagesSince, ofScope, PENDING_MS } from "./books.ts";
import { type Drift, driftOf, isAllCustomers, type CustomerRange } from "./result.ts";
import { driftsOf } from "./rows.ts";

const DAY_MS = 86_400_000;
/** Checked again and again in this time, and hardly a message takes longer to end. */
const WINDOW_MS = 2 * DAY_MS;
/** A message's first event may be this much older than its id, if a clock was set back. */
const ID_SLACK_MS = 600_000;
/** A process that slept settles late what it had decided. */
const LATE_MS = 3_600_000;
assert(WINDOW_MS + ID_SLACK_MS < WEBHOOK_TTL_MS, "no event is dropped while its message is checked");

// ---- the rules, of a delivery `d` and its message `m` ----

const FIRST = sequenceOf(0, "queued");
const STEP = sequenceOf(1, "queued") - FIRST;
assert(STEP % 2 === 0, "half of it is the factor of a sum");

const quotedList = (statuses: readonly Status[]): string => statuses.map((one) => `'${one}'`).join(",");
const byStatus = (column: string, of: readonly Status[], valueOf: (status: Status) => string | number) =>
  `CASE ${column} ${of.map((one) => `WHEN '${one}' THEN ${valueOf(one)}`).join(" ")} ELSE 0 END`;

/** Whether a message at `to` may have been at `from` within the same attempt. */
const leadsTo = (from: Status, to: Status): boolean =>
  from === to ||
  STATUSES.some(
    (next) => canMove(from, next) && sequenceOf(0, next) > sequenceOf(0, from) && leadsTo(next, to),
  );
const toldBefore = (to: Status): string => quotedList(TOLD_STATUSES.filter((from) => leadsTo(from, to)));

/** Its message made this change, and its customer asked to be told. Attempts that are over were queued. */
const CHANGED = `m.customer_id = d.customer_id
  AND m.callback_statuses & (${byStatus("d.status", TOLD_STATUSES, (one) => maskOf([one]))}) <> 0
  AND d.sequence MOD ${STEP} = (${byStatus("d.status", TOLD_STATUSES, (one) => sequenceOf(0, one))})
  AND CASE WHEN d.sequence DIV ${STEP} < m.attempt THEN d.status IN (${toldBefore("sending")})
    ELSE d.sequence DIV ${STEP} = m.attempt
      AND (${byStatus("m.status", STATUSES, (one) => `d.status IN (${toldBefore(one)})`)}) END`;

/** An endpoint of its customer stopped then, or has stopped again since. */
const STOPPED = `d.status = '${ENDPOINT_PAUSED}' AND d.sequence <=> 0 AND (
    SELECT COUNT(*) FROM webhook_endpoints AS s FORCE INDEX (PRIMARY)
    WHERE s.customer_id = d.customer_id AND s.stopped_at >= d.occurred_at
  ) > 0`;
/** It came in for its customer; its event has its id. */
const RECEIVED = `d.status = '${MESSAGE_RECEIVED}' AND d.sequence <=> 0 AND (
    SELECT COUNT(*) FROM inbound_messages AS i FORCE INDEX (PRIMARY)
    WHERE i.id = d.event_id AND i.customer_id = d.customer_id
  ) > 0`;
/** Nothing tells afterwards what the credit was. */
const FELL = `d.status = '${WALLET_LOW}' AND d.sequence <=> 0`;
const ABOUT_NONE = `d.message_id = '${NO_MESSAGE}'`;
const OTHERS = `(${STOPPED}) OR (${FELL}) OR (${RECEIVED})`;
const HAPPENED = `CASE WHEN ${ABOUT_NONE} THEN ${OTHERS} ELSE ${CHANGED} END`;

/** Its state and the other columns say the same. */
const SOUND = `CASE d.state WHEN 'pending' THEN d.run_at IS NOT NULL
  WHEN 'delivered' THEN d.run_at IS NULL AND d.error IS NULL AND d.attempts > 0 AND d.code BETWEEN 200 AND 299
  ELSE d.run_at IS NULL AND d.error IS NOT NULL END`;

/** What its message's row tells: it was scheduled, it was queued, and this is what it became last. */
const SAID = "(d.status IN ('scheduled','queued') OR d.sequence <=> m.sequence)";

// Every message begins as `queued`, or as `scheduled` if it has a `send_at` (src/ledger/accept.ts), and is
// queued once more with each attempt. Only a scheduled one is canceled.
const NOW_TOLD = TOLD_STATUSES.filter((status) => status !== "queued");
assert(
  STATUSES.every((from) => canMove(from, "canceled") === (from === "scheduled")),
  "a message that is canceled was never queued",
);
assert(sequenceOf(0, "scheduled") === 0, "the event of a scheduled message adds nothing to a sum");
const WANTS_QUEUED = `(m.callback_statuses & ${maskOf(["queued"])} <> 0)`;
const WANTS_NOW = `(m.callback_statuses & (${byStatus("m.status", NOW_TOLD, (one) => maskOf([one]))}) <> 0)`;
/** How often it was queued, and whether it was scheduled and isn't any more. */
const QUEUED = "(m.status NOT IN ('scheduled','canceled')) * (m.attempt + 1)";
const WAS_SCHEDULED =
  `(m.callback_statuses & ${maskOf(["scheduled"])} <> 0 AND m.send_at IS NOT NULL ` +
  "AND m.status <> 'scheduled')";
/** How many events a message's row asks for, and the sum of their sequences. */
const EVENTS = `(${WAS_SCHEDULED} + ${WANTS_QUEUED} * ${QUEUED} + ${WANTS_NOW})`;
const SEQUENCES =
  `(${WANTS_QUEUED} * ${QUEUED} * (${STEP / 2} * m.attempt + ${FIRST}) + ` + `${WANTS_NOW} * m.sequence)`;

const isTrue = (rule: string): string => `COALESCE(${rule}, FALSE)`;

// ---- what is read ----

/** Ids of messages and events from which on they are checked; changes until then, and all their events. */
type Window = { messages: string; events: string; until: string };
type Sums = { customer_id: number; count: number; fingerprint: string };
type ToldSums = Sums & { strange: number; unsound: number };

/** Checks every invariant of webhooks. Call within the snapshot in which the books were read. */
export async function checkWebhooks(
  conn: Connection,
  { scope, nowMs, customers }: Pick<Books, "scope" | "nowMs" | "customers">,
): Promise<Drift[]> {
  const oldest = await oldestWaiting(conn);
  const window: Window = {
    messages: quote(ulidBound(Math.max(0, nowMs - WINDOW_MS))),
    events: quote(ulidBound(Math.max(0, nowMs - WINDOW_MS - ID_SLACK_MS))),
    until: at(Math.min(nowMs + DAY_MS, oldest?.fromMs ?? Number.POSITIVE_INFINITY)),
  };
  const told = byCustomer(await conn.query<ToldSums[]>(toldSql(scope, window)));
  const isAsked = [...customers.values()].some((customer) => customer.told > 0);
  const asked = byCustomer(isAsked ? await conn.query<Sums[]>(askedSql(scope, window)) : []);
  const drifts: Drift[] = [];
  for (const customerId of new Set([...told.keys(), ...asked.keys()])) {
    const found = told.get(customerId);
    if (!isEqual(found, asked.get(customerId)))
      drifts.push(...(await driftsOf(conn, notToldSql(customerId, window))));
    if (Number(found?.strange ?? 0) + Number(found?.unsound ?? 0) > 0)
      drifts.push(...(await driftsOf(conn, notRightSql(customerId, window))));
  }
  drifts.push(...(await driftsOf(conn, inboundSql(scope, window))));
  drifts.push(...(await driftsOf(conn, notDueSql(scope, nowMs))));
  if (isAllCustomers(scope)) drifts.push(...notTaken(oldest, nowMs));
  return drifts;
}

const byCustomer = <T extends Sums>(rows: readonly T[]): Map<number, T> =>
  new Map(rows.map((row) => [Number(row.customer_id), row]));

function isEqual(a: Sums | undefined, b: Sums | undefined): boolean {
  const text = (sums: Sums | undefined) => `${sums?.count ?? 0} ${sums?.fingerprint ?? 0}`;
  return text(a) === text(b);
}

/** The events of some customers, with their messages. */
const deliveries = (scope: CustomerRange, { messages, events }: Window): string =>
  "webhook_deliveries AS d FORCE INDEX (PRIMARY) " +
  "LEFT JOIN messages AS m FORCE INDEX (PRIMARY) ON m.id = d.message_id " +
  `WHERE ${ofScope(scope, "d.")} AND d.event_id >= ${events} ` +
  `AND (d.message_id >= ${messages} OR ${ABOUT_NONE})`;

const sumsOf = (count: string, fingerprint: string): string =>
  `CAST(SUM(${count}) AS SIGNED) AS count, CAST(SUM(${fingerprint}) AS CHAR) AS fingerprint`;

function toldSql(scope: CustomerRange, window: Window): string {
  const isCounted = isTrue(`${CHANGED} AND ${SAID} AND m.updated_at < ${window.until}`);
  return `SELECT d.customer_id, ${sumsOf(isCounted, `${isCounted} * CRC32(d.message_id) * d.sequence`)},
      CAST(SUM(NOT ${isTrue(HAPPENED)}) AS SIGNED) AS strange,
      CAST(SUM(NOT ${isTrue(SOUND)}) AS SIGNED) AS unsound
    FROM ${deliveries(scope, window)} GROUP BY d.customer_id`;
}

const askedSql = (scope: CustomerRange, { messages, until }: Window): string =>
  `SELECT m.customer_id, ${sumsOf(EVENTS, `CRC32(m.id) * ${SEQUENCES}`)}
   FROM ${messagesSince(scope, messages)} AND m.callback_statuses IS NOT NULL AND m.updated_at < ${until}
   GROUP BY m.customer_id`;

/** The messages of a customer of which a change has no event, or two. */
function notToldSql(customerId: number, window: Window): string {
  const scope = { low: customerId, high: customerId };
  return `SELECT m.customer_id, m.id AS entry_id, 'change_is_told' AS rule, NULL AS op, NULL AS amount,
      CONCAT('message is ', m.status, ' at sequence ', m.sequence, ', told were ',
        COALESCE(e.sequences, 'none')) AS detail
    FROM ${messagesOf(scope, `AND entry_id >= ${window.messages}`)}
    LEFT JOIN (
      SELECT d.message_id, COUNT(*) AS events, SUM(d.sequence) AS total,
        GROUP_CONCAT(d.sequence ORDER BY d.sequence) AS sequences
      FROM ${deliveries(scope, window)} AND ${isTrue(`${CHANGED} AND ${SAID}`)} GROUP BY d.message_id
    ) AS e ON e.message_id = m.id
    WHERE m.callback_statuses IS NOT NULL AND m.updated_at < ${window.until}
      AND (COALESCE(e.events, 0) <> ${EVENTS} OR COALESCE(e.total, 0) <> ${SEQUENCES})`;
}

/** The events of a customer that are of no change, and those whose columns disagree. */
function notRightSql(customerId: number, window: Window): string {
  const of = (rule: string, detail: string, isRight: string) =>
    `SELECT d.customer_id, d.event_id AS entry_id, '${rule}' AS rule, NULL AS op, NULL AS amount,
       CONCAT(${detail}) AS detail
     FROM ${deliveries({ low: customerId, high: customerId }, window)} AND NOT ${isTrue(isRight)}`;
  const change =
    `IF(${ABOUT_NONE}, 'no endpoint has stopped since', CONCAT('message ', d.message_id, ' is ', ` +
    "COALESCE(CONCAT(m.status, ' at sequence ', m.sequence), 'not there'))), " +
    "', told was ', d.status, ' at ', d.sequence";
  const state =
    "d.state, ' with code ', COALESCE(d.code, 'none'), ' after ', d.attempts, ' attempts, due ', " +
    "COALESCE(d.run_at, 'never')";
  return `${of("told_change_happened", change, HAPPENED)} UNION ALL ${of("webhook_ends", state, SOUND)}`;
}

/** Inbound messages that should have an event and have none, and those that have one and shouldn't. */
const inboundSql = (scope: CustomerRange, { events, until }: Window): string =>
  `SELECT i.customer_id, i.id AS entry_id, 'inbound_is_told' AS rule, NULL AS op, NULL AS amount,
     CONCAT('received ', i.received_at, ', ',
       IF(i.told, 'its event is missing', 'nobody wants its event')) AS detail
   FROM inbound_messages AS i FORCE INDEX (by_customer)
   LEFT JOIN webhook_deliveries AS d FORCE INDEX (PRIMARY)
     ON d.customer_id = i.customer_id AND d.event_id = i.id
   WHERE ${ofScope(scope, "i.")} AND i.id >= ${events} AND i.stored_at < ${until}
     AND i.told <> (d.event_id IS NOT NULL)`;

/**
 * Endpoints at which something is pending that nobody will call: no row makes them due, nobody has worked on
 * them for a day, or a call is put off beyond its event's time. A slow endpoint may be days behind: it is
 * worked on.
 */
function notDueSql(scope: CustomerRange, nowMs: number): string {
  const [longAgo, latest] = [at(nowMs - WEBHOOK_RETRY_MS), at(nowMs + WEBHOOK_RETRY_MS + LATE_MS)];
  return `SELECT w.customer_id, IF(w.endpoint = '', 'own URL', w.endpoint) AS entry_id,
      'webhook_ends' AS rule, NULL AS op, NULL AS amount,
      CONCAT('pending until ', w.latest, ', endpoint due ', COALESCE(e.run_at, 'never')) AS detail
    FROM (
      SELECT customer_id, endpoint, MAX(run_at) AS latest FROM webhook_deliveries FORCE INDEX (due)
      WHERE ${ofScope(scope)} AND run_at IS NOT NULL GROUP BY customer_id, endpoint
    ) AS w
    LEFT JOIN webhook_endpoints AS e FORCE INDEX (PRIMARY)
      ON e.customer_id = w.customer_id AND e.endpoint = w.endpoint
    WHERE w.latest > ${latest} OR NOT ${isTrue(`e.run_at BETWEEN ${longAgo} AND ${latest}`)}`;
}

// ---- events that are not deliveries yet ----

/** `fromMs`: whatever changed since then may still be in webhook_events. */
type Waiting = { sinceMs: number; fromMs: number };

async function oldestWaiting(conn: Connection): Promise<Waiting | null> {
  const [row] = await conn.query<{ created_at: Date; payload: Buffer }[]>(
    "SELECT created_at, payload FROM webhook_events FORCE INDEX (PRIMARY) ORDER BY id LIMIT 1",
  );
  if (row === undefined) return null;
  const sinceMs = row.created_at.getTime();
  return { sinceMs, fromMs: Math.min(sinceMs, firstChangeMs(row.payload)) - PENDING_MS };
}

/** A settlement may have been repeated for long. A row that can't be read may contain anything. */
function firstChangeMs(payload: Buffer): number {
  try {
    return Math.min(...unpackWebhookEvents(payload).map((event) => event.occurredAtMs));
  } catch {
    return PENDING_MS;
  }
}

/** Events of all customers, that nobody has taken for a day. */
function notTaken(oldest: Waiting | null, nowMs: number): Drift[] {
  if (oldest === null || oldest.sinceMs >= nowMs - WEBHOOK_RETRY_MS) return [];
  return [
    { ...driftOf("change_is_told", 0, "rows of webhook_events that nobody takes", 0, 1), customer_id: "" },
  ];
}
