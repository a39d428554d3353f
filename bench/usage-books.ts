// What MySQL knows of the messages and entries of bench/usage.ts, one customer at a time, and its own sums
// over all of them. Independent of src/reports: reads the tables as the ledger writes them. Bound: the
// messages and entries of one customer in memory.

import { LATE_ANSWER_MAX_MS } from "../src/core/limits.ts";
import type { Pool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";
import { progressOf } from "./harness.ts";
import type { BookEntry, BookMessage } from "./usage-compare.ts";
import { prefixOf } from "./usage-load.ts";

type Reads = Pick<Pool, "query">;
export type Books = { messages: BookMessage[]; entries: BookEntry[] };
/** The customers' messages from this id on. */
export type Scope = { customerIds: readonly number[]; firstId: string };

const LOOK_MS = 250;
/** A look at a million messages takes a while; in this part of the time at most. */
const LOOK_SHARE = 0.2;
/** From when the last message became unknown until its late answer is stored. */
const ANSWERED_MS = LATE_ANSWER_MAX_MS + 5_000;
/** Longer than a message waits between two attempts, or a lost answer until it counts as unknown. */
const STALLED_MS = 180_000;

/** The customer's entries, without what only moves between wallet and leases, and its messages. */
export async function readBooks(pool: Reads, customerId: number, firstId: string): Promise<Books> {
  const entries = await readEntries(pool, customerId);
  const byMessage = new Map<string, { reserved: number; refunded: number }>();
  for (const { entryId, op, amount } of entries) {
    const sums = byMessage.get(entryId) ?? { reserved: 0, refunded: 0 };
    if (op === "reserve") sums.reserved += amount;
    if (op === "refund") sums.refunded += amount;
    byMessage.set(entryId, sums);
  }
  type Stored = Pick<BookMessage, "id" | "lane" | "status" | "phone" | "parts" | "reference"> & {
    cost: unknown;
    created_at: Date;
  };
  const rows = await pool.query<Stored[]>(
    "SELECT id, lane, status, phone, parts, cost, reference, created_at FROM messages " +
      "WHERE id >= ? AND customer_id = ?",
    [firstId, customerId],
  );
  const messages = rows.map(({ cost, created_at, ...row }): BookMessage => {
    const { reserved, refunded } = byMessage.get(row.id) ?? { reserved: 0, refunded: 0 };
    return {
      ...row,
      prefix: prefixOf(row.phone),
      price: Number(cost),
      cost: reserved - refunded,
      refunded,
      createdAtMs: created_at.getTime(),
    };
  });
  return { messages, entries };
}

async function readEntries(pool: Reads, customerId: number): Promise<BookEntry[]> {
  type Stored = { entry_id: string; op: string; amount: unknown; created_at: Date };
  const rows = await pool.query<Stored[]>(
    "SELECT entry_id, op, amount, created_at FROM wallet_ledger " +
      "WHERE customer_id = ? AND op NOT IN ('grant', 'release')",
    [customerId],
  );
  return rows.map(({ entry_id, op, amount, created_at }) => ({
    entryId: entry_id,
    op,
    amount: Number(amount),
    createdAtMs: created_at.getTime(),
  }));
}

export type Sums = { messages: number; parts: number; cost: number; refunded: number };

/** Of all the customers, by MySQL itself. */
export async function sumsOf(pool: Reads, { customerIds, firstId }: Scope): Promise<Sums> {
  type Row = Record<keyof Sums, unknown>;
  const [row] = await pool.query<Row[]>(
    `SELECT m.messages, m.parts, l.reserved - l.refunded AS cost, l.refunded FROM
       (SELECT COUNT(*) AS messages, COALESCE(SUM(parts), 0) AS parts FROM messages
        WHERE id >= ? AND customer_id IN (?)) AS m JOIN
       (SELECT COALESCE(SUM(IF(op = 'reserve', amount, 0)), 0) AS reserved,
          COALESCE(SUM(IF(op = 'refund', amount, 0)), 0) AS refunded
        FROM wallet_ledger WHERE customer_id IN (?)) AS l`,
    [firstId, customerIds, customerIds],
  );
  const { messages, parts, cost, refunded } = row as Row;
  return {
    messages: Number(messages),
    parts: Number(parts),
    cost: Number(cost),
    refunded: Number(refunded),
  };
}

/** How many messages are at each status. */
export async function statusesOf(
  pool: Reads,
  { customerIds, firstId }: Scope,
): Promise<Record<string, number>> {
  const rows = await pool.query<{ status: string; n: number }[]>(
    "SELECT status, COUNT(*) AS n FROM messages WHERE id >= ? AND customer_id IN (?) GROUP BY status",
    [firstId, customerIds],
  );
  return Object.fromEntries(rows.map(({ status, n }) => [status, Number(n)]));
}

/**
 * Waits until operators have taken or refused every message, or nobody can pay for it. @throws Error after
 * STALLED_MS without progress
 */
export const untilTaken = (pool: Reads, scope: Scope, say: (line: string) => void): Promise<void> =>
  untilNone("messages are on their way", say, async () => {
    const { scheduled = 0, queued = 0, sending = 0 } = await statusesOf(pool, scope);
    return scheduled + queued + sending;
  });

/** Waits until no operator's late answer can say any more what became of an unknown message. */
export async function untilAnswered(pool: Reads, scope: Scope, say: (line: string) => void): Promise<void> {
  const progress = progressOf(say);
  for (const endMs = performance.now() + ANSWERED_MS; performance.now() < endMs; await sleep(LOOK_MS)) {
    const { unknown = 0 } = await statusesOf(pool, scope);
    if (unknown === 0) return;
    progress(() => `${unknown} messages are unknown, and may be answered late`);
  }
}

/** Waits until the relay has given all events to Kafka. @throws Error after STALLED_MS without progress */
export const untilRelayed = (pool: Reads, say: (line: string) => void): Promise<void> =>
  untilNone("rows are in the outbox", say, async () => {
    const [row] = await pool.query<{ n: number }[]>("SELECT COUNT(*) AS n FROM outbox");
    return Number(row?.n);
  });

/** Looks until it counts 0. @throws Error after STALLED_MS without progress */
export async function untilNone(
  what: string,
  say: (line: string) => void,
  count: () => Promise<number>,
): Promise<void> {
  const progress = progressOf(say);
  let least = Number.POSITIVE_INFINITY;
  for (let leastMs = performance.now(); ; ) {
    const startedMs = performance.now();
    const left = await count();
    if (left === 0) return;
    const nowMs = performance.now();
    if (left < least) leastMs = nowMs;
    least = Math.min(left, least);
    if (nowMs - leastMs > STALLED_MS) throw new Error(`${left} ${what}, for ${STALLED_MS / 1_000} s`);
    progress(() => `${left} ${what}`);
    await sleep(Math.max(LOOK_MS, (nowMs - startedMs) / LOOK_SHARE));
  }
}
