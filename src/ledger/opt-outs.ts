// Opt-outs: who doesn't want messages of a customer, by phone and sender. Owns their rows, and canceling what
// is scheduled to them; leaves when an opt-out is about a message to core/opt-out.ts, what processes remember
// to src/ingest/opt-outs.ts.
// States of a row: new (cancel_at is due: its scheduled messages are looked for, LOOKS times, because what
// was accepted just before may be stored just after) → kept (cancel_at NULL) → deleted, by START or by its
// customer.
// Invariant: a scheduled message to a phone that opted out is canceled and refunded in one transaction,
// within a few seconds. Locks in one order: the opt-out, then as schedule.ts. Bounds: OPT_OUT_CANCELS_MAX
// messages a transaction, FOUND_MAX that are looked at.

import assert from "node:assert/strict";
import { COMMIT_WAIT_MAX_MS } from "../core/limits.ts";
import { OPT_OUT_CANCELS_MAX } from "../core/inbound-limits.ts";
import { isAboutSender, type OptOutSource, senderKeys } from "../core/opt-out.ts";
import { type Connection, type Pool, withRetries } from "../platform/mysql.ts";
import { cancelLocked } from "./schedule.ts";
import { findScheduledTo, lockScheduledRows } from "./schedule-rows.ts";
import { dateTime, quote } from "./sql-text.ts";

/** `sender`: a key of core/opt-out.ts, or EVERY_SENDER. */
type OptOutKey = { customerId: number; phone: string; sender: string };
/** `region`: the customer's. */
type Of = Omit<OptOutKey, "sender"> & { sender: string | null; region: string };
export type OptOut = { phone: string; sender: string; source: OptOutSource; createdAtMs: number };

type Row = { phone: string; sender: string; source: OptOutSource; created_at: Date };
const optOutOf = ({ created_at, ...row }: Row): OptOut => ({ ...row, createdAtMs: created_at.getTime() });

/** One INSERT; one that is there already stays as it is. */
export const addOptOutSql = ({
  customerId,
  phone,
  sender,
  source,
}: OptOutKey & { source: OptOutSource }): string =>
  "INSERT INTO opt_outs (customer_id,phone,sender,source) VALUES " +
  `(${customerId},${quote(phone)},${quote(sender)},'${source}') ` +
  "ON DUPLICATE KEY UPDATE phone=opt_outs.phone";

/** Keeps an opt-out and returns it as it is now. */
export async function addOptOut(
  pool: Pick<Pool, "query" | "write">,
  optOut: OptOutKey & { source: OptOutSource },
): Promise<OptOut> {
  await pool.write(addOptOutSql(optOut));
  const rows = await pool.query<Row[]>(
    "SELECT phone, sender, source, created_at FROM opt_outs FORCE INDEX (PRIMARY) " +
      `WHERE customer_id=${optOut.customerId} AND phone=${quote(optOut.phone)} ` +
      `AND sender=${quote(optOut.sender)}`,
  );
  const [row] = rows;
  // It may have been removed in between.
  return row === undefined ? { ...optOut, createdAtMs: Date.now() } : optOutOf(row);
}

/**
 * Removes the opt-outs of a phone from this sender, as a number with and without the calling code of
 * `region`; from all senders if it is null. Returns how many.
 */
export async function removeOptOuts(
  pool: Pick<Pool, "write">,
  { customerId, phone, sender, region }: Of,
): Promise<number> {
  const { affectedRows } = await pool.write(
    `DELETE FROM opt_outs WHERE customer_id=${customerId} AND phone=${quote(phone)}` +
      senderSql(sender === null ? null : senderKeys(sender, region)),
  );
  return affectedRows;
}

const senderSql = (keys: readonly string[] | null): string =>
  keys === null ? "" : ` AND sender IN (${keys.map(quote)})`;

type OptOutFilter = {
  customerId: number;
  phone: string | null;
  /** A sender's keys (core/opt-out.ts); null: of whatever sender. */
  senders: readonly string[] | null;
  /** The last one of the page before. */
  after: { phone: string; sender: string } | null;
  limit: number;
};

/** A customer's opt-outs, by phone and sender. */
export async function listOptOuts(pool: Pick<Pool, "query">, filter: OptOutFilter): Promise<OptOut[]> {
  const { customerId, phone, senders, after, limit } = filter;
  const behind =
    after === null
      ? ""
      : ` AND phone>=${quote(after.phone)} ` +
        `AND (phone>${quote(after.phone)} OR sender>${quote(after.sender)})`;
  const rows = await pool.query<Row[]>(
    "SELECT phone, sender, source, created_at FROM opt_outs FORCE INDEX (PRIMARY) " +
      `WHERE customer_id=${customerId}${phone === null ? "" : ` AND phone=${quote(phone)}`}` +
      `${senderSql(senders)}${behind} ` +
      `ORDER BY phone, sender LIMIT ${limit}`,
  );
  return rows.map(optOutOf);
}

