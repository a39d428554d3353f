// What reconcile reads from MySQL: sums per customer of entries, messages, leases, top-ups, adjustments and
// claims, all from the caller's one snapshot. Leaves what the sums must equal to check.ts. A fingerprint, the
// sum of CRC32('<id>:<amount>') over rows, shows that two sets of rows are the same without joining them;
// only customers whose sums or fingerprints differ are read row by row. Bounds: two scans (entries, messages)
// of the customers asked for; in memory one row per customer, day and op or status.

import { settlementOf, STATUSES, type Status, eventStatus, sequencesSinceEvent } from "../core/message.ts";
import { ADJUSTED } from "../core/audit.ts";
import { unpackEventTimes } from "../core/event-record.ts";
import type { Connection } from "../platform/mysql.ts";
import { isAllCustomers, type CustomerRange } from "./result.ts";

export type Sum = { count: number; amount: number; fingerprint: string };
/**
 * Sum over the rows of one customer, day and op (or status). `young` rows may still be on their way to
 * ClickHouse; a message's fingerprint here is that of its latest event.
 */
export type DaySum = Sum & { customerId: number; day: string; what: string; young: boolean };

export type CustomerBooks = {
  balance: number;
  reserved: number;
  unspent: number;
  /** The smallest of spent, unspent and granted of all its leases. */
  leaseLowest: number;
  /** By op. */
  entries: Map<string, Sum>;
  /** Those that were reserved, by status; amounts are costs. */
  messages: Map<Status, Sum>;
  /** Those of them that an operator took after their promise. */
  late: Map<Status, Sum>;
  /** The unreserved ones, by status. */
  unreserved: Map<Status, Sum>;
  /** Of the rows by which unreserved messages are found; they have no amounts. */
  unreservedRows: Pick<Sum, "count" | "fingerprint">;
  /** How many messages that an operator took name none. */
  nameless: number;
  /** How many messages of which it asked to be told something. */
  told: number;
  /** The messages named by a claim, as `sending` and `unknown` ones must be. */
  claimed: Map<Status, Sum>;
  /** How many scheduled messages no relay will send at their time. */
  unscheduled: number;
  topups: Sum;
  /** What the audit log has of adjustments, by op. */
  adjustments: Map<string, Sum>;
};
export type Books = {
  scope: BookScope;
  customers: Map<number, CustomerBooks>;
  entryDays: DaySum[];
  statusDays: DaySum[];
  /** MySQL's clock when the snapshot was taken. */
  nowMs: number;
  /** Whatever was written after this is young. */
  cutoffMs: number;
  eventRows: number;
  /** Nothing older than this waits in the outbox. */
  outboxFromMs: number;
  messages: number;
  entries: number;
};

/** `hasUnreserved`: some of its customers have unreserved messages; left out: it isn't known. */
export type BookScope = CustomerRange & { hasUnreserved?: boolean };

/** Relay, broker and flush take a second or two; a restart of one of them takes less than this. */
export const PENDING_MS = 60_000;
export const NO_ROWS: Sum = { count: 0, amount: 0, fingerprint: "0" };
const EPOCH_DAYS = 719_528; // TO_DAYS('1970-01-01')
const DAY_MS = 86_400_000;

/** A condition on customer_id, as SQL. */
export const ofScope = (scope: CustomerRange, alias = ""): string =>
  isAllCustomers(scope)
    ? "TRUE"
    : `${alias}customer_id BETWEEN ${Number(scope.low)} AND ${Number(scope.high)}`;

/** `range`: a condition on the id of a message, which is called `id` in it. */
type IdRange = { range?: (id: string) => string };

// The messages of a few customers are found by their reserve entries, and by the rows of those that are
// unreserved; both keys begin with customer_id. Only the run over all customers reads every message, and so
// finds one that has neither. Most customers have no unreserved ones: then MySQL reads the entries in place.
export function messagesOf(scope: BookScope, { range = () => "" }: IdRange = {}): string {
  if (isAllCustomers(scope)) return "messages AS m";
  const reserved =
    `SELECT customer_id, entry_id FROM wallet_ledger WHERE ${ofScope(scope)} ${range("entry_id")} ` +
    "AND leg = 'open' AND op = 'reserve'";
  const unreserved =
    scope.hasUnreserved === false
      ? ""
      : " UNION DISTINCT SELECT customer_id, message_id FROM unreserved_messages " +
        `WHERE ${ofScope(scope)} ${range("message_id")}`;
  return (
    `(${reserved}${unreserved}) AS l ` +
    "STRAIGHT_JOIN messages AS m ON m.id = l.entry_id AND m.customer_id = l.customer_id"
  );
}

