// Finds the rows behind a drift in MySQL: which messages, entries, top-ups, keys and leases of a customer
// break a rule.
// Owns that SQL. It starts from the customer's own entries, whose key begins with customer_id, so one
// customer's drift never costs a scan of all messages. Bound: ENTRIES_NAMED_MAX rows a rule, and their total
// number.

import { ADJUSTED } from "../core/audit.ts";
import { ulidBound } from "../core/id.ts";
import { IDEMPOTENCY_TTL_MS, REPORT_TTL_MS, SUBMISSION_TTL_MS } from "../core/limits.ts";
import { type Charge, STATUSES, settlementOf, UNRESERVED } from "../core/message.ts";
import { UNPAID_CODES } from "../core/spend-cap.ts";
import type { Connection } from "../platform/mysql.ts";
import {
  type Books,
  CLAIMED_IDS,
  IS_LATE,
  IS_SCHEDULED,
  messagesOf,
  messagesSince,
  ofScope,
  TAKEN,
} from "./books.ts";
import {
  type Drift,
  type DriftEntry,
  driftOf,
  ENTRIES_NAMED_MAX,
  type Invariant,
  listed,
  type CustomerRange,
} from "./result.ts";
import { quote } from "../ledger/sql-text.ts";

// What the charging table demands, by status. When an operator took an express message is in its row, and
// decides; nothing else that an operator accepted is refunded. Where the row doesn't have it (it was settled
// before it was noted), only an entry written in time proves something: then the message was taken in time.
const MAY_BE_LATE =
  "m.lane = 'express' AND COALESCE(m.taken_at > m.guaranteed_by, c.created_at > m.guaranteed_by)";
const isCharge = (charge: Charge | null) => (charge === null ? "c.op IS NULL" : `c.op <=> '${charge}'`);
const CLOSE_IS_RIGHT = `(CASE m.status ${STATUSES.map((status) => {
  const [inTime, late] = [settlementOf(status), settlementOf(status, true)];
  if (late === inTime) return `WHEN '${status}' THEN ${isCharge(inTime)}`;
  const isRight = `${isCharge(inTime)} AND NOT ${IS_LATE} OR ${isCharge(late)} AND ${MAY_BE_LATE}`;
  return `WHEN '${status}' THEN ${isRight}`;
}).join(" ")} END) AND (c.amount IS NULL OR c.amount = m.cost)`;

/** What no check of a single customer finds: neither a reserve nor a row leads to it. */
const IS_ORPHAN = "NOT (o.op <=> 'reserve') AND NOT (m.unreserved AND u.message_id IS NOT NULL)";

/** At most this many customers are examined at once: if more differ, they have one cause. */
const CUSTOMERS_MAX = 1_000;
const REPORTS_COUNTED_MAX = 10_000;
/** Only messages of these days are looked at, although submits of older ones are still there. */
const SUBMISSION_AGE_MAX_MS = SUBMISSION_TTL_MS + 86_400_000;

/** The first rows of each rule, with their total number. */
const firstOfEach = (rows: string): string =>
  `SELECT * FROM (
     SELECT r.*, ROW_NUMBER() OVER (PARTITION BY customer_id, rule ORDER BY entry_id) AS place,
       COUNT(*) OVER (PARTITION BY customer_id, rule) AS total
     FROM (${rows}) AS r
   ) AS numbered WHERE place <= ${ENTRIES_NAMED_MAX} ORDER BY customer_id, rule, place`;

type Found = DriftEntry & { customer_id: number; rule: Invariant; total: number };

const SAYS: Partial<Record<Invariant, string>> = {
  message_has_one_reserve: "messages without a reserve of their cost",
  unreserved_is_free:
    "unreserved messages that have an entry, are being sent or were taken, or aren't listed as such",
  message_close_matches_status: "messages whose capture or refund isn't what their status asks for",
  entry_has_message: "entries of messages that don't exist",
  message_has_claim: "messages in sending or unknown that no claim will end",
  message_has_schedule: "scheduled messages that no relay will send at their time, or others that one will",
  message_has_operator: "messages that an operator took, but that name none",
  submission_was_taken: "messages that no operator may have taken, although its reports would find them",
  topup_has_entry: "top-ups and their entries",
  adjustment_has_audit: "adjustments and their rows of the audit log",
  change_is_told: "messages with a change that has no webhook event, or two",
  told_change_happened: "webhook events of what didn't happen, or that nobody asked for",
  inbound_is_told: "inbound messages that have no webhook event, or one that their customer doesn't want",
  webhook_ends: "webhook events that are neither delivered, nor failed, nor going to be called",
  lease_has_node: "leases that nobody can take back, because the row of their process is gone",
  key_has_owner: "idempotency keys whose message or top-up isn't this customer's",
};

