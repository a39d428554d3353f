// The audit log: who changed what, when and from where. Every change that whoever runs Sluice makes, by a
// command or over the admin API, runs inside `audited`, which appends its row in the change's own
// transaction. Also owns repeating such a change: a request that names a key takes effect once, for ever,
// because the log keeps the key and the answer. Leaves what a change does to the other files of this folder
// and to their callers, reading the log to src/reports/audit-log.ts. Invariants: a change and its row are
// stored together or not at all; rows only come (triggers refuse the rest); no secret is ever in one; of the
// requests with one key one at a time runs.

import { createHash } from "node:crypto";
import type { Actor, AuditAction } from "../core/audit.ts";
import { SluiceError } from "../core/errors.ts";
import { type Connection, type Pool, withRetries } from "../platform/mysql.ts";
import { isConnectionLost } from "../platform/mysql-errors.ts";
import { withLock } from "../platform/named-lock.ts";
import { inDoubt } from "../platform/repeatable.ts";

/** `hash`: SHA-256 of the request. */
export type Kept = { key: string; hash: Buffer };
/** Who makes a change, and where. `pool` must allow several statements. */
export type By = { pool: Pool; actor: Actor; kept?: Kept | null };

type Values = Readonly<Record<string, unknown>>;
export type Change = {
  action: AuditAction;
  customerId?: number;
  /** What is changed, if it isn't the customer itself: the id of a key or token, a plan's or file's name. */
  subject?: string;
  reason?: string;
  /** The entry that it posted; `amount` in minor units, below 0 if taken from the wallet. */
  entry?: { entryId: string; amount: number };
  /** What changed, before and after; without secrets. */
  old?: Values;
  new?: Values;
};
/** `change`: null if nothing was changed. */
export type Done<T> = { result: T; change: Change | null };

/** Runs a change and appends its row, in one transaction. `body` runs again after a deadlock. */
export function audited<T>(
  { pool, actor, kept = null }: By,
  body: (tx: Pool) => Promise<Done<T>>,
): Promise<T> {
  return pool.transaction(async (conn) => {
    const { result, change } = await body(within(conn));
    if (change !== null) await append(conn, actor, change, kept === null ? null : { ...kept, result });
    return result;
  });
}

/** A pool whose only connection is in a transaction: what runs on it is part of that. */
const within = (conn: Connection): Pool => ({
  query: (sql, values) => conn.query(sql, values),
  write: (sql, values) => conn.write(sql, values),
  use: (body) => body(conn),
  transaction: (body) => body(conn),
  end: () => Promise.resolve(),
});

/** A pool of one connection that is lent already, as one that holds a lock. */
export const lent = (conn: Connection): Pool => ({
  ...within(conn),
  transaction: (body, { attemptsMax } = {}) =>
    withRetries({ use: (run) => run(conn) }, () => transactionOn(conn, body), attemptsMax),
});

async function transactionOn<T>(conn: Connection, body: (conn: Connection) => Promise<T>): Promise<T> {
  await conn.query("BEGIN");
  try {
    const result = await body(conn);
    await conn.query("COMMIT");
    return result;
  } catch (error) {
    // The connection stays in use, and the next BEGIN would commit what is open.
    if (!isConnectionLost(error)) await conn.query("ROLLBACK");
    throw error;
  }
}

const SUBJECT_CHARS_MAX = 200;

/** By characters, not UTF-16 units: half of a pair is nothing that MySQL stores. */
const cut = (subject: string): string => Array.from(subject).slice(0, SUBJECT_CHARS_MAX).join("");

async function append(
  conn: Connection,
  { via, who, origin }: Actor,
  change: Change,
  kept: (Kept & { result: unknown }) | null,
): Promise<void> {
  const json = (values: Values | undefined) => (values === undefined ? null : JSON.stringify(values));
  await conn.write(
    "INSERT INTO audit_log (via, who, origin, action, customer_id, subject, entry_id, amount, reason, " +
      "old_values, new_values, idem_key, request_hash, answer) " +
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [
      via,
      who,
      origin,
      change.action,
      change.customerId ?? null,
      change.subject === undefined ? null : cut(change.subject),
      change.entry?.entryId ?? null,
      change.entry?.amount ?? null,
      change.reason ?? null,
      json(change.old),
      json(change.new),
      kept?.key ?? null,
      kept?.hash ?? null,
      kept === null ? null : JSON.stringify(kept.result),
    ],
  );
}

