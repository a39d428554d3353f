// GET /v1/wallet and GET /v1/wallet/ledger, from MySQL. A customer never sees leases: their unspent credit is
// still the customer's to spend, so it counts as balance, and statements leave out grants and releases.
// Invariant: a wallet is read by one statement, so its three figures belong to one moment.

import { SluiceError } from "../core/errors.ts";
import { isUlid, ulidBound, ULID_TIME_MAX_MS } from "../core/id.ts";
import { moneyOf } from "../core/money.ts";
import { ENTRY_SPAN_MAX_MS, EXPORT_PAGE_ROWS, STATEMENT_SETTLED_MS } from "../core/stream-limits.ts";
import { LEASE_OPS, type LedgerLeg, type LedgerOp } from "../core/ledger.ts";
import type { Pool } from "../platform/mysql.ts";
import type { ExportPage } from "./exports.ts";
import { idRangeOf } from "./messages-report.ts";
import { type CursorValues, type Params, type Query, readParams } from "./params.ts";

export type Wallet = {
  customer_id: string;
  balance: number;
  reserved: number;
  available: number;
  currency: string;
};
/** The operations that a customer sees: without the moves between wallet and leases. */
type StatementOp = Exclude<LedgerOp, "grant" | "release">;
export type LedgerEntry = {
  entry_id: string;
  op: StatementOp;
  amount: number;
  /** Only for reserve, capture and refund. */
  message_id?: string;
  /** Only for topup. */
  request_id?: string;
  created_at: string;
};
export type LedgerPage = { entries: LedgerEntry[]; next_cursor: string | null };

/** @throws SluiceError not_found */
export async function readWallet({ pool }: { pool: Pool }, customerId: number): Promise<Wallet> {
  const [row] = await pool.query<
    { balance: unknown; reserved: unknown; unspent: unknown; currency: string }[]
  >(
    `SELECT w.balance, w.reserved, c.currency,
       (SELECT CAST(COALESCE(SUM(l.granted - l.spent), 0) AS SIGNED)
        FROM credit_leases l WHERE l.customer_id = w.customer_id) AS unspent
     FROM wallet_accounts w JOIN customers c ON c.customer_id = w.customer_id
     WHERE w.customer_id = ?`,
    [customerId],
  );
  if (row === undefined) throw new SluiceError("not_found");
  const unspent = moneyOf(row.unspent);
  const available = moneyOf(moneyOf(row.balance) + unspent);
  const reserved = moneyOf(moneyOf(row.reserved) - unspent);
  return { customer_id: String(customerId), balance: available, reserved, available, currency: row.currency };
}

/**
 * Newest first by the message or top-up of an entry, a close before its open. That is the order of the key,
 * so a page reads only its own rows. @throws SluiceError validation_failed
 */
export async function readLedger(
  { pool }: { pool: Pool },
  customerId: number,
  query: Query,
): Promise<LedgerPage> {
  const params = readParams(query);
  const period = periodOf(params);
  const cursor = params.cursor((values) => isLedgerCursor(values, 2)) as [string, LedgerLeg] | null;
  const limit = params.limit();
  params.check();

  const rows = await entriesOf(pool, customerId, { ...period, after: cursor, count: limit + 1 });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const more = rows.length > limit && last !== undefined;
  const requestIds = await requestIdsOf(pool, customerId, page);
  return {
    entries: page.map((row) => entryOf(row, requestIds)),
    next_cursor: more ? params.nextCursor([last.entry_id, last.leg]) : null,
  };
}

/**
 * A page of the export: the entries until STATEMENT_SETTLED_MS before its first page was read. None of them
 * can be missing then, and none changes, so the export is the same however often it is made.
 * @throws SluiceError validation_failed
 */
export async function exportLedger(
  { pool, now }: { pool: Pool; now: () => number },
  customerId: number,
  query: Query,
): Promise<ExportPage<LedgerEntry>> {
  const params = readParams(query);
  const { fromMs, toMs } = periodOf(params);
  const cursor = params.cursor((values) => isLedgerCursor(values, 3)) as [string, LedgerLeg, number] | null;
  params.check();

  const asOfMs = cursor?.[2] ?? now() - STATEMENT_SETTLED_MS;
  const untilMs = Math.min(toMs ?? asOfMs, asOfMs);
  const page = { fromMs, toMs: untilMs, after: cursor, count: EXPORT_PAGE_ROWS + 1 };
  const found = await entriesOf(pool, customerId, page);
  const kept = found.slice(0, EXPORT_PAGE_ROWS);
  const requestIds = await requestIdsOf(pool, customerId, kept);
  const rows = kept.map((stored) => ({
    row: entryOf(stored, requestIds),
    cursor: params.nextCursor([stored.entry_id, stored.leg, asOfMs]),
  }));
  const more = found.length > EXPORT_PAGE_ROWS;
  return {
    rows,
    next: more ? (rows.at(-1)?.cursor ?? null) : null,
    as_of: new Date(asOfMs).toISOString(),
  };
}

