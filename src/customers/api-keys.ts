// API keys: created, looked up, revoked; rotated and listed in key-admin.ts. A key is 160 random bits and
// shown once; the database stores only its SHA-256, which at that length needs no salt or stretching.
// Invariant: a customer has at most LIVE_KEYS_MAX live keys: those that are neither revoked nor expired, by
// MySQL's clock.

import { createHash, randomBytes } from "node:crypto";
import { LIVE_KEYS_MAX } from "../core/access-limits.ts";
import { addressList } from "../core/addresses.ts";
import type { CallbackWish } from "../core/callback.ts";
import { SluiceError } from "../core/errors.ts";
import { type QuietUntil, quietRulesOf, quietUntilOf } from "../core/quiet-hours.ts";
import type { PricePlan } from "../core/price-plan.ts";
import { SIGNING_SALT_BYTES, signingSecretOf } from "../core/request-signature.ts";
import { listedSenders } from "../core/senders.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import type { Customer } from "./customers.ts";

export const SCOPES = ["send", "read", "billing", "admin"] as const;
export type Scope = (typeof SCOPES)[number];
export const SCOPES_DEFAULT: readonly Scope[] = ["send", "read", "billing"];

export type KeyOwner = Customer & {
  keyId: string;
  scopes: ReadonlySet<Scope>;
  /** By MySQL's clock; absent if the key doesn't expire. */
  expiresAtMs?: number;
  /** Absent if nothing but its scopes limits the key, so that most requests are checked for nothing else. */
  guard?: KeyGuard;
  /** Absent if no webhook is set up (webhooks.ts). */
  webhook?: CallbackWish;
  /** Absent if it has no price plan; `plan` is read by whoever needs it (price-plans.ts). */
  planId?: number;
  plan?: PricePlan;
  /** Absent if it has no quiet hours (quiet-hours.ts). */
  quietUntil?: QuietUntil;
  /** The only ones that it may use, as core/senders.ts writes them; absent if it may use any. */
  senders?: ReadonlySet<string>;
  /** The answer to a request for a one-time code has the code; absent, as for most: it doesn't. */
  showsOtp?: true;
  /** Its mode is `async`: its messages are accepted without credit. */
  isAsync?: true;
};
export type KeyGuard = {
  isSuspended: boolean;
  /** Whether the lists of the customer and of the key have this address; null: there are none. */
  allows: ((address: string) => boolean) | null;
  /** Signs the requests of a key that takes no others; null for all other keys. */
  signingSecret: string | null;
};
export type KeyDeps = { pool: Pool; id: () => string };
export type KeyOptions = {
  /** null: it doesn't expire. */
  expiresAtMs?: number | null;
  /** It takes signed requests only. */
  signed?: boolean;
};
/** What is shown once. `signingSecret`: only of a key that takes signed requests. */
export type NewKey = { keyId: string; apiKey: string; signingSecret?: string };

/** Of the columns of api_keys. */
export const LIVE = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > NOW(3))";

/** The SHA-256 under which a key is stored. */
export const hashKey = (key: string): Buffer => createHash("sha256").update(key).digest();

/**
 * Creates a key and returns it; it can't be read again. @throws SluiceError not_found, validation_failed (two
 * keys are live already)
 */
export function createKey(
  { pool, id }: KeyDeps,
  customerId: number,
  scopes: readonly Scope[] = SCOPES_DEFAULT,
  options: KeyOptions = {},
): Promise<NewKey> {
  return pool.transaction(async (conn) => {
    const live = await lockKeys(conn, customerId);
    if (live.length >= LIVE_KEYS_MAX) throw tooManyKeys();
    return insertKey(conn, id(), customerId, { ...options, scopes: scopes.join(","), addresses: null });
  });
}

type LiveKey = { key_id: string; scopes: string; addresses: string | null; signed: 0 | 1 };

