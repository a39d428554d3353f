// Reconcile's view of MySQL: sums per customer from one snapshot, what they must equal, and the entries of
// customers that differ.
// A fingerprint, the sum of CRC32('<id>:<amount>') over rows, tells that two sets of rows are the same
// without joining them; only customers whose sums or fingerprints differ are read row by row. Bound: one row
// a customer, day and op in memory.

import { STATUSES, settlementOf } from "../core/message.ts";
import type { Connection } from "../platform/mysql.ts";
import { type Drift, type DriftEntry, ENTRIES_NAMED_MAX, type Invariant } from "./reconcile-result.ts";

export type Sum = { count: number; amount: number; fingerprint: string };
/** Entries of one customer, day and op. */
export type DaySum = Sum & { customerId: number; day: string; op: string };

export type CustomerBooks = {
  balance: number;
  reserved: number;
  unspent: number;
  /** By op */
  entries: Map<string, Sum>;
  /** By what must have happened to the money: capture, refund, nothing yet (open, unknown). */
  messages: Map<string, Sum>;
  topups: Sum;
};
export type Books = {
  customers: Map<number, CustomerBooks>;
  days: DaySum[];
  /** MySQL's clock when the snapshot was taken. */
  nowMs: number;
  eventRows: number;
  openMessages: number;
  messages: number;
  entries: number;
};

const NO_ROWS: Sum = { count: 0, amount: 0, fingerprint: "0" };
const settledBy = (by: "capture" | "refund") =>
  STATUSES.filter((status) => settlementOf(status) === by).map((status) => `'${status}'`);
const CAPTURED = settledBy("capture");
const REFUNDED = settledBy("refund");
const MONEY_OF_STATUS =
  `CASE WHEN status IN (${CAPTURED}) THEN 'capture' WHEN status IN (${REFUNDED}) ` +
  `THEN 'refund' WHEN status = 'unknown' THEN 'unknown' ELSE 'open' END`;

const sums = (id: string, amount: string): string =>
  `COUNT(*) AS count, CAST(SUM(${amount}) AS SIGNED) AS amount, CAST(SUM(CRC32(CONCAT(${id}, ':', ` +
  `${amount}))) AS CHAR) AS fingerprint`;

/** Inside the caller's snapshot. */
export async function readBooks(conn: Connection, customerId: number | null): Promise<Books> {
  const one = customerId === null ? "" : `WHERE customer_id = ${Number(customerId)}`;
  const [state] = await conn.query<{ now_ms: number; events: number }[]>(
    `SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS now_ms,
       (SELECT COUNT(*) FROM outbox WHERE lane = 'events') AS events`,
  );
  const books: Books = {
    customers: new Map(),
    days: [],
    nowMs: Number(state?.now_ms),
    eventRows: Number(state?.events),
    openMessages: 0,
    messages: 0,
    entries: 0,
  };
  const wallets = await conn.query<{ customer_id: number; balance: number; reserved: number }[]>(
    `SELECT customer_id, balance, reserved FROM wallet_accounts ${one}`,
  );
  for (const w of wallets)
    Object.assign(customerOf(books, w.customer_id), { balance: w.balance, reserved: w.reserved });
  const leases = await conn.query<{ customer_id: number; unspent: number }[]>(
    `SELECT customer_id, CAST(SUM(granted - spent) AS SIGNED) AS unspent FROM credit_leases ${one} ` +
      `GROUP BY customer_id`,
  );
  for (const lease of leases) customerOf(books, lease.customer_id).unspent = Number(lease.unspent);
  await readEntries(conn, books, one);
  await readMessages(conn, books, one);
  const topups = await conn.query<(Sum & { customer_id: number })[]>(
    `SELECT customer_id, ${sums("entry_id", "amount")} FROM topups ${one} GROUP BY customer_id`,
  );
  for (const row of topups) customerOf(books, row.customer_id).topups = sumOf(row);
  return books;
}

async function readEntries(conn: Connection, books: Books, one: string): Promise<void> {
  const rows = await conn.query<(Sum & { customer_id: number; day: string; op: string })[]>(
    `SELECT customer_id, DATE_FORMAT(created_at, '%Y-%m-%d') AS day, op, ${sums("entry_id", "amount")}
     FROM wallet_ledger ${one} GROUP BY customer_id, day, op`,
  );
  for (const row of rows) {
    const { entries } = customerOf(books, row.customer_id);
    const sum = sumOf(row);
    books.days.push({ ...sum, customerId: row.customer_id, day: row.day, op: row.op });
    entries.set(row.op, added(entries.get(row.op) ?? NO_ROWS, sum));
    books.entries += sum.count;
  }
}