/** The same messages from an id on (as SQL), with a condition to which more can be added. */
export const messagesSince = (scope: BookScope, from: string): string =>
  isAllCustomers(scope)
    ? `messages AS m FORCE INDEX (PRIMARY) WHERE m.id >= ${from}`
    : `${messagesOf(scope, { range: (id) => `AND ${id} >= ${from}` })} WHERE TRUE`;

/** The status and sequence of a message's latest event; `sending` has none (core/message.ts). */
export const EVENT_STATUS = forEventless((status) => `'${eventStatus(status)}'`, "m.status");
export const EVENT_SEQUENCE = forEventless(
  (status) => `m.sequence - ${sequencesSinceEvent(status)}`,
  "m.sequence",
);

/** Statuses, as SQL, at which an operator has taken the message. */
export const TAKEN = STATUSES.filter((status) => settlementOf(status) === "capture")
  .map((status) => `'${status}'`)
  .join(",");

function forEventless(expression: (status: Status) => string, otherwise: string): string {
  const eventless = STATUSES.filter((status) => eventStatus(status) !== status);
  const whens = eventless.map((status) => `WHEN '${status}' THEN ${expression(status)}`);
  return `CASE m.status ${whens.join(" ")} ELSE ${otherwise} END`;
}

/**
 * Whether an operator took an express message after its promise, as SQL. FALSE also where nobody noted when:
 * then only the time of the entry says something (rows.ts).
 */
export const IS_LATE = "COALESCE(m.taken_at > m.guaranteed_by, FALSE)";

const sums = (id: string, amount: string): string =>
  `COUNT(*) AS count, CAST(SUM(${amount}) AS SIGNED) AS amount, ` +
  `CAST(SUM(CRC32(CONCAT(${id}, ':', ${amount}))) AS CHAR) AS fingerprint`;

/**
 * Call within a snapshot. `allOld`: no row counts as young, because the caller knows that nothing is moving.
 */
export async function readBooks(
  conn: Connection,
  scope: CustomerRange,
  { allOld = false } = {},
): Promise<Books> {
  const books = await begun(conn, scope, allOld ? -DAY_MS : PENDING_MS);
  const wallets = await conn.query<{ customer_id: number; balance: number; reserved: number }[]>(
    `SELECT customer_id, balance, reserved FROM wallet_accounts WHERE ${ofScope(scope)}`,
  );
  for (const { customer_id, balance, reserved } of wallets)
    Object.assign(customerOf(books, customer_id), { balance, reserved });
  const leases = await conn.query<{ customer_id: number; unspent: number; lowest: number }[]>(
    `SELECT customer_id, CAST(SUM(granted - spent) AS SIGNED) AS unspent,
       MIN(LEAST(granted - spent, spent, granted)) AS lowest
     FROM credit_leases WHERE ${ofScope(scope)} GROUP BY customer_id`,
  );
  for (const { customer_id, unspent, lowest } of leases)
    Object.assign(customerOf(books, customer_id), { unspent: Number(unspent), leaseLowest: Number(lowest) });
  const topups = await conn.query<(Sum & { customer_id: number })[]>(
    `SELECT customer_id, ${sums("entry_id", "amount")} FROM topups WHERE ${ofScope(scope)}
     GROUP BY customer_id`,
  );
  for (const row of topups) customerOf(books, row.customer_id).topups = sumOf(row);
  await readAdjustments(conn, books);
  await readEntries(conn, books);
  await readUnreservedRows(conn, books);
  await readMessages(conn, books);
  await readClaimed(conn, books);
  return books;
}

async function begun(conn: Connection, scope: CustomerRange, youngMs: number): Promise<Books> {
  const [state] = await conn.query<{ now_ms: number; events: number }[]>(
    `SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS now_ms,
       (SELECT COUNT(*) FROM outbox FORCE INDEX (due) WHERE lane = 'events') AS events`,
  );
  const nowMs = Number(state?.now_ms);
  // Rows leave in the order of their ids, except for deferred ones, which keep their ids.
  const [oldest] = await conn.query<{ payload: Buffer }[]>(
    "SELECT payload FROM outbox FORCE INDEX (PRIMARY) WHERE lane = 'events' ORDER BY id LIMIT 1",
  );
  return {
    scope,
    customers: new Map(),
    entryDays: [],
    statusDays: [],
    nowMs,
    cutoffMs: nowMs - youngMs,
    eventRows: Number(state?.events),
    outboxFromMs: oldest === undefined ? Number.POSITIVE_INFINITY : oldestEventMs(oldest.payload),
    messages: 0,
    entries: 0,
  };
}