/** JSON of what the change resulted in. `isRepeat`: it was made by an earlier request with the same key. */
export type Once = { answer: string; isRepeat: boolean };

/**
 * Runs a change once for its key, if it has one: a repeat, also of one whose outcome was lost, gets the first
 * one's answer. A refusal leaves the key free. `isRepeatable`: twice has the effect of once also without a
 * key. @throws SluiceError idempotency_key_reused, idempotency_in_progress, outcome_unknown, and what `run`
 * throws
 */
export async function once<B extends By, T>(
  by: B,
  run: (by: B) => Promise<T>,
  isRepeatable = false,
): Promise<Once> {
  const { kept = null } = by;
  try {
    if (kept === null) return { answer: JSON.stringify(await run(by)), isRepeat: false };
    return await alone(by, kept, run);
  } catch (error) {
    if (!isConnectionLost(error)) throw error;
    if (kept === null) throw inDoubt(error, isRepeatable);
    const answer = await findAfterLoss(by, kept);
    if (answer !== null) return { answer, isRepeat: true };
    throw new SluiceError("outcome_unknown", {
      detail: "The connection to the database was lost. Repeat the request with the same Idempotency-Key.",
      cause: error,
    });
  }
}

/** How long a machine that has vanished keeps others from repeating its request. A change is never silent. */
const KEY_SILENT_MAX_S = 30;

/**
 * While another request has the key, this one doesn't even wait: it might be refused now, and the other take
 * effect later; or wait, and take effect after the other was refused and its caller has gone. The change is
 * made on the connection that holds the lock, so the lock is held until its commit is done, whoever dies.
 */
async function alone<B extends By, T>(by: B, kept: Kept, run: (by: B) => Promise<T>): Promise<Once> {
  const done = await withLock(
    by.pool,
    lockOf(by.actor, kept),
    async (conn): Promise<Once | SluiceError> => {
      const own = { ...by, pool: lent(conn) };
      try {
        const answer = await findAnswer(own, kept);
        if (answer !== null) return { answer, isRepeat: true };
        return { answer: JSON.stringify(await run(own)), isRepeat: false };
      } catch (error) {
        // Thrown from here it would end the connection, and the key be free only once the server notices.
        if (error instanceof SluiceError) return error;
        throw error;
      }
    },
    { silentMaxS: KEY_SILENT_MAX_S },
  );
  if (done === "busy") throw new SluiceError("idempotency_in_progress");
  if (done instanceof SluiceError) throw done;
  return done;
}

/** Short, because MySQL's names of locks are; two keys with one name could only be told to wait. */
const LOCK_HASH_CHARS = 20;

function lockOf({ via, who }: Actor, { key }: Kept): string {
  const hash = createHash("sha256")
    .update(JSON.stringify([via, who, key]))
    .digest("hex");
  return `once-${hash.slice(0, LOCK_HASH_CHARS)}`;
}

/** The answer, if the commit was done before its connection was lost; null if that isn't known. */
const findAfterLoss = (by: By, kept: Kept): Promise<string | null> =>
  findAnswer(by, kept).catch((error: unknown) => {
    if (isConnectionLost(error)) return null;
    throw error;
  });

async function findAnswer({ pool, actor }: By, { key, hash }: Kept): Promise<string | null> {
  const [row] = await pool.query<{ request_hash: Buffer; answer: string }[]>(
    "SELECT request_hash, answer FROM audit_log WHERE idem_key=? AND who=? AND via=?",
    [key, actor.who, actor.via],
  );
  if (row === undefined) return null;
  if (!row.request_hash.equals(hash))
    throw new SluiceError("idempotency_key_reused", {
      detail: "This Idempotency-Key, which is kept for ever, was used for another request. Nothing was done.",
    });
  return row.answer;
}

/** Those members that differ, before and after; null if none does. */
export function difference(before: Values, after: Values): { old: Values; new: Values } | null {
  const names = Object.keys(after).filter(
    (name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]),
  );
  if (names.length === 0) return null;
  const of = (values: Values) => Object.fromEntries(names.map((name) => [name, values[name] ?? null]));
  return { old: of(before), new: of(after) };
}