async function readMessages(conn: Connection, books: Books, one: string): Promise<void> {
  // One customer's are found by their reserve entries; only the run over all customers reads every message,
  // and so finds one that has no entry at all.
  const from =
    one === ""
      ? "messages AS m"
      : `(SELECT entry_id FROM wallet_ledger ${one} AND leg = 'open' AND op = 'reserve') AS l ` +
        "STRAIGHT_JOIN messages AS m ON m.id = l.entry_id";
  const rows = await conn.query<(Sum & { customer_id: number; money: string })[]>(
    `SELECT m.customer_id, ${MONEY_OF_STATUS} AS money, ${sums("m.id", "m.cost")} FROM ${from} ` +
      `GROUP BY m.customer_id, money`,
  );
  for (const row of rows) {
    const sum = sumOf(row);
    customerOf(books, row.customer_id).messages.set(row.money, sum);
    books.messages += sum.count;
    if (row.money === "open") books.openMessages += sum.count;
  }
}

/** Every invariant that MySQL alone decides. */
export async function checkBooks(conn: Connection, books: Books): Promise<Drift[]> {
  const drifts: Drift[] = [];
  for (const [customerId, c] of books.customers) {
    const of = (op: string) => (c.entries.get(op) ?? NO_ROWS).amount;
    const say = (invariant: Invariant, detail: string, expected: number, found: number) => {
      if (expected !== found) drifts.push(driftOf(invariant, customerId, detail, expected, found));
    };
    const backed = of("capture") + of("refund") + of("release");
    say(
      "balance_equals_entries",
      "wallet balance and the sum of its entries",
      of("topup") - of("grant") + of("refund") + of("release"),
      c.balance,
    );
    say(
      "reserved_equals_entries",
      "wallet reserved and the sum of its entries",
      of("grant") - backed,
      c.reserved,
    );
    const open = added(c.messages.get("open") ?? NO_ROWS, c.messages.get("unknown") ?? NO_ROWS);
    say(
      "reserved_equals_leases_and_messages",
      "reserved, and unspent leases with messages not settled",
      c.unspent + open.amount,
      c.reserved,
    );
    if (c.balance < 0 || c.reserved < 0 || c.unspent < 0)
      drifts.push(
        driftOf(
          "never_negative",
          customerId,
          "balance, reserved or a lease is negative",
          0,
          Math.min(c.balance, c.reserved, c.unspent),
        ),
      );
    if (!messagesMatch(c)) drifts.push(...(await checkMessages(conn, customerId)));
    if (!equal(c.topups, c.entries.get("topup") ?? NO_ROWS))
      drifts.push(...(await checkTopups(conn, customerId)));
  }
  return drifts;
}

function messagesMatch(c: CustomerBooks): boolean {
  const all = [...c.messages.values()].reduce(added, NO_ROWS);
  const same = (op: string) => equal(c.entries.get(op) ?? NO_ROWS, c.messages.get(op) ?? NO_ROWS);
  return equal(c.entries.get("reserve") ?? NO_ROWS, all) && same("capture") && same("refund");
}

// One row a message that breaks a rule. An express message taken too late is `sent` and refunded, which is as
// promised.
const MESSAGE_PROBLEMS = `
  SELECT m.id AS entry_id, m.status, m.cost AS amount, o.op AS open_op, o.amount AS open_amount, c.op
  AS close_op, c.amount AS close_amount,
    CASE WHEN o.op IS NULL OR o.op <> 'reserve'
    OR o.amount <> m.cost THEN 'reserve' ELSE 'close' END AS broken
  FROM messages m
  LEFT JOIN wallet_ledger o ON o.customer_id = m.customer_id AND o.entry_id = m.id AND o.leg = 'open'
  LEFT JOIN wallet_ledger c ON c.customer_id = m.customer_id AND c.entry_id = m.id AND c.leg = 'close'
  WHERE m.customer_id = ? AND NOT (
    o.op <=> 'reserve' AND o.amount <=> m.cost AND (c.amount IS NULL OR c.amount = m.cost) AND
    CASE WHEN m.status IN (${CAPTURED}) THEN c.op <=> 'capture' OR (m.lane = 'express' AND c.op <=> 'refund')
         WHEN m.status IN (${REFUNDED}) THEN c.op <=> 'refund'
         ELSE c.op IS NULL END)
  ORDER BY m.id`;

const ENTRIES_WITHOUT_MESSAGE = `
  SELECT e.entry_id, e.op, e.amount FROM wallet_ledger e
  LEFT JOIN messages m ON m.id = e.entry_id AND m.customer_id = e.customer_id
  WHERE e.customer_id = ? AND e.op IN ('reserve', 'capture', 'refund') AND m.id IS NULL ORDER BY e.entry_id`;

