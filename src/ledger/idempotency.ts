// Idempotency keys in the database: who owns one, what it answered, and their end after 24 h. A key is
// written by the transaction whose answer it keeps (accept.ts, topup.ts), so it is there exactly when its
// effect is.
// Invariant: (customer, operation, key) has one owner for ever, whoever raced for it. Bound:
// KEY_PURGE_ROWS_MAX rows a deletion.

import { IDEMPOTENCY_TTL_MS, KEY_PURGE_ROWS_MAX } from "../core/limits.ts";
import type { Pool } from "../platform/mysql.ts";
import { quote } from "./sql-text.ts";

export type KeyOperation = "send" | "topup";
export type KeyRef = { customerId: number; operation: KeyOperation; key: string };
/** A key as a request brings it; `hash` is the SHA-256 of its body. */
export type RequestKey = KeyRef & { hash: Buffer };
/** What a key stands for once its request is committed. `owner`: the message, or the top-up's entry. */
export type KeyClaim = RequestKey & { owner: string; status: number; answer: string };
/** A key and what to keep under it, once it is known. `status`: as the door counts them. */
export type KeptAnswer<T> = { key: RequestKey; status: number; answerOf: (result: T) => string };
export type StoredAnswer = { hash: Buffer; status: number; answer: string };

/** Other requests own these keys, given by the owner that was to be: nothing was stored. */
export class KeyTakenError extends Error {
  override readonly name = "KeyTakenError";
  readonly owners: ReadonlySet<string>;
  constructor(owners: Iterable<string>) {
    super("another request owns the idempotency key");
    this.owners = new Set(owners);
  }
}

const columns = "customer_id,operation,idem_key";
const refSql = ({ customerId, operation, key }: KeyRef): string =>
  `(${customerId},'${operation}',${quote(key)})`;
// In the order of the primary key, which is the order of locks.
const byRef = (a: KeyRef, b: KeyRef): number =>
  a.customerId - b.customerId ||
  (a.operation === b.operation ? 0 : a.operation < b.operation ? -1 : 1) ||
  (a.key < b.key ? -1 : 1);

/**
 * Two statements: insert the keys, and read who owns them. The first waits for whoever is inserting one of
 * them at the moment, so the second is final. (IGNORE would hide other errors as well.)
 */
export function claimKeysSql(claims: KeyClaim[]): string {
  claims.sort(byRef);
  const values = claims.map(
    (c) =>
      `(${c.customerId},'${c.operation}',${quote(c.key)},x'${c.hash.toString("hex")}','${c.owner}',` +
      `${c.status},${quote(c.answer)})`,
  );
  return (
    `INSERT INTO idempotency_keys (${columns},request_hash,owner,status,answer) VALUES ${values.join(",")} ` +
    "ON DUPLICATE KEY UPDATE owner=idempotency_keys.owner;" +
    `SELECT owner FROM idempotency_keys WHERE (${columns}) IN (${claims.map(refSql).join(",")})`
  );
}

/** Those of the claims that others own, by what the second statement of `claimKeysSql` found. */
export function takenKeys(claims: readonly KeyClaim[], found: readonly { owner: string }[]): string[] {
  const owners = new Set(found.map((row) => row.owner));
  return claims.map((c) => c.owner).filter((owner) => !owners.has(owner));
}

/** What these keys answered; a key that isn't there was never used, or more than 24 h ago. */
export async function findKeys(
  pool: Pick<Pool, "query">,
  refs: readonly KeyRef[],
): Promise<(StoredAnswer | null)[]> {
  type Found = { customer_id: number; operation: string; idem_key: Buffer } & {
    request_hash: Buffer;
    status: number;
    answer: Buffer;
  };
  const rows = await pool.query<Found[]>(
    `SELECT ${columns},request_hash,status,answer FROM idempotency_keys ` +
      `WHERE (${columns}) IN (${refs.map(refSql).join(",")})`,
  );
  const nameOf = (customerId: number, operation: string, key: string) => `${customerId} ${operation} ${key}`;
  const byName = new Map(
    rows.map((row) => [nameOf(row.customer_id, row.operation, row.idem_key.toString("latin1")), row]),
  );
  return refs.map((ref) => {
    const row = byName.get(nameOf(ref.customerId, ref.operation, ref.key));
    return row === undefined
      ? null
      : { hash: row.request_hash, status: row.status, answer: row.answer.toString("utf8") };
  });
}

/** Deletes the oldest keys past their time; KEY_PURGE_ROWS_MAX: there may be more. */
export async function purgeKeys(pool: Pool): Promise<number> {
  const { affectedRows } = await pool.write(
    `DELETE FROM idempotency_keys WHERE created_at < NOW(3) - INTERVAL ${IDEMPOTENCY_TTL_MS * 1000} ` +
      `MICROSECOND ORDER BY created_at LIMIT ${KEY_PURGE_ROWS_MAX}`,
  );
  return affectedRows;
}