/** The drifts, by customer and rule, of the rows that this SQL finds: the columns of Found but `total`. */
export async function driftsOf(conn: Connection, sql: string): Promise<Drift[]> {
  const found = await conn.query<Found[]>(firstOfEach(sql));
  return [...Map.groupBy(found, ({ customer_id, rule }) => `${customer_id} ${rule}`).values()].flatMap(
    (rows) => {
      const [{ customer_id, rule, total }] = rows as [Found];
      return listed(rule, Number(customer_id), SAYS[rule] ?? rule, rows.map(entryOf), Number(total));
    },
  );
}

const entryOf = ({ entry_id, op, amount, detail }: DriftEntry): DriftEntry => ({
  entry_id,
  op,
  amount: amount === null ? null : Number(amount),
  detail,
});

/** Reserves and closes of one customer that don't match a message. */
export async function rowsOfMessages(conn: Connection, customerId: number): Promise<Drift[]> {
  const reserves = `
    SELECT o.customer_id, o.entry_id,
      CASE WHEN m.id IS NULL THEN 'entry_has_message' WHEN o.amount <> m.cost THEN 'message_has_one_reserve'
        ELSE 'message_close_matches_status' END AS rule,
      IF(m.id IS NULL OR o.amount <> m.cost, o.op, c.op) AS op,
      IF(m.id IS NULL OR o.amount <> m.cost, o.amount, c.amount) AS amount,
      IF(m.id IS NULL, '', CONCAT('message is ', m.status, ' and costs ', m.cost)) AS detail
    FROM wallet_ledger o
    LEFT JOIN messages m ON m.id = o.entry_id AND m.customer_id = o.customer_id
    LEFT JOIN wallet_ledger c
      ON c.customer_id = o.customer_id AND c.entry_id = o.entry_id AND c.leg = 'close'
    WHERE o.customer_id = ${Number(customerId)} AND o.leg = 'open' AND o.op = 'reserve'
      AND (m.id IS NULL OR o.amount <> m.cost OR NOT (${CLOSE_IS_RIGHT}))`;
  const closes = `
    SELECT c.customer_id, c.entry_id,
      IF(m.id IS NULL, 'entry_has_message', 'message_has_one_reserve') AS rule, c.op,
      c.amount, IF(m.id IS NULL, '', CONCAT('message is ', m.status, ' and costs ', m.cost)) AS detail
    FROM wallet_ledger c
    LEFT JOIN wallet_ledger o
      ON o.customer_id = c.customer_id AND o.entry_id = c.entry_id AND o.leg = 'open' AND o.op = 'reserve'
    LEFT JOIN messages m ON m.id = c.entry_id AND m.customer_id = c.customer_id
    WHERE c.customer_id = ${Number(customerId)} AND c.leg = 'close' AND o.entry_id IS NULL`;
  return driftsOf(conn, `${reserves} UNION ALL ${closes}`);
}

/** For the first CUSTOMERS_MAX of these customers. Reads every message once. */
export function messagesWithoutReserve(conn: Connection, customerIds: readonly number[]): Promise<Drift[]> {
  const ids = customerIds.slice(0, CUSTOMERS_MAX).map(Number).join(",");
  // A message that has a close is already reported by rowsOfMessages.
  return driftsOf(
    conn,
    `SELECT m.customer_id, m.id AS entry_id, 'message_has_one_reserve' AS rule, o.op, o.amount,
       CONCAT('message is ', m.status, ' and costs ', m.cost) AS detail
     FROM messages m
     LEFT JOIN wallet_ledger o ON o.customer_id = m.customer_id AND o.entry_id = m.id AND o.leg = 'open'
     LEFT JOIN wallet_ledger c ON c.customer_id = m.customer_id AND c.entry_id = m.id AND c.leg = 'close'
     LEFT JOIN unreserved_messages u ON u.customer_id = m.customer_id AND u.message_id = m.id
     WHERE m.customer_id IN (${ids}) AND ${IS_ORPHAN} AND c.op IS NULL`,
  );
}

