// When keys were used last: noted in memory for each request, and written by one statement for many keys, so
// that no request waits for it. Invariant: the stored time is at most two periods (KEY_USES_PERIOD_MS)
// behind; a process that is killed loses what it noted in the last one. Bound: KEY_CACHE_MAX keys.

import { KEY_USES_PERIOD_MS, KEY_USES_ROWS_MAX } from "../core/access-limits.ts";
import { KEY_CACHE_MAX } from "../core/limits.ts";
import type { Pool } from "../platform/mysql.ts";

export type KeyUses = {
  note(keyId: string): void;
  /** Writes what was noted since the last time. What can't be written is noted again. */
  write(): Promise<void>;
};

export function createKeyUses(pool: Pick<Pool, "write">): KeyUses {
  let noted = new Set<string>();
  const note = (keyId: string) => {
    if (noted.size < KEY_CACHE_MAX) noted.add(keyId);
  };
  return {
    note,
    async write() {
      // Sorted, so that processes that write the same keys lock them in one order.
      const keyIds = [...noted].sort();
      noted = new Set();
      for (let at = 0; at < keyIds.length; at += KEY_USES_ROWS_MAX) {
        try {
          await writeUses(pool, keyIds.slice(at, at + KEY_USES_ROWS_MAX));
        } catch (error) {
          for (const keyId of keyIds.slice(at)) note(keyId);
          throw error;
        }
      }
    },
  };
}

/**
 * A time that another process wrote in this period is recent enough. updated_at stays, because a use is no
 * change that other processes must know.
 */
const writeUses = (pool: Pick<Pool, "write">, keyIds: readonly string[]) =>
  pool.write(
    "UPDATE api_keys SET last_used_at=NOW(3), updated_at=updated_at WHERE key_id IN (?) AND " +
      `(last_used_at IS NULL OR last_used_at < NOW(3) - INTERVAL ${KEY_USES_PERIOD_MS * 1_000} MICROSECOND)`,
    [keyIds],
  );
