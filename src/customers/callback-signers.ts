// What signs Twilio's callbacks as an API key does (core/hmac-sha1.ts). A client of Twilio has one secret,
// which is its password and verifies what it is told; Sluice has the key only while a request brings it, so
// that is when this is kept. Whoever reads the table can sign callbacks with it, as with the secrets of
// webhooks, and can neither find the key nor use the API.
// Invariant: a message is accepted only after what signs its callbacks is stored. Bound: SIGNERS_KNOWN_MAX
// keys remembered as stored; one statement at a time for each other key, however many requests wait for it.

import { SluiceError } from "../core/errors.ts";
import { hmacState } from "../core/hmac-sha1.ts";
import { KEY_CACHE_MAX } from "../core/limits.ts";
import { isDataError } from "../platform/mysql-errors.ts";
import type { Pool } from "../platform/mysql.ts";
import type { OfCustomer } from "../platform/pool-shares.ts";
import type { KeyOwner } from "./api-keys.ts";

export type CallbackSigners = {
  /** Resolves when it is stored. @throws SluiceError unavailable, if it can't be now */
  keep(owner: Pick<KeyOwner, "customerId" | "keyId">, apiKey: string): Promise<void>;
};

const SIGNERS_KNOWN_MAX = KEY_CACHE_MAX;

export function createCallbackSigners(poolOf: OfCustomer<Pick<Pool, "write">>): CallbackSigners {
  const known = new Set<string>();
  const storing = new Map<string, Promise<void>>();
  const store: CallbackSigners["keep"] = async ({ customerId, keyId }, apiKey) => {
    // updated_at stays, because this is no change that other processes must know.
    try {
      await poolOf(customerId).write(
        "UPDATE api_keys SET hmac_sha1=?, updated_at=updated_at WHERE key_id=? AND hmac_sha1 IS NULL",
        [hmacState(apiKey), keyId],
      );
    } catch (cause) {
      // As of a commit that is refused: a lock or a full disk passes, and nothing is accepted yet.
      if (cause instanceof SluiceError || isDataError(cause)) throw cause;
      throw new SluiceError("unavailable", { cause });
    }
    if (known.size >= SIGNERS_KNOWN_MAX) known.clear();
    known.add(keyId);
  };
  return {
    async keep(owner, apiKey) {
      const { keyId } = owner;
      if (known.has(keyId)) return;
      const stored = storing.get(keyId) ?? store(owner, apiKey).finally(() => storing.delete(keyId));
      storing.set(keyId, stored);
      await stored;
    },
  };
}

/** Those of these keys that sign, by their ids; also of keys that are revoked. */
export async function findSigners(
  pool: Pick<Pool, "query">,
  keyIds: readonly string[],
): Promise<Map<string, Uint8Array>> {
  if (keyIds.length === 0) return new Map();
  const rows = await pool.query<{ key_id: string; hmac_sha1: Buffer }[]>(
    "SELECT key_id, hmac_sha1 FROM api_keys FORCE INDEX (PRIMARY) " +
      `WHERE key_id IN ('${[...new Set(keyIds)].join("','")}') AND hmac_sha1 IS NOT NULL`,
  );
  return new Map(rows.map((row) => [row.key_id, row.hmac_sha1]));
}
