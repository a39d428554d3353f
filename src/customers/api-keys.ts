// API keys: created, looked up, revoked. A key is 160 random bits and shown once; the database stores only
// its SHA-256, which at that length needs no salt or stretching. Invariant: a customer has at most two live
// keys, enough to rotate them.

import { createHash, randomBytes } from "node:crypto";
import type { CallbackWish } from "../core/callback.ts";
import { SluiceError } from "../core/errors.ts";
import type { PricePlan } from "../core/price-plan.ts";
import type { Pool } from "../platform/mysql.ts";
import type { Customer } from "./customers.ts";

export const SCOPES = ["send", "read", "billing", "admin"] as const;
export type Scope = (typeof SCOPES)[number];
export const SCOPES_DEFAULT: readonly Scope[] = ["send", "read", "billing"];
const LIVE_KEYS_MAX = 2;

export type KeyOwner = Customer & {
  scopes: ReadonlySet<Scope>;
  /** Absent if no webhook is set up (webhooks.ts). */
  webhook?: CallbackWish;
  /** Absent if it has no price plan; `plan` is read by whoever needs it (price-plans.ts). */
  planId?: number;
  plan?: PricePlan;
};
export type KeyRow = { key_id: string; scopes: string; created_at: string; revoked_at: string | null };

/** The SHA-256 under which a key is stored. */
export const hashKey = (key: string): Buffer => createHash("sha256").update(key).digest();

/**
 * Creates a key and returns it; it can't be read again. @throws SluiceError not_found, validation_failed (two
 * keys are live already)
 */
export function createKey(
  { pool, id }: { pool: Pool; id: () => string },
  customerId: number,
  scopes: readonly Scope[] = SCOPES_DEFAULT,
): Promise<{ keyId: string; apiKey: string }> {
  const apiKey = `sk_${randomBytes(20).toString("base64url")}`;
  const keyId = id();
  return pool.transaction(async (conn) => {
    const known = await conn.query("SELECT customer_id FROM customers WHERE customer_id=? FOR UPDATE", [
      customerId,
    ]);
    if (known.length === 0) throw new SluiceError("not_found", { detail: `No customer ${customerId}.` });
    const live = await conn.query("SELECT key_id FROM api_keys WHERE customer_id=? AND revoked_at IS NULL", [
      customerId,
    ]);
    if (live.length >= LIVE_KEYS_MAX) {
      const reason = `already has ${LIVE_KEYS_MAX} live keys: revoke one first`;
      throw new SluiceError("validation_failed", {
        detail: `The customer ${reason}.`,
        errors: [{ field: "customer", reason }],
      });
    }
    await conn.write("INSERT INTO api_keys (key_id, key_hash, customer_id, scopes) VALUES (?, ?, ?, ?)", [
      keyId,
      hashKey(apiKey),
      customerId,
      scopes.join(","),
    ]);
    return { keyId, apiKey };
  });
}

/** All keys of a customer, oldest first; never the key itself. */
export async function listKeys(pool: Pool, customerId: number): Promise<KeyRow[]> {
  const found = await pool.query<
    { key_id: string; scopes: string; created_at: Date; revoked_at: Date | null }[]
  >("SELECT key_id, scopes, created_at, revoked_at FROM api_keys WHERE customer_id=? ORDER BY key_id", [
    customerId,
  ]);
  return found.map((row) => ({
    ...row,
    created_at: row.created_at.toISOString(),
    revoked_at: row.revoked_at?.toISOString() ?? null,
  }));
}

/** Revokes a key; every process refuses it within 2 s. Returns false if there is no such live key. */
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
      "c.rate_limit, c.express_resend_unknown, c.price_plan, k.scopes, w.statuses, " +
      "w.url IS NOT NULL AS has_url FROM api_keys k JOIN customers c USING (customer_id) " +
      "LEFT JOIN webhooks w USING (customer_id) " +
      "WHERE k.key_hash=? AND k.revoked_at IS NULL",
    [hashKey(apiKey)],
  );
  if (row === undefined) return null;
  return {
    customerId: row.customer_id,
    name: row.name,
    priceNormal: row.price_normal,
    priceExpress: row.price_express,
    currency: row.currency,
    region: row.region,
    rateLimit: row.rate_limit,
    resendsUnknown: row.express_resend_unknown === 1,
    scopes: new Set(row.scopes.split(",") as Scope[]),
    ...(row.price_plan === null ? {} : { planId: row.price_plan }),
    ...(row.statuses === null ? {} : { webhook: { statuses: row.statuses, hasUrl: row.has_url === 1 } }),
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
  express_resend_unknown: 0 | 1;
  price_plan: number | null;
  scopes: string;
  statuses: number | null;
  has_url: 0 | 1;
};

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
