// Reconcile's comparison of MySQL's entries with ClickHouse's, by customer and the day of the entry's own
// time. Days that differ are cut into seconds and only seconds that differ are read entry by entry, so under
// load that is the last few. An entry that ClickHouse lacks is pending while it may be on its way: event rows
// wait in the outbox, it is younger than PENDING_MS by MySQL's clock, or ClickHouse hasn't come that far in
// the topic. One that MySQL lacks is looked for again in MySQL as it is now, since ClickHouse is read after
// the snapshot. Days older than ClickHouse keeps entries are compared by their sums.

import type { Clickhouse } from "../platform/clickhouse.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import type { Drift, DriftEntry } from "./reconcile-result.ts";
import { type Books, type DaySum, driftOf, entryOf, listed } from "./reconcile-books.ts";

export type EventsDeps = { pool: Pool; clickhouse: Clickhouse; conn: Connection };
export type EventsCheck = { drifts: Drift[]; pending: number };

/** Relay, broker and flush take a second or two; a restart of one of them takes less than this. */
const PENDING_MS = 60_000;
const DAY_MS = 86_400_000;
// wallet_ledger's TTL is 30 days; the sums of closed days begin where it may have started to drop.
const ENTRY_DAYS = 28;
/** Entries of one side that are read one by one in one go: some 30 MB. */
const ENTRIES_READ_MAX = 200_000;
/** Seconds of a day that are looked into: their list stays under ClickHouse's 256 KiB for a statement. */
const SECONDS_READ_MAX = 10_000;

export async function checkEvents(
  deps: EventsDeps,
  books: Books,
  customerId: number | null,
): Promise<EventsCheck> {
  const todayMs = Math.floor(books.nowMs / DAY_MS) * DAY_MS;
  const firstDay = dayOf(todayMs - ENTRY_DAYS * DAY_MS);
  const theirs = await daySums(deps.clickhouse, firstDay, customerId);
  const old: Drift[] = [];
  const days = new Set<string>();
  for (const { key, mine, their } of paired(books.days, theirs)) {
    if (mine !== undefined && their !== undefined && sameSum(mine, their)) continue;
    const day = key.day;
    if (day >= firstDay) days.add(day);
    else
      old.push(
        driftOf(
          "clickhouse_sum_is_equal",
          key.customerId,
          `${key.op} of ${day}`,
          mine?.amount ?? 0,
          their?.amount ?? 0,
        ),
      );
  }
  const found: EventsCheck = { drifts: old, pending: 0 };
  for (const day of [...days].sort()) {
    const check = await checkDay(deps, books, customerId, day);
    found.drifts.push(...check.drifts);
    found.pending += check.pending;
  }
  return found;
}

async function daySums(
  clickhouse: Clickhouse,
  firstDay: string,
  customerId: number | null,
): Promise<DaySum[]> {
  const one = customerId === null ? "" : "AND customer_id = {customer:UInt64}";
  const rows = await clickhouse.query<{
    customer_id: string;
    day: string;
    op: string;
    count: string;
    amount: string;
    fingerprint: string;
  }>(
    `SELECT customer_id, toString(toDate(created_at)) AS day, op, count() AS count,
    toString(sum(l.amount)) AS amount,
       toString(sum(toUInt64(CRC32(concat(l.entry_id, ':', toString(l.amount)))))) AS fingerprint
     FROM wallet_ledger AS l FINAL WHERE toDate(created_at) >= {first:Date} ${one}
     GROUP BY customer_id, toDate(created_at), op
     UNION ALL
     SELECT customer_id, toString(day), op, entries, toString(amount), '' FROM mv_wallet_ledger_daily
     WHERE day < {first:Date} ${one}`,
    { first: firstDay, customer: customerId ?? 0 },
  );
  return rows.map((row) => ({
    customerId: Number(row.customer_id),
    day: row.day,
    op: row.op,
    count: Number(row.count),
    amount: Number(row.amount),
    fingerprint: row.fingerprint,
  }));
}

type Pair = { key: DaySum; mine: DaySum | undefined; their: DaySum | undefined };