type Problem = {
  entry_id: string;
  status: string;
  amount: number;
  open_op: string | null;
  open_amount: number | null;
  close_op: string | null;
  close_amount: number | null;
  broken: "reserve" | "close";
};

async function checkMessages(conn: Connection, customerId: number): Promise<Drift[]> {
  const problems = await conn.query<Problem[]>(MESSAGE_PROBLEMS, [customerId]);
  const entries = problems.map((p) => ({
    ...entryOf(
      p.entry_id,
      p.broken === "reserve" ? p.open_op : p.close_op,
      p.broken === "reserve" ? p.open_amount : p.close_amount,
    ),
    detail: `message is ${p.status} and costs ${p.amount}`,
    broken: p.broken,
  }));
  const orphans = await conn.query<{ entry_id: string; op: string; amount: number }[]>(
    ENTRIES_WITHOUT_MESSAGE,
    [customerId],
  );
  return [
    ...listed(
      "message_has_one_reserve",
      customerId,
      "messages without a reserve of their cost",
      entries.filter((e) => e.broken === "reserve"),
    ),
    ...listed(
      "message_close_matches_status",
      customerId,
      "messages whose capture or refund isn't what their status asks for",
      entries.filter((e) => e.broken === "close"),
    ),
    ...listed(
      "entry_has_message",
      customerId,
      "entries of messages that don't exist",
      orphans.map((o) => entryOf(o.entry_id, o.op, o.amount)),
    ),
  ];
}

async function checkTopups(conn: Connection, customerId: number): Promise<Drift[]> {
  const rows = await conn.query<{ entry_id: string; op: string | null; amount: number; detail: string }[]>(
    `SELECT t.entry_id, e.op, t.amount, 'a top-up without its entry' AS detail FROM topups t
     LEFT JOIN wallet_ledger e ON e.customer_id = t.customer_id AND e.entry_id = t.entry_id AND e.leg = 'open'
     WHERE t.customer_id = ? AND NOT (e.op <=> 'topup' AND e.amount <=> t.amount)
     UNION ALL
     SELECT e.entry_id, e.op, e.amount, 'an entry without its top-up' FROM wallet_ledger e
     LEFT JOIN topups t ON t.customer_id = e.customer_id AND t.entry_id = e.entry_id
     WHERE e.customer_id = ? AND e.op = 'topup' AND t.entry_id IS NULL`,
    [customerId, customerId],
  );
  return listed("topup_has_entry", customerId, "top-ups and their entries", rows);
}

export const entryOf = (
  entry_id: string,
  op: string | null,
  amount: number | null,
  detail = "",
): DriftEntry => ({
  entry_id,
  op,
  amount: amount === null ? null : Number(amount),
  detail,
});

/** One drift that names the first of these entries, or none. */
export function listed(
  invariant: Invariant,
  customerId: number,
  detail: string,
  entries: DriftEntry[],
): Drift[] {
  if (entries.length === 0) return [];
  const named = entries
    .slice(0, ENTRIES_NAMED_MAX)
    .map(({ entry_id, op, amount, detail: why }) => ({ entry_id, op, amount, detail: why }));
  return [
    {
      ...driftOf(invariant, customerId, detail, 0, entries.length),
      entries: named,
      entries_total: entries.length,
    },
  ];
}

export function driftOf(
  invariant: Invariant,
  customerId: number,
  detail: string,
  expected: number,
  found: number,
): Drift {
  return {
    invariant,
    customer_id: String(customerId),
    detail,
    expected,
    found,
    entries: [],
    entries_total: 0,
  };
}

export const equal = (a: Sum, b: Sum): boolean =>
  a.count === b.count && a.amount === b.amount && a.fingerprint === b.fingerprint;

function added(a: Sum, b: Sum): Sum {
  const fingerprint = String(BigInt(a.fingerprint) + BigInt(b.fingerprint));
  return { count: a.count + b.count, amount: a.amount + b.amount, fingerprint };
}

function sumOf(row: Sum): Sum {
  return { count: Number(row.count), amount: Number(row.amount), fingerprint: String(row.fingerprint) };
}

function customerOf(books: Books, customerId: number): CustomerBooks {
  let books1 = books.customers.get(customerId);
  if (books1 === undefined) {
    books1 = {
      balance: 0,
      reserved: 0,
      unspent: 0,
      entries: new Map(),
      messages: new Map(),
      topups: NO_ROWS,
    };
    books.customers.set(customerId, books1);
  }
  return books1;
}