/**
 * Unreserved messages of one customer that have an entry, are at a status for which they must have been
 * reserved, or have no row in unreserved_messages; and reserved ones that have such a row, or that were
 * rejected because nobody could pay for them.
 */
export function unreservedNotFree(conn: Connection, customerId: number): Promise<Drift[]> {
  const scope = { low: customerId, high: customerId };
  return driftsOf(
    conn,
    `SELECT m.customer_id, m.id AS entry_id, 'unreserved_is_free' AS rule, e.op, m.cost AS amount,
       CONCAT('message is ', m.status, IF(m.unreserved, ', unreserved', ', reserved'),
         IF(u.message_id IS NULL, ', not listed', ', listed')) AS detail
     FROM ${messagesOf(scope)}
     LEFT JOIN unreserved_messages AS u ON u.customer_id = m.customer_id AND u.message_id = m.id
     LEFT JOIN wallet_ledger AS e
       ON e.customer_id = m.customer_id AND e.entry_id = m.id AND e.leg = 'open'
     WHERE m.unreserved <> (u.message_id IS NOT NULL)
       OR (m.unreserved AND (e.op IS NOT NULL OR m.status NOT IN (${UNRESERVED_SQL})))
       OR (NOT m.unreserved AND m.status = 'rejected' AND m.last_error IN (${UNPAID_SQL}))`,
  );
}

const UNPAID_SQL = UNPAID_CODES.map((code) => `'${code}'`).join(",");
const UNRESERVED_SQL = UNRESERVED.map((status) => `'${status}'`).join(",");

/**
 * Messages without a reserve among the next `count` after this id, of any customer. One statement, so it sees
 * one moment. `last` is the highest id it looked at.
 */
export async function orphansAfter(
  conn: Connection,
  after: string,
  count: number,
): Promise<{ drifts: Drift[]; rows: number; last: string }> {
  const some = `SELECT id, customer_id, status, cost, unreserved FROM messages WHERE id > ${quote(after)}
    ORDER BY id LIMIT ${count}`;
  const [seen] = await conn.query<{ n: number; last: string | null; orphans: number | null }[]>(
    `SELECT COUNT(*) AS n, MAX(m.id) AS last, SUM(${IS_ORPHAN}) AS orphans FROM (${some}) AS m
     LEFT JOIN wallet_ledger o ON o.customer_id = m.customer_id AND o.entry_id = m.id AND o.leg = 'open'
     LEFT JOIN unreserved_messages u ON u.customer_id = m.customer_id AND u.message_id = m.id`,
  );
  const last = seen?.last ?? "";
  if (Number(seen?.orphans ?? 0) === 0) return { drifts: [], rows: Number(seen?.n ?? 0), last };
  const drifts = await driftsOf(
    conn,
    `SELECT m.customer_id, m.id AS entry_id, 'message_has_one_reserve' AS rule, o.op, o.amount,
       CONCAT('message is ', m.status, ' and costs ', m.cost) AS detail
     FROM (${some}) AS m
     LEFT JOIN wallet_ledger o ON o.customer_id = m.customer_id AND o.entry_id = m.id AND o.leg = 'open'
     LEFT JOIN unreserved_messages u ON u.customer_id = m.customer_id AND u.message_id = m.id
     WHERE ${IS_ORPHAN}`,
  );
  return { drifts, rows: Number(seen?.n ?? 0), last };
}

/** `sending` and `unknown` end by a claim's outcome or expiry: without a claim they would last for ever. */
export async function messagesWithoutClaim(conn: Connection, customerId: number): Promise<Drift[]> {
  const scope = { low: customerId, high: customerId };
  const rows = `
    SELECT m.customer_id, m.id AS entry_id, 'message_has_claim' AS rule, NULL AS op, m.cost AS amount,
      CONCAT('message is ', m.status) AS detail
    FROM ${messagesOf(scope)}
    WHERE m.status IN ('sending', 'unknown') AND m.customer_id = ${Number(customerId)}
      AND (m.id, m.status) NOT IN
        (SELECT j.id, IF(c.kind = 'sending', 'sending', 'unknown') FROM ${CLAIMED_IDS})`;
  return driftsOf(conn, rows);
}