function paired(mine: readonly DaySum[], theirs: readonly DaySum[]): Pair[] {
  const keyOf = (sum: DaySum) => `${sum.customerId}/${sum.day}/${sum.op}`;
  const pairs = new Map<string, Pair>(
    mine.map((sum) => [keyOf(sum), { key: sum, mine: sum, their: undefined }]),
  );
  for (const sum of theirs) {
    const pair = pairs.get(keyOf(sum));
    if (pair === undefined) pairs.set(keyOf(sum), { key: sum, mine: undefined, their: sum });
    else pair.their = sum;
  }
  return [...pairs.values()];
}

function sameSum(mine: DaySum, their: DaySum): boolean {
  const sameRows = their.fingerprint === "" || their.fingerprint === mine.fingerprint;
  return sameRows && mine.count === their.count && mine.amount === their.amount;
}

type Entry = { event_id: string; customer_id: number; op: string; amount: number; created_ms: number };

async function checkDay(
  deps: EventsDeps,
  books: Books,
  customerId: number | null,
  day: string,
): Promise<EventsCheck> {
  const { conn, clickhouse } = deps;
  const startMs = Date.parse(`${day}T00:00:00Z`);
  const one = customerId === null ? "" : `AND customer_id = ${Number(customerId)}`;
  const span = `created_at >= '${day}' AND created_at < '${dayOf(startMs + DAY_MS)}' ${one}`;
  const second = "FLOOR(UNIX_TIMESTAMP(created_at))";
  const mine = await conn.query<{ s: number; f: string }[]>(
    `SELECT CAST(${second} AS SIGNED) AS s, CAST(SUM(CRC32(CONCAT(customer_id, entry_id, ':', leg, op,
    amount))) AS CHAR) AS f
     FROM wallet_ledger WHERE ${span} GROUP BY s`,
  );
  const theirs = await clickhouse.query<{ s: number; f: string }>(
    `SELECT toUnixTimestamp(created_at) AS s,
       toString(sum(toUInt64(CRC32(concat(toString(customer_id), event_id, op, toString(amount)))))) AS f
     FROM wallet_ledger FINAL WHERE toDate(created_at) = {day:Date} ${one} GROUP BY s`,
    { day },
  );
  const known = new Map(theirs.map(({ s, f }) => [Number(s), f]));
  const seconds = new Set(
    mine.filter(({ s, f }) => known.get(Number(s)) !== String(f)).map(({ s }) => Number(s)),
  );
  const own = new Set(mine.map(({ s }) => Number(s)));
  for (const s of known.keys()) if (!own.has(s)) seconds.add(s);
  const check: EventsCheck = { drifts: [], pending: 0 };
  if (seconds.size === 0) return check;
  const newestMs = mine.reduce((most, { s }) => Math.max(most, Number(s) * 1000), 0);
  const isBehind = async () => books.eventRows > 0 || (await reachedMs(clickhouse)) < newestMs - PENDING_MS;
  if (seconds.size > SECONDS_READ_MAX) return tooMany(day, await isBehind());

  const list = [...seconds].join(",");
  const inMysql = await conn.query<Entry[]>(
    `SELECT CONCAT(entry_id, ':', leg) AS event_id, customer_id, op, amount,
    CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED) AS created_ms
     FROM wallet_ledger WHERE ${span} AND ${second} IN (${list}) LIMIT ${ENTRIES_READ_MAX + 1}`,
  );
  const inClickhouse = await clickhouse.query<Entry>(
    `SELECT event_id, customer_id, op, amount, toUnixTimestamp64Milli(created_at) AS created_ms
     FROM wallet_ledger FINAL WHERE toDate(created_at) = {day:Date} ${one}
     AND toUnixTimestamp(created_at) IN (${list})
     LIMIT ${ENTRIES_READ_MAX + 1}`,
    { day },
  );
  if (inMysql.length > ENTRIES_READ_MAX || inClickhouse.length > ENTRIES_READ_MAX)
    return tooMany(day, await isBehind());
  return compare(deps, books, inMysql, inClickhouse);
}