/** A row that can't be decoded may contain events of any age. */
function oldestEventMs(payload: Buffer): number {
  try {
    return Math.min(...unpackEventTimes(payload)) - PENDING_MS;
  } catch {
    return 0;
  }
}

async function readAdjustments(conn: Connection, books: Books): Promise<void> {
  const rows = await conn.query<(Sum & { customer_id: number; op: string })[]>(
    `SELECT customer_id, IF(amount > 0, 'adjust_up', 'adjust_down') AS op, ${sums("entry_id", "ABS(amount)")}
     FROM audit_log WHERE action = '${ADJUSTED}' AND ${ofScope(books.scope)} GROUP BY customer_id, op`,
  );
  for (const row of rows) customerOf(books, row.customer_id).adjustments.set(row.op, sumOf(row));
}

async function readEntries(conn: Connection, books: Books): Promise<void> {
  const rows = await conn.query<(Sum & Group & { op: string })[]>(
    `SELECT customer_id, TO_DAYS(created_at) AS day, op, created_at >= ${at(books.cutoffMs)} AS young,
       ${sums("entry_id", "amount")}
     FROM wallet_ledger WHERE ${ofScope(books.scope)} GROUP BY customer_id, day, op, young`,
  );
  for (const row of rows) {
    const { entries } = customerOf(books, row.customer_id);
    const sum = sumOf(row);
    books.entryDays.push({ ...sum, ...groupOf(row), what: row.op });
    entries.set(row.op, added(entries.get(row.op) ?? NO_ROWS, sum));
    books.entries += sum.count;
  }
}

async function readUnreservedRows(conn: Connection, books: Books): Promise<void> {
  const rows = await conn.query<{ customer_id: number; count: number; fingerprint: string }[]>(
    `SELECT customer_id, COUNT(*) AS count, CAST(SUM(CRC32(message_id)) AS CHAR) AS fingerprint
     FROM unreserved_messages WHERE ${ofScope(books.scope)} GROUP BY customer_id`,
  );
  for (const row of rows)
    customerOf(books, row.customer_id).unreservedRows = {
      count: Number(row.count),
      fingerprint: String(row.fingerprint),
    };
  books.scope = { ...books.scope, hasUnreserved: rows.length > 0 };
}

async function readMessages(conn: Connection, books: Books): Promise<void> {
  type Counts = { nameless: number; told: number; unscheduled: number; unreserved: number; id_sum: string };
  type Row = Sum & Group & Counts & { status: Status; late: number; event_fingerprint: string };
  const rows = await conn.query<Row[]>(
    `SELECT m.customer_id, TO_DAYS(m.created_at) AS day, m.status, m.unreserved, ${IS_LATE} AS late,
       CAST(SUM(m.unreserved * CRC32(m.id)) AS CHAR) AS id_sum,
       m.updated_at >= ${at(books.cutoffMs)} AS young, ${sums("m.id", "m.cost")},
       CAST(SUM(CRC32(CONCAT(m.id, ':', ${EVENT_STATUS}, ':', ${EVENT_SEQUENCE}))) AS CHAR)
         AS event_fingerprint,
       CAST(SUM(m.status IN (${TAKEN}) AND m.operator IS NULL) AS SIGNED) AS nameless,
       COUNT(m.callback_statuses) AS told,
       CAST(SUM(CASE m.status WHEN 'scheduled' THEN NOT (${IS_SCHEDULED}) ELSE 0 END) AS SIGNED)
         AS unscheduled
     FROM ${messagesOf(books.scope)} GROUP BY m.customer_id, day, m.status, m.unreserved, late, young`,
  );
  for (const row of rows) {
    const sum = sumOf(row);
    const c = customerOf(books, row.customer_id);
    const isUnreserved = Number(row.unreserved) === 1;
    const own = isUnreserved ? c.unreserved : c.messages;
    // Of unreserved ones the fingerprint is that of their ids alone, as of their rows.
    const kept = isUnreserved ? { ...sum, fingerprint: String(row.id_sum) } : sum;
    own.set(row.status, added(own.get(row.status) ?? NO_ROWS, kept));
    if (!isUnreserved && Number(row.late) === 1)
      c.late.set(row.status, added(c.late.get(row.status) ?? NO_ROWS, sum));
    c.nameless += Number(row.nameless);
    c.told += Number(row.told);
    c.unscheduled += Number(row.unscheduled);
    books.messages += sum.count;
    const what = eventStatus(row.status);
    books.statusDays.push({ ...sum, ...groupOf(row), what, fingerprint: String(row.event_fingerprint) });
  }
}

