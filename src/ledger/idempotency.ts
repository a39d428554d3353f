// Idempotency keys in the database: who owns a key, which answer is stored under it, and its deletion after
// 24 h. A key is written by the transaction whose answer it keeps (accept.ts, topup.ts), so it exists exactly
// when its effect does.
// Invariant: (customer, operation, key) never changes its owner, however many requests race for it. Bound:
// KEY_PURGE_ROWS_MAX rows a deletion.

import { IDEMPOTENCY_TTL_MS, KEY_PURGE_ROWS_MAX, SHORT_ANSWER_BYTES_MAX } from "../core/limits.ts";
import type { Pool } from "../platform/mysql.ts";
import { dateTime, quote } from "./sql-text.ts";

export type KeyOperation = "send" | "topup" | "batch" | "otp";
export type KeyRef = { customerId: number; operation: KeyOperation; key: string };
/** A request's key; `hash` is the SHA-256 of the request's body. */
export type RequestKey = KeyRef & { hash: Buffer };
/**
 * What is stored for a key when its request commits. `owner`: the id of the message, of the first message of
 * a batch, or of the top-up's entry.
 */
export type KeyClaim = RequestKey & { owner: string; status: number; answer: string };
/**
 * A key with what will be stored under it, once the result is known. `status`: the door's own status code.
 */
export type KeptAnswer<T> = { key: RequestKey; status: number; answerOf: (result: T) => string };
export type StoredAnswer = { hash: Buffer; status: number; answer: string };

/** Other requests own these keys, so nothing was stored. `owners`: the rejected owners of this request. */
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
// One order for all transactions: that in which they lock keys.
const byRef = (a: KeyRef, b: KeyRef): number =>
  a.customerId - b.customerId ||
  (a.operation === b.operation ? 0 : a.operation < b.operation ? -1 : 1) ||
  (a.key < b.key ? -1 : 1);

/**
 * Two statements: insert the keys, then read who owns them. The insert waits for transactions that are
 * inserting the same keys, so the read is final. (INSERT IGNORE would hide other errors as well.)
 */
export function claimKeysSql(claims: KeyClaim[]): string {
  claims.sort(byRef);
  const areLong = claims.some((c) => isLong(c.answer));
  const values = claims.map(
    (c) =>
      `(${c.customerId},'${c.operation}',${quote(c.key)},x'${c.hash.toString("hex")}','${c.owner}',` +
      `${c.status},${answerSql(c.answer, areLong)})`,
  );
  const answers = areLong ? "answer,long_answer" : "answer";
  return (
    `INSERT INTO idempotency_keys (${columns},request_hash,owner,status,${answers}) ` +
    `VALUES ${values.join(",")} ` +
    "ON DUPLICATE KEY UPDATE owner=idempotency_keys.owner;" +
    `SELECT owner FROM idempotency_keys WHERE (${columns}) IN (${claims.map(refSql).join(",")})`
  );
}

/** A length in UTF-16 units that is short is short in bytes too, however many bytes each takes. */
const isLong = (answer: string): boolean =>
  3 * answer.length > SHORT_ANSWER_BYTES_MAX && Buffer.byteLength(answer) > SHORT_ANSWER_BYTES_MAX;

function answerSql(answer: string, withLong: boolean): string {
  if (!withLong) return quote(answer);
  return isLong(answer) ? `'',${quote(answer)}` : `${quote(answer)},NULL`;
}

/** The owners of those claims whose keys belong to others, by the second statement of `claimKeysSql`. */
export function takenKeys(claims: readonly KeyClaim[], found: readonly { owner: string }[]): string[] {
  const owners = new Set(found.map((row) => row.owner));
  return claims.map((c) => c.owner).filter((owner) => !owners.has(owner));
}

/** The stored answers of these keys; null for a key that was never used, or longer than 24 h ago. */
export async function findKeys(
  pool: Pick<Pool, "query">,
  refs: readonly KeyRef[],
): Promise<(StoredAnswer | null)[]> {
  type Found = { customer_id: number; operation: string; idem_key: Buffer } & {
    request_hash: Buffer;
    status: number;
    answer: Buffer;
    long_answer: Buffer | null;
  };
  const rows = await pool.query<Found[]>(
    `SELECT ${columns},request_hash,status,answer,long_answer FROM idempotency_keys ` +
      `WHERE (${columns}) IN (${refs.map(refSql).join(",")})`,
  );
  const nameOf = (customerId: number, operation: string, key: string) => `${customerId} ${operation} ${key}`;
  const byName = new Map(
    rows.map((row) => [nameOf(row.customer_id, row.operation, row.idem_key.toString("latin1")), row]),
  );
  return refs.map((ref) => {
    const row = byName.get(nameOf(ref.customerId, ref.operation, ref.key));
    if (row === undefined) return null;
    const answer = (row.long_answer ?? row.answer).toString("utf8");
    return { hash: row.request_hash, status: row.status, answer };
  });
}

/** The id of the message that was sent with this key in the last 24 h; null if there is none. */
export async function findKeyOwner(pool: Pick<Pool, "query">, ref: KeyRef): Promise<string | null> {
  const [row] = await pool.query<{ owner: string }[]>(
    `SELECT owner FROM idempotency_keys WHERE (${columns}) IN (${refSql(ref)})`,
  );
  return row?.owner ?? null;
}

/** MySQL's clock, which stamps keys. */
export async function readKeyClock(pool: Pick<Pool, "query">): Promise<number> {
  const [row] = await pool.query<{ at: Date }[]>("SELECT NOW(3) AS at");
  if (row === undefined) throw new Error("a SELECT of constants has one row");
  return row.at.getTime();
}

/**
 * Deletes the oldest keys that have expired by `nowMs`, of MySQL's clock, and returns how many: if
 * KEY_PURGE_ROWS_MAX, there may be more.
 */
export async function purgeKeys(pool: Pick<Pool, "write">, nowMs: number): Promise<number> {
  const { affectedRows } = await pool.write(
    `DELETE FROM idempotency_keys WHERE created_at < ${dateTime(nowMs - IDEMPOTENCY_TTL_MS)} ` +
      `ORDER BY created_at LIMIT ${KEY_PURGE_ROWS_MAX}`,
  );
  return affectedRows;
}