/** Which of these messages of a customer are to a phone that opted out, by their places. */
export async function findOptedOut(
  pool: Pick<Pool, "query">,
  customerId: number,
  messages: readonly { phone: string; from: string | null }[],
): Promise<Set<number>> {
  if (messages.length === 0) return new Set();
  const phones = [...new Set(messages.map(({ phone }) => phone))];
  const rows = await pool.query<{ phone: string; sender: string; region: string }[]>(
    "SELECT o.phone, o.sender, c.region FROM opt_outs AS o FORCE INDEX (PRIMARY) " +
      "JOIN customers AS c ON c.customer_id=o.customer_id " +
      `WHERE o.customer_id=${customerId} AND o.phone IN (${phones.map(quote)})`,
  );
  const senders = Map.groupBy(rows, ({ phone }) => phone);
  const isOut = ({ phone, from }: { phone: string; from: string | null }) =>
    senders.get(phone)?.some(({ sender, region }) => isAboutSender(sender, from, region)) ?? false;
  return new Set(messages.flatMap((message, at) => (isOut(message) ? [at] : [])));
}

type NewOptOut = { customerId: number; phone: string; createdAtMs: number };

/**
 * Those that were added at this time or later, in that order; with `lastMs` also those of that long before
 * now by MySQL's clock, which may have been set back.
 */
export async function optOutsSince(
  pool: Pick<Pool, "query">,
  { sinceMs, lastMs, limit }: { sinceMs: number; lastMs?: number; limit: number },
): Promise<NewOptOut[]> {
  const last = lastMs === undefined ? "" : ` OR created_at>=NOW(6) - INTERVAL ${lastMs * 1_000} MICROSECOND`;
  const rows = await pool.query<{ customer_id: number; phone: string; created_at: Date }[]>(
    "SELECT customer_id, phone, created_at FROM opt_outs FORCE INDEX (by_creation) " +
      `WHERE created_at>=${dateTime(sinceMs)}${last} ORDER BY created_at LIMIT ${limit}`,
  );
  return rows.map((row) => ({
    customerId: row.customer_id,
    phone: row.phone,
    createdAtMs: row.created_at.getTime(),
  }));
}

// ---- what is scheduled ----

/** Looks at growing intervals: at 0, 2, 6, 14, 30 and 62 s. */
const LOOKS = 6;
const LOOK_AGAIN_MS = 2_000;
/** What is left of the intervals if MySQL's clock jumps ahead in the longest. */
const LOOKED_MIN_MS = LOOK_AGAIN_MS * (2 ** (LOOKS - 2) - 1);
assert(COMMIT_WAIT_MAX_MS + 2_000 < LOOKED_MIN_MS, "whatever was accepted before is found");
/** Scheduled messages to one phone that are looked at: others are canceled by the next looks. */
const FOUND_MAX = 10_000;

/** As operators' reports say it (docs/reference/dlr.md). A cancellation by the customer has no reason. */
const OPTED_OUT = "opted_out";

type DueRow = Row & { customer_id: number; looks: number };
type CancelDeps = { pool: Pool; now: () => number };

/** Cancels what is scheduled to one phone that opted out. Returns how many; null if no opt-out is due. */
export function cancelOptedOut({ pool, now }: CancelDeps): Promise<number | null> {
  return withRetries(pool, async (conn) => {
    const [, due] = await conn.query<[unknown, DueRow[]]>(
      "BEGIN;SELECT customer_id, phone, sender, looks FROM opt_outs FORCE INDEX (to_cancel) " +
        "WHERE cancel_at<=NOW(3) ORDER BY cancel_at LIMIT 1 FOR UPDATE SKIP LOCKED",
    );
    const [optOut] = due;
    if (optOut === undefined) {
      await conn.query("ROLLBACK");
      return null;
    }
    const found = await findScheduledTo(conn, optOut.customer_id, optOut.phone, FOUND_MAX);
    const [{ region }] = await conn.query<[{ region: string }]>(
      `SELECT region FROM customers WHERE customer_id=${optOut.customer_id}`,
    );
    const about = found.filter(({ from }) => isAboutSender(optOut.sender, from, region)).map(({ id }) => id);
    const some = about.slice(0, OPT_OUT_CANCELS_MAX);
    const canceled = await cancelSome(conn, some, now());
    await conn.write(nextLookSql(optOut, some.length < about.length));
    await conn.query("COMMIT");
    return canceled;
  });
}

async function cancelSome(conn: Connection, ids: readonly string[], nowMs: number): Promise<number> {
  if (ids.length === 0) return 0;
  await lockScheduledRows(conn, ids);
  return cancelLocked(conn, ids, { reason: OPTED_OUT, nowMs });
}

function nextLookSql({ customer_id, phone, sender, looks }: DueRow, isMoreLeft: boolean): string {
  const looked = isMoreLeft ? looks : looks + 1;
  const delayMs = isMoreLeft ? 0 : LOOK_AGAIN_MS * 2 ** looks;
  const next = looked >= LOOKS ? "NULL" : `NOW(3) + INTERVAL ${delayMs * 1_000} MICROSECOND`;
  return (
    `UPDATE opt_outs FORCE INDEX (PRIMARY) SET looks=${looked}, cancel_at=${next} ` +
    `WHERE customer_id=${customer_id} AND phone=${quote(phone)} AND sender=${quote(sender)}`
  );
}