/** Whether a relay will send a message at its time, as SQL. */
export const IS_SCHEDULED =
  "(SELECT COUNT(*) FROM scheduled_messages AS s FORCE INDEX (PRIMARY) WHERE s.message_id = m.id " +
  "AND s.moved = FALSE AND s.run_at <=> m.send_at) > 0";

// A message may be named by an old claim as well as by its present one.
async function readClaimed(conn: Connection, books: Books): Promise<void> {
  const rows = await conn.query<(Sum & { customer_id: number; status: Status })[]>(
    `SELECT customer_id, status, ${sums("id", "cost")} FROM (
       SELECT DISTINCT m.id, m.customer_id, m.status, m.cost FROM ${CLAIMED_IDS}
       STRAIGHT_JOIN messages AS m ON m.id = j.id
       WHERE m.status = IF(c.kind = 'sending', 'sending', 'unknown') AND ${ofScope(books.scope, "m.")}
     ) AS claimed GROUP BY customer_id, status`,
  );
  for (const row of rows) customerOf(books, row.customer_id).claimed.set(row.status, sumOf(row));
}

/** The ids in all claims, as column `j.id` beside the claim `c`. */
export const CLAIMED_IDS =
  `claims AS c CROSS JOIN JSON_TABLE(CONCAT('["', REPLACE(c.ids, ',', '","'), '"]'), '$[*]' ` +
  "COLUMNS (id CHAR(26) CHARACTER SET ascii COLLATE ascii_bin PATH '$')) AS j";

/** The messages whose cost is still reserved. */
export function openOf(c: CustomerBooks): Sum {
  return settledAs(c, null);
}

/** The messages whose cost must have been captured, refunded, or neither (null). */
export function settledAs(c: CustomerBooks, money: "capture" | "refund" | null): Sum {
  let sum = NO_ROWS;
  for (const [status, of] of c.messages) {
    const late = c.late.get(status) ?? NO_ROWS;
    if (settlementOf(status) === money) sum = added(sum, without(of, late));
    if (settlementOf(status, true) === money) sum = added(sum, late);
  }
  return sum;
}

export const equal = (a: Sum, b: Sum): boolean =>
  a.count === b.count && a.amount === b.amount && a.fingerprint === b.fingerprint;

export function added(a: Sum, b: Sum): Sum {
  const fingerprint = String(BigInt(a.fingerprint) + BigInt(b.fingerprint));
  return { count: a.count + b.count, amount: a.amount + b.amount, fingerprint };
}

function without(all: Sum, some: Sum): Sum {
  const fingerprint = String(BigInt(all.fingerprint) - BigInt(some.fingerprint));
  return { count: all.count - some.count, amount: all.amount - some.amount, fingerprint };
}

/** A DATETIME(3) literal. */
export const at = (ms: number): string => `'${new Date(ms).toISOString().slice(0, 23).replace("T", " ")}'`;
/** The UTC day, as YYYY-MM-DD. */
export const dayOf = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 10);

type Group = { customer_id: number; day: number; young: number };
const groupOf = ({ customer_id, day, young }: Group): Pick<DaySum, "customerId" | "day" | "young"> => ({
  customerId: customer_id,
  day: dayOf((Number(day) - EPOCH_DAYS) * DAY_MS),
  young: Number(young) === 1,
});

function sumOf(row: Sum): Sum {
  return { count: Number(row.count), amount: Number(row.amount), fingerprint: String(row.fingerprint) };
}

function customerOf(books: Books, customerId: number): CustomerBooks {
  let found = books.customers.get(customerId);
  if (found === undefined) {
    const none = { balance: 0, reserved: 0, unspent: 0, leaseLowest: 0, nameless: 0, told: 0 };
    const sets = { entries: new Map(), messages: new Map(), late: new Map(), unreserved: new Map() };
    const sums = { unreservedRows: NO_ROWS, topups: NO_ROWS, adjustments: new Map() };
    found = { ...none, ...sets, claimed: new Map(), ...sums, unscheduled: 0 };
    books.customers.set(customerId, found);
  }
  return found;
}
