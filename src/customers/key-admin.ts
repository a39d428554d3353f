// What whoever runs Sluice does with keys that exist: rotates and lists them, and changes when they expire.
// Leaves creating and revoking to api-keys.ts. Invariant: a rotation is one transaction, so a new key that
// nobody was shown doesn't exist, and the old one then stays as it is.

import { LIVE_KEYS_MAX } from "../core/access-limits.ts";
import { SluiceError } from "../core/errors.ts";
import type { Pool } from "../platform/mysql.ts";
import {
  insertKey,
  type KeyDeps,
  type KeyOptions,
  LIVE,
  lockKeys,
  type NewKey,
  tooManyKeys,
} from "./api-keys.ts";

export type RotateOptions = KeyOptions & {
  /** How long the old key still works; 0: it is revoked. */
  overlapMs: number;
};
export type Rotated = NewKey & { customerId: number; oldExpiresAt: string };

/**
 * Makes a key with the scopes and addresses of another, which then expires after `overlapMs`, or sooner if it
 * would have anyway. Takes signed requests only if the other does, unless `signed` says. `show` gets the new
 * key before it is stored; if that throws, nothing changes. @throws SluiceError not_found; validation_failed
 * if there would be more than two live keys
 */
export function rotateKey(
  { pool, id }: KeyDeps,
  oldId: string,
  { overlapMs, signed, expiresAtMs = null }: RotateOptions,
  show: (rotated: Rotated) => void,
): Promise<void> {
  const isRevoked = overlapMs === 0;
  return pool.transaction(async (conn) => {
    const [known] = await conn.query<{ customer_id: number }[]>(
      "SELECT customer_id FROM api_keys WHERE key_id=?",
      [oldId],
    );
    const customerId = known?.customer_id ?? 0;
    const live = known === undefined ? [] : await lockKeys(conn, customerId);
    const old = live.find((key) => key.key_id === oldId);
    if (old === undefined) throw noLiveKey(oldId);
    if (live.length - (isRevoked ? 1 : 0) >= LIVE_KEYS_MAX) throw tooManyKeys();
    const until = `NOW(3) + INTERVAL ${overlapMs * 1_000} MICROSECOND`;
    const { affectedRows } = await conn.write(
      `UPDATE api_keys SET ${isRevoked ? "revoked_at=NOW(3), " : ""}` +
        `expires_at=LEAST(COALESCE(expires_at, ${until}), ${until}) WHERE key_id=? AND revoked_at IS NULL`,
      [oldId],
    );
    if (affectedRows === 0) throw noLiveKey(oldId);
    const [{ oldExpiresAt }] = await conn.query<[{ oldExpiresAt: Date }]>(
      "SELECT expires_at AS oldExpiresAt FROM api_keys WHERE key_id=?",
      [oldId],
    );
    const { scopes, addresses } = old;
    const of = { scopes, addresses, expiresAtMs, signed: signed ?? old.signed === 1 };
    const made = await insertKey(conn, id(), customerId, of);
    show({ ...made, customerId, oldExpiresAt: oldExpiresAt.toISOString() });
  });
}

export type KeyRow = {
  key_id: string;
  scopes: string;
  /** Neither revoked nor expired. */
  live: boolean;
  /** It takes signed requests only. */
  signed: boolean;
  addresses: string[] | null;
  created_at: string;
  expires_at: string | null;
  /** Up to a minute behind. */
  last_used_at: string | null;
  revoked_at: string | null;
};
type FoundKey = Pick<KeyRow, "key_id" | "scopes"> & {
  live: 0 | 1;
  signed: 0 | 1;
  addresses: string | null;
  created_at: Date;
  expires_at: Date | null;
  last_used_at: Date | null;
  revoked_at: Date | null;
};

const COLUMNS =
  `key_id, scopes, ${LIVE} AS live, signing_salt IS NOT NULL AS signed, addresses, created_at, ` +
  "expires_at, last_used_at, revoked_at";

/** All keys of a customer, oldest first; never the key itself. */
export async function listKeys(pool: Pick<Pool, "query">, customerId: number): Promise<KeyRow[]> {
  const found = await pool.query<FoundKey[]>(
    `SELECT ${COLUMNS} FROM api_keys WHERE customer_id=? ORDER BY key_id`,
    [customerId],
  );
  return found.map(rowOf);
}

/** One key, never the key itself, and whose it is. @throws SluiceError not_found */
export async function readKey(
  pool: Pick<Pool, "query">,
  keyId: string,
  lock: "" | " FOR UPDATE" = "",
): Promise<{ customerId: number; key: KeyRow }> {
  type Owned = FoundKey & { customer_id?: number };
  const [found] = await pool.query<Owned[]>(
    `SELECT customer_id, ${COLUMNS} FROM api_keys WHERE key_id=?${lock}`,
    [keyId],
  );
  if (found === undefined) throw noLiveKey(keyId);
  const { customer_id: customerId, ...key } = found;
  return { customerId: Number(customerId), key: rowOf(key) };
}

const rowOf = (row: FoundKey): KeyRow => ({
  ...row,
  live: row.live === 1,
  signed: row.signed === 1,
  addresses: row.addresses?.split(",") ?? null,
  created_at: row.created_at.toISOString(),
  expires_at: row.expires_at?.toISOString() ?? null,
  last_used_at: row.last_used_at?.toISOString() ?? null,
  revoked_at: row.revoked_at?.toISOString() ?? null,
});

/**
 * Changes when a live key expires; null: never. Every process knows within 2 s. @throws SluiceError not_found
 */
export async function setKeyExpiry(pool: Pool, keyId: string, expiresAtMs: number | null): Promise<void> {
  const { affectedRows } = await pool.write(`UPDATE api_keys SET expires_at=? WHERE key_id=? AND ${LIVE}`, [
    expiresAtMs === null ? null : new Date(expiresAtMs),
    keyId,
  ]);
  if (affectedRows === 0) throw noLiveKey(keyId);
}

/** What there is not: a key that is neither revoked nor expired. */
export const noLiveKey = (keyId: string): SluiceError =>
  new SluiceError("not_found", { detail: `No live key ${JSON.stringify(keyId)}; see: ./sluice key list` });