/** So many differ that naming them is no use: ClickHouse is far behind, or a day is lost. */
function tooMany(day: string, isBehind: boolean): EventsCheck {
  if (isBehind) return { drifts: [], pending: ENTRIES_READ_MAX };
  const detail = `too many entries of ${day} differ to name them`;
  const drift = driftOf("clickhouse_has_entry", 0, detail, 0, ENTRIES_READ_MAX);
  return { drifts: [{ ...drift, customer_id: "" }], pending: 0 };
}

async function compare(
  deps: EventsDeps,
  books: Books,
  inMysql: Entry[],
  inClickhouse: Entry[],
): Promise<EventsCheck> {
  const keyOf = (entry: Entry) => `${entry.customer_id}/${entry.event_id}`;
  const theirs = new Map(inClickhouse.map((entry) => [keyOf(entry), entry]));
  const reached = await reachedMs(deps.clickhouse);
  const missing: Entry[] = [];
  const different: Entry[] = [];
  let pending = 0;
  for (const entry of inMysql) {
    const their = theirs.get(keyOf(entry));
    theirs.delete(keyOf(entry));
    if (their === undefined) {
      const onItsWay =
        books.eventRows > 0 ||
        books.nowMs - entry.created_ms < PENDING_MS ||
        entry.created_ms > reached - PENDING_MS;
      if (onItsWay) pending++;
      else missing.push(entry);
    } else if (their.op !== entry.op || Number(their.amount) !== Number(entry.amount)) different.push(entry);
  }
  const extra = await stillExtra(deps.pool, [...theirs.values()]);
  const drifts = [
    ...byCustomer(missing, "clickhouse_has_entry", "entries that ClickHouse lacks"),
    ...byCustomer(different, "clickhouse_entry_is_equal", "entries whose op or amount differs in ClickHouse"),
    ...byCustomer(extra, "clickhouse_has_no_other_entry", "entries in ClickHouse that MySQL doesn't have"),
  ];
  return { drifts, pending };
}

/**
 * Time of the newest entry that ClickHouse has taken in; the topic is in the order of transactions, give or
 * take seconds.
 */
async function reachedMs(clickhouse: Clickhouse): Promise<number> {
  const [row] = await clickhouse.query<{ at: string }>(
    "SELECT toUnixTimestamp64Milli(max(newest_at)) AS at FROM freshness WHERE topic = 'wallet.ledger'",
  );
  return Number(row?.at ?? 0);
}

/** Those that MySQL doesn't have now either: the snapshot is older than what ClickHouse was asked. */
async function stillExtra(pool: Pool, entries: Entry[]): Promise<Entry[]> {
  const extra: Entry[] = [];
  for (let i = 0; i < entries.length; i += 500) {
    const chunk = entries.slice(i, i + 500);
    const keys = chunk.map(({ customer_id, event_id }) => [
      Number(customer_id),
      event_id.slice(0, 26),
      event_id.slice(27),
    ]);
    const rows = await pool.query<{ event_id: string; customer_id: number; op: string; amount: number }[]>(
      `SELECT CONCAT(entry_id, ':', leg) AS event_id, customer_id, op, amount FROM wallet_ledger
       WHERE (customer_id, entry_id, leg) IN (?)`,
      [keys],
    );
    const now = new Set(rows.map((row) => `${row.customer_id}/${row.event_id}/${row.op}/${row.amount}`));
    extra.push(...chunk.filter((e) => !now.has(`${e.customer_id}/${e.event_id}/${e.op}/${e.amount}`)));
  }
  return extra;
}

function byCustomer(entries: readonly Entry[], invariant: Drift["invariant"], detail: string): Drift[] {
  const groups = new Map<number, DriftEntry[]>();
  for (const { customer_id, event_id, op, amount, created_ms } of entries) {
    const group = groups.get(Number(customer_id)) ?? [];
    group.push(entryOf(event_id.slice(0, 26), op, amount, new Date(Number(created_ms)).toISOString()));
    groups.set(Number(customer_id), group);
  }
  return [...groups].flatMap(([customerId, group]) => listed(invariant, customerId, detail, group));
}

const dayOf = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 10);