/** Scheduled messages without a row that makes a relay send them at their time. */
export function messagesWithoutSchedule(conn: Connection, customerId: number): Promise<Drift[]> {
  return driftsOf(
    conn,
    `SELECT m.customer_id, m.id AS entry_id, 'message_has_schedule' AS rule, NULL AS op, m.cost AS amount,
       CONCAT('message is scheduled for ', COALESCE(m.send_at, 'no time')) AS detail
     FROM ${messagesOf({ low: customerId, high: customerId })}
     WHERE m.status = 'scheduled' AND NOT (${IS_SCHEDULED})`,
  );
}

/**
 * Rows that make a relay send messages that aren't scheduled, or hold some of a customer that is not
 * suspended and that no relay knows as resumed. Reads all rows that wait.
 */
export function schedulesWithoutMessage(conn: Connection): Promise<Drift[]> {
  return driftsOf(
    conn,
    `SELECT m.customer_id, m.id AS entry_id, 'message_has_schedule' AS rule, NULL AS op, m.cost AS amount,
       CONCAT('message is ', m.status, ', its row for ', s.run_at) AS detail
     FROM scheduled_messages AS s STRAIGHT_JOIN messages AS m ON m.id = s.message_id
     WHERE s.moved = FALSE AND (m.status <> 'scheduled' OR s.held_for > 0
       AND NOT EXISTS (SELECT 1 FROM customers AS c WHERE c.customer_id = s.held_for
         AND c.customer_id = m.customer_id AND c.suspended_at IS NOT NULL)
       AND NOT EXISTS (SELECT 1 FROM resumed_customers AS r WHERE r.customer_id = s.held_for))`,
  );
}

/** Messages that an operator took but that name none. */
export function messagesWithoutOperator(conn: Connection, customerId: number): Promise<Drift[]> {
  return driftsOf(
    conn,
    `SELECT m.customer_id, m.id AS entry_id, 'message_has_operator' AS rule, NULL AS op, m.cost AS amount,
       CONCAT('message is ', m.status) AS detail
     FROM ${messagesOf({ low: customerId, high: customerId })}
     WHERE m.status IN (${TAKEN}) AND m.operator IS NULL`,
  );
}

/**
 * Submits of messages that no operator may have taken. One that was `unknown` names the operator that may
 * have taken it, or some of its parts, also after it failed at its time limit. Reads the messages of
 * SUBMISSION_AGE_MAX_MS, by their ids; only of those that must have no submit, one is looked for.
 */
export function submissionsNotTaken(
  conn: Connection,
  { scope, nowMs }: Pick<Books, "scope" | "nowMs">,
): Promise<Drift[]> {
  const from = quote(ulidBound(Math.max(0, nowMs - SUBMISSION_AGE_MAX_MS)));
  // COUNT, because MySQL may turn EXISTS into a join, in an order that its statistics suggest.
  return driftsOf(
    conn,
    `SELECT m.customer_id, m.id AS entry_id, 'submission_was_taken' AS rule, NULL AS op, m.cost AS amount,
       CONCAT('message is ', m.status) AS detail
     FROM ${messagesSince(scope, from)}
       AND (m.status NOT IN (${TAKEN},'unknown','failed') OR m.operator IS NULL)
       AND (SELECT COUNT(*) FROM submissions AS s FORCE INDEX (PRIMARY) WHERE s.message_id = m.id) > 0`,
  );
}

/**
 * Operators' reports that nobody takes from the inbox, or that are put off for longer than they are tried.
 * They belong to no customer yet.
 */
export async function reportsUnread(conn: Connection): Promise<Drift[]> {
  const limit = `INTERVAL ${REPORT_TTL_MS * 1000} MICROSECOND`;
  const of = (when: string) =>
    `(SELECT COUNT(*) FROM (SELECT 1 FROM inbox FORCE INDEX (due) WHERE ${when} ` +
    `LIMIT ${REPORTS_COUNTED_MAX}) AS some)`;
  const [row] = await conn.query<{ due: number; later: number }[]>(
    `SELECT ${of(`run_at < NOW(3) - ${limit}`)} AS due, ${of(`run_at > NOW(3) + ${limit}`)} AS later`,
  );
  const rows = Number(row?.due ?? 0) + Number(row?.later ?? 0);
  if (rows === 0) return [];
  const drift = driftOf("reports_are_read", 0, "rows of the inbox whose reports' time is over", 0, rows);
  return [{ ...drift, customer_id: "" }];
}