/** Locks the customer, so that its keys change one after the other; returns those that are live. */
export async function lockKeys(conn: Connection, customerId: number): Promise<LiveKey[]> {
  const known = await conn.query("SELECT customer_id FROM customers WHERE customer_id=? FOR UPDATE", [
    customerId,
  ]);
  if (known.length === 0) throw new SluiceError("not_found", { detail: `No customer ${customerId}.` });
  return conn.query<LiveKey[]>(
    "SELECT key_id, scopes, addresses, signing_salt IS NOT NULL AS signed FROM api_keys " +
      `WHERE customer_id=? AND ${LIVE}`,
    [customerId],
  );
}

export async function insertKey(
  conn: Connection,
  keyId: string,
  customerId: number,
  key: KeyOptions & { scopes: string; addresses: string | null },
): Promise<NewKey> {
  const apiKey = `sk_${randomBytes(20).toString("base64url")}`;
  const salt = key.signed === true ? randomBytes(SIGNING_SALT_BYTES) : null;
  const expiresAt = typeof key.expiresAtMs === "number" ? new Date(key.expiresAtMs) : null;
  await conn.write(
    "INSERT INTO api_keys (key_id, key_hash, customer_id, scopes, addresses, expires_at, signing_salt) " +
      "VALUES (?, ?, ?, ?, ?, ?, ?)",
    [keyId, hashKey(apiKey), customerId, key.scopes, key.addresses, expiresAt, salt],
  );
  return { keyId, apiKey, ...(salt === null ? {} : { signingSecret: signingSecretOf(apiKey, salt) }) };
}

export function tooManyKeys(): SluiceError {
  const reason = `already has ${LIVE_KEYS_MAX} live keys: revoke one first`;
  return new SluiceError("validation_failed", {
    detail: `The customer ${reason}.`,
    errors: [{ field: "customer", reason }],
  });
}

/** Revokes a key; every process refuses it within 2 s. Returns false if there is none that isn't revoked. */
export async function revokeKey(pool: Pool, keyId: string): Promise<boolean> {
  const { affectedRows } = await pool.write(
    "UPDATE api_keys SET revoked_at=NOW(3) WHERE key_id=? AND revoked_at IS NULL",
    [keyId],
  );
  return affectedRows > 0;
}

/** The customer that owns a live key, or null. */
export async function findKey(pool: Pool, apiKey: string): Promise<KeyOwner | null> {
  const [row] = await pool.query<OwnerRow[]>(
    "SELECT c.customer_id, c.name, c.price_normal, c.price_express, c.currency, c.region, " +
      "c.rate_limit, c.request_limit, c.express_resend_unknown, c.otp_code, c.price_plan, c.mode, " +
      "c.suspended_at IS NOT NULL AS suspended, c.addresses AS customer_addresses, " +
      "k.key_id, k.scopes, k.expires_at, k.addresses, k.signing_salt, " +
      "w.statuses, w.url IS NOT NULL AS has_url, c.quiet_hours, c.senders " +
      "FROM api_keys k JOIN customers c USING (customer_id) LEFT JOIN webhooks w USING (customer_id) " +
      `WHERE k.key_hash=? AND ${LIVE}`,
    [hashKey(apiKey)],
  );
  if (row === undefined) return null;
  const guard = guardOf(row, apiKey);
  return {
    customerId: row.customer_id,
    name: row.name,
    priceNormal: row.price_normal,
    priceExpress: row.price_express,
    currency: row.currency,
    region: row.region,
    rateLimit: row.rate_limit,
    resendsUnknown: row.express_resend_unknown === 1,
    ...(row.request_limit === null ? {} : { requestLimit: row.request_limit }),
    keyId: row.key_id,
    scopes: new Set(row.scopes.split(",") as Scope[]),
    ...(row.otp_code === 1 ? { showsOtp: true } : {}),
    ...(row.mode === "async" ? { isAsync: true } : {}),
    ...(row.price_plan === null ? {} : { planId: row.price_plan }),
    ...(row.expires_at === null ? {} : { expiresAtMs: row.expires_at.getTime() }),
    ...(guard === null ? {} : { guard }),
    ...(row.statuses === null ? {} : { webhook: { statuses: row.statuses, hasUrl: row.has_url === 1 } }),
    ...(row.quiet_hours === null ? {} : { quietUntil: quietUntilOf(quietRulesOf(row.quiet_hours)) }),
    ...(row.senders === null ? {} : { senders: new Set(listedSenders(row.senders)) }),
  };
}