/** from <= created_at < to */
type Period = { fromMs: number | null; toMs: number | null };

function periodOf(params: Params): Period {
  const [fromMs, toMs] = [params.time("from"), params.time("to")];
  if (fromMs !== null && toMs !== null && fromMs >= toMs) params.fail("from", "must be before `to`");
  return { fromMs, toMs };
}

type Asked = Period & { after: readonly [string, LedgerLeg, number?] | null; count: number };

function entriesOf(
  pool: Pool,
  customerId: number,
  { fromMs, toMs, after, count }: Asked,
): Promise<StoredEntry[]> {
  const wanted: string[] = [];
  const values: unknown[] = [];
  const where = (sql: string, ...given: unknown[]) => {
    wanted.push(` AND ${sql}`);
    values.push(...given);
  };
  // After an entry's close comes its open; after its open come the entries before it.
  if (after?.[1] === "open") where("entry_id < ?", after[0]);
  else if (after) where("(entry_id < ? OR (entry_id = ? AND leg = 'open'))", after[0], after[0]);
  if (fromMs !== null) {
    const oldestMs = Math.max(0, fromMs - ENTRY_SPAN_MAX_MS);
    where("entry_id >= ? AND created_at >= ?", ulidBound(oldestMs), new Date(fromMs));
  }
  if (toMs !== null) where("entry_id < ? AND created_at < ?", idRangeOf(0, toMs).high, new Date(toMs));
  return pool.query<StoredEntry[]>(
    `SELECT entry_id, leg, op, amount, created_at FROM wallet_ledger
     WHERE customer_id = ?${wanted.join("")} AND op NOT IN (${LEASE_OPS.map((op) => `'${op}'`)})
     ORDER BY entry_id DESC, leg DESC LIMIT ?`,
    [customerId, ...values, count],
  );
}

/** The entries of one message: its reserve, and how it was settled. */
export async function entriesOfMessage(
  pool: Pick<Pool, "query">,
  customerId: number,
  messageId: string,
): Promise<LedgerEntry[]> {
  const rows = await pool.query<StoredEntry[]>(
    `SELECT entry_id, leg, op, amount, created_at FROM wallet_ledger
     WHERE customer_id = ? AND entry_id = ? ORDER BY leg`,
    [customerId, messageId],
  );
  return rows.map((row) => entryOf(row, new Map()));
}

type StoredEntry = {
  entry_id: string;
  leg: LedgerLeg;
  op: StatementOp;
  amount: unknown;
  created_at: Date;
};

/** Maps entry_id to request_id for the top-ups of a page. */
async function requestIdsOf(
  pool: Pool,
  customerId: number,
  page: readonly StoredEntry[],
): Promise<Map<string, string>> {
  const topups = page.filter(({ op }) => op === "topup").map(({ entry_id }) => entry_id);
  if (topups.length === 0) return new Map();
  const rows = await pool.query<{ entry_id: string; request_id: string }[]>(
    "SELECT entry_id, request_id FROM topups WHERE customer_id = ? AND entry_id IN (?)",
    [customerId, topups],
  );
  return new Map(rows.map((row) => [row.entry_id, row.request_id]));
}

function entryOf(row: StoredEntry, requestIds: ReadonlyMap<string, string>): LedgerEntry {
  return {
    entry_id: row.entry_id,
    op: row.op,
    amount: moneyOf(row.amount),
    ...(isAdjustment(row.op)
      ? {}
      : row.op === "topup"
        ? { request_id: requestIds.get(row.entry_id) ?? "" }
        : { message_id: row.entry_id }),
    created_at: row.created_at.toISOString(),
  };
}

const isAdjustment = (op: StatementOp): boolean => op === "adjust_up" || op === "adjust_down";

function isLedgerCursor(values: CursorValues, length: 2 | 3): boolean {
  const [id, leg, asOfMs = 0] = values;
  const isTime = typeof asOfMs === "number" && asOfMs >= 0 && asOfMs <= ULID_TIME_MAX_MS;
  return values.length === length && isUlid(id) && (leg === "open" || leg === "close") && isTime;
}