/** Idempotency keys of the last 24 hours whose message or top-up, or its entry, is missing. */
export function keysWithoutOwner(conn: Connection, scope: CustomerRange): Promise<Drift[]> {
  return driftsOf(
    conn,
    `SELECT k.customer_id, k.owner AS entry_id, 'key_has_owner' AS rule, e.op, e.amount,
       CONCAT('key of a ', k.operation, ', ', k.created_at) AS detail
     FROM idempotency_keys k
     LEFT JOIN wallet_ledger e ON e.customer_id = k.customer_id AND e.entry_id = k.owner AND e.leg = 'open'
     LEFT JOIN unreserved_messages u ON u.customer_id = k.customer_id AND u.message_id = k.owner
     WHERE ${ofScope(scope, "k.")}
       AND k.created_at > NOW(3) - INTERVAL ${IDEMPOTENCY_TTL_MS * 1000} MICROSECOND
       AND NOT (e.op <=> IF(k.operation = 'topup', 'topup', 'reserve'))
       AND (k.operation = 'topup' OR u.message_id IS NULL)`,
  );
}

/** Leases whose process has no row in `nodes`: reapers, who start from there, would never find them. */
export function leasesWithoutNode(conn: Connection, scope: CustomerRange): Promise<Drift[]> {
  return driftsOf(
    conn,
    `SELECT l.customer_id, l.node_id AS entry_id, 'lease_has_node' AS rule, NULL AS op,
       l.granted - l.spent AS amount, CONCAT('unspent credit of epoch ', l.epoch) AS detail
     FROM credit_leases l LEFT JOIN nodes n ON n.node_id = l.node_id
     WHERE ${ofScope(scope, "l.")} AND n.node_id IS NULL`,
  );
}

/** Top-ups of one customer without a matching entry, and entries without their top-up. */
export async function rowsOfTopups(conn: Connection, customerId: number): Promise<Drift[]> {
  const id = Number(customerId);
  const rows = `
    SELECT t.customer_id, t.entry_id, 'topup_has_entry' AS rule, e.op, t.amount,
      'a top-up without its entry' AS detail
    FROM topups t
    LEFT JOIN wallet_ledger e ON e.customer_id = t.customer_id AND e.entry_id = t.entry_id AND e.leg = 'open'
    WHERE t.customer_id = ${id} AND NOT (e.op <=> 'topup' AND e.amount <=> t.amount)
    UNION ALL
    SELECT e.customer_id, e.entry_id, 'topup_has_entry', e.op, e.amount, 'an entry without its top-up'
    FROM wallet_ledger e LEFT JOIN topups t ON t.customer_id = e.customer_id AND t.entry_id = e.entry_id
    WHERE e.customer_id = ${id} AND e.op = 'topup' AND t.entry_id IS NULL`;
  return driftsOf(conn, rows);
}

/** Adjustments of one customer without such a row of the audit log, and such rows without their entry. */
export async function rowsOfAdjustments(conn: Connection, customerId: number): Promise<Drift[]> {
  const id = Number(customerId);
  const signed = "IF(e.op = 'adjust_down', -e.amount, e.amount)";
  const ofEntry = `e.customer_id = a.customer_id AND e.entry_id = a.entry_id AND e.leg = 'open'
      AND e.op IN ('adjust_up','adjust_down')`;
  const rows = `
    SELECT e.customer_id, e.entry_id, 'adjustment_has_audit' AS rule, e.op, e.amount,
      'an adjustment that the audit log does not have' AS detail
    FROM wallet_ledger e LEFT JOIN audit_log a ON a.entry_id = e.entry_id
    WHERE e.customer_id = ${id} AND e.op IN ('adjust_up','adjust_down')
      AND NOT (a.action <=> '${ADJUSTED}' AND a.customer_id <=> e.customer_id AND a.amount <=> ${signed})
    UNION ALL
    SELECT a.customer_id, a.entry_id, 'adjustment_has_audit', e.op, a.amount,
      'an adjustment of the audit log without its entry'
    FROM audit_log a LEFT JOIN wallet_ledger e ON ${ofEntry}
    WHERE a.customer_id = ${id} AND a.action = '${ADJUSTED}' AND e.op IS NULL`;
  return driftsOf(conn, rows);
}