type OwnerRow = {
  customer_id: number;
  name: string;
  price_normal: number;
  price_express: number;
  currency: string;
  region: string;
  rate_limit: number | null;
  request_limit: number | null;
  express_resend_unknown: 0 | 1;
  otp_code: 0 | 1;
  price_plan: number | null;
  mode: string;
  suspended: 0 | 1;
  customer_addresses: string | null;
  key_id: string;
  scopes: string;
  expires_at: Date | null;
  addresses: string | null;
  signing_salt: Buffer | null;
  statuses: number | null;
  has_url: 0 | 1;
  quiet_hours: string | null;
  senders: string | null;
};

function guardOf(row: OwnerRow, apiKey: string): KeyGuard | null {
  const lists = [row.customer_addresses, row.addresses]
    .filter((text) => text !== null)
    .map((text) => addressList(text.split(",")));
  const salt = row.signing_salt;
  if (row.suspended === 0 && lists.length === 0 && salt === null) return null;
  return {
    isSuspended: row.suspended === 1,
    allows: lists.length === 0 ? null : (address) => lists.every((isListed) => isListed(address)),
    signingSecret: salt === null ? null : signingSecretOf(apiKey, salt),
  };
}

/** A key, customer or price plan that changed, and when: no two changes of one have the same time. */
export type Changed = {
  keyHash: string | null;
  customerId: number | null;
  planId: number | null;
  changedAt: string;
};

/**
 * MySQL's clock, and a digest of all keys, customers and price plans that changed at or after `fromMs` by
 * that clock (null: from now on): how many, and the sum of their times, so it differs after every change. It
 * reads an index in MySQL, some 20 ms for 100,000 changes, and no row reaches this process.
 */
export async function changeDigest(
  pool: Pool,
  fromMs: number | null,
): Promise<{ nowMs: number; digest: string }> {
  const from = fromMs === null ? "NOW(3)" : `FROM_UNIXTIME(${fromMs / 1000})`;
  const digestOf = (table: string) =>
    "(SELECT CONCAT(COUNT(*), ':', COALESCE(SUM(UNIX_TIMESTAMP(updated_at)), 0)) " +
    `FROM ${table} FORCE INDEX (by_update) WHERE updated_at >= ${from})`;
  const [row] = await pool.query<{ now_ms: number; digest: string }[]>(
    "SELECT ROUND(UNIX_TIMESTAMP(NOW(3)) * 1000) AS now_ms, " +
      `CONCAT(${digestOf("api_keys")}, ' ', ${digestOf("customers")}, ' ', ` +
      `${digestOf("price_plans")}) AS digest`,
  );
  return { nowMs: Number(row?.now_ms), digest: String(row?.digest) };
}

/** What changed at or after `fromMs` by MySQL's clock; null if that is more than `max` of them. */
export async function changedSince(pool: Pool, fromMs: number, max: number): Promise<Changed[] | null> {
  const where = "FORCE INDEX (by_update) WHERE updated_at >= FROM_UNIXTIME(?)";
  const rows = await pool.query<
    { key_hash: Buffer | null; customer_id: number | null; plan_id: number | null; changed_at: string }[]
  >(
    "SELECT key_hash, NULL AS customer_id, NULL AS plan_id, CAST(updated_at AS CHAR) AS changed_at " +
      `FROM api_keys ${where} UNION ALL ` +
      `SELECT NULL, customer_id, NULL, CAST(updated_at AS CHAR) FROM customers ${where} UNION ALL ` +
      `SELECT NULL, NULL, plan_id, CAST(updated_at AS CHAR) FROM price_plans ${where} LIMIT ${max + 1}`,
    [fromMs / 1000, fromMs / 1000, fromMs / 1000],
  );
  if (rows.length > max) return null;
  return rows.map((row) => ({
    keyHash: row.key_hash?.toString("base64") ?? null,
    customerId: row.customer_id === null ? null : Number(row.customer_id),
    planId: row.plan_id === null ? null : Number(row.plan_id),
    changedAt: row.changed_at,
  }));
}
