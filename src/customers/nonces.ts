// Nonces of signed requests, in MySQL, so that a request that one process took is refused by all. Invariant:
// of the requests with one nonce of one key, exactly one is taken. Bound: a nonce is deleted once its request
// is too old to be accepted, NONCE_PURGE_ROWS_MAX in a statement.

import { NONCE_PURGE_ROWS_MAX } from "../core/access-limits.ts";
import { isError } from "../platform/mysql-errors.ts";
import { type Pool, withRetries } from "../platform/mysql.ts";

export type Nonce = {
  keyId: string;
  nonce: string;
  /** From when on no request with its timestamp is accepted, by MySQL's clock. */
  expiresAtMs: number;
};

/** Whether the nonce is new; stored before this resolves. */
export const takeNonce = (pool: Pool, { keyId, nonce, expiresAtMs }: Nonce): Promise<boolean> =>
  withRetries(pool, async (conn) => {
    try {
      await conn.write("INSERT INTO request_nonces (key_id, nonce, expires_at) VALUES (?, ?, ?)", [
        keyId,
        nonce,
        new Date(expiresAtMs),
      ]);
      return true;
    } catch (error) {
      if (isError(error, "duplicate")) return false;
      throw error;
    }
  });

/** Deletes the oldest expired nonces and returns how many: if NONCE_PURGE_ROWS_MAX, there may be more. */
export async function purgeNonces(pool: Pool): Promise<number> {
  const { affectedRows } = await pool.write(
    "DELETE /*+ INDEX(request_nonces by_expiry) */ FROM request_nonces WHERE expires_at < NOW(3) " +
      `ORDER BY expires_at LIMIT ${NONCE_PURGE_ROWS_MAX}`,
  );
  return affectedRows;
}
