// Customers and their wallets: creates and lists them. Keys are in api-keys.ts, money in src/ledger/topup.ts.

import { SluiceError } from "../core/errors.ts";
import { PRICE_MAX } from "../core/price-plan.ts";
import type { Pool } from "../platform/mysql.ts";

export type NewCustomer = {
  name: string;
  /** minor units per part */
  priceNormal: number;
  priceExpress: number;
  /** parts per minute; null: no limit */
  rateLimit: number | null;
};
export type Customer = NewCustomer & {
  customerId: number;
  currency: string;
  region: string;
  /** requests per minute; absent: no limit */
  requestLimit?: number;
  /** An express message whose answer was lost is sent once more, through another operator. */
  resendsUnknown: boolean;
};

export const PRICE_NORMAL_DEFAULT = 500;
export const PRICE_EXPRESS_DEFAULT = 700;
export const NAME_CHARS_MAX = 200;
export const RATE_LIMIT_MAX = 100_000_000;

/** Creates a customer with an empty wallet. @throws SluiceError validation_failed naming every bad field */
export async function createCustomer(pool: Pool, customer: NewCustomer): Promise<number> {
  const errors = problems(customer);
  if (errors.length > 0) throw new SluiceError("validation_failed", { errors });
  return pool.transaction(async (conn) => {
    const { insertId } = await conn.write(
      "INSERT INTO customers (name, price_normal, price_express, rate_limit) VALUES (?, ?, ?, ?)",
      [customer.name, customer.priceNormal, customer.priceExpress, customer.rateLimit],
    );
    await conn.write("INSERT INTO wallet_accounts (customer_id) VALUES (?)", [insertId]);
    return Number(insertId);
  });
}

function problems(c: NewCustomer): { field: string; reason: string }[] {
  const whole = (field: string, value: number, max: number) =>
    Number.isInteger(value) && value >= 1 && value <= max
      ? []
      : [{ field, reason: `must be a whole number from 1 to ${max}` }];
  return [
    ...(c.name.length >= 1 && c.name.length <= NAME_CHARS_MAX
      ? []
      : [{ field: "name", reason: `must have 1 to ${NAME_CHARS_MAX} characters` }]),
    ...whole("price-normal", c.priceNormal, PRICE_MAX),
    ...whole("price-express", c.priceExpress, PRICE_MAX),
    ...(c.rateLimit === null ? [] : whole("rate-limit", c.rateLimit, RATE_LIMIT_MAX)),
  ];
}

export type CustomerRow = {
  customer_id: string;
  name: string;
  price_normal: number;
  price_express: number;
  currency: string;
  rate_limit: number | null;
  request_limit: number | null;
  /** `lease` or `strict`: how its credit is granted */
  mode: string;
  express_resend_unknown: boolean;
  /** Whether the answer to a request for a one-time code has the code. */
  otp_code: boolean;
  created_at: string;
  /** Since when none of its requests is served; null: they are. */
  suspended_at: string | null;
};

/** @throws SluiceError not_found */
export async function requireCustomer(pool: Pool, customerId: number): Promise<void> {
  const found = await pool.query("SELECT 1 FROM customers WHERE customer_id=?", [customerId]);
  if (found.length === 0) throw new SluiceError("not_found", { detail: `No customer ${customerId}.` });
}

/** All customers, oldest first. */
export async function listCustomers(pool: Pool): Promise<CustomerRow[]> {
  type Found = Omit<CustomerRow, "express_resend_unknown" | "otp_code" | "created_at" | "suspended_at"> & {
    express_resend_unknown: 0 | 1;
    otp_code: 0 | 1;
    created_at: Date;
    suspended_at: Date | null;
  };
  const found = await pool.query<Found[]>(
    "SELECT CAST(customer_id AS CHAR) AS customer_id, name, price_normal, price_express, currency, " +
      "rate_limit, request_limit, mode, express_resend_unknown, otp_code, created_at, suspended_at " +
      "FROM customers ORDER BY customers.customer_id",
  );
  return found.map((row) => ({
    ...row,
    express_resend_unknown: row.express_resend_unknown === 1,
    otp_code: row.otp_code === 1,
    created_at: row.created_at.toISOString(),
    suspended_at: row.suspended_at?.toISOString() ?? null,
  }));
}

/**
 * Refuses every request of a customer, or serves them again. Every process knows within 2 s. What was queued
 * before is still sent; what is scheduled waits until the customer is resumed, and relays learn of that by
 * the row that is written here. @throws SluiceError not_found
 */
export async function setSuspended(pool: Pool, customerId: number, isSuspended: boolean): Promise<void> {
  await requireCustomer(pool, customerId);
  await pool.transaction(async (conn) => {
    // First, in the order in which a relay locks both.
    if (!isSuspended)
      await conn.write(
        "INSERT INTO resumed_customers (customer_id) VALUES (?) " +
          "ON DUPLICATE KEY UPDATE customer_id=resumed_customers.customer_id",
        [customerId],
      );
    await conn.write(
      `UPDATE customers SET suspended_at=${isSuspended ? "COALESCE(suspended_at, NOW(3))" : "NULL"} ` +
        "WHERE customer_id=?",
      [customerId],
    );
  });
}

/** A minute, of parts and requests; null: no limit; absent: as it is. */
type LimitsChange = { parts?: number | null; requests?: number | null };

/** Every process knows within 2 s. @throws SluiceError not_found */
export async function setLimits(pool: Pool, customerId: number, change: LimitsChange): Promise<void> {
  await requireCustomer(pool, customerId);
  const { parts, requests } = change;
  if (parts !== undefined)
    await pool.write("UPDATE customers SET rate_limit=? WHERE customer_id=?", [parts, customerId]);
  if (requests !== undefined)
    await pool.write("UPDATE customers SET request_limit=? WHERE customer_id=?", [requests, customerId]);
}

/** Of one customer. @throws SluiceError not_found */
export async function readLimits(pool: Pool, customerId: number): Promise<Required<LimitsChange>> {
  const [row] = await pool.query<{ rate_limit: number | null; request_limit: number | null }[]>(
    "SELECT rate_limit, request_limit FROM customers WHERE customer_id=?",
    [customerId],
  );
  if (row === undefined) throw new SluiceError("not_found", { detail: `No customer ${customerId}.` });
  return { parts: row.rate_limit, requests: row.request_limit };
}

/** Every process knows within 2 s. @throws SluiceError not_found */
export async function setResendUnknown(pool: Pool, customerId: number, isOn: boolean): Promise<void> {
  await requireCustomer(pool, customerId);
  await pool.write("UPDATE customers SET express_resend_unknown=? WHERE customer_id=?", [isOn, customerId]);
}

/**
 * Whether the answer to a request for a one-time code has the code. Every process knows within 2 s. @throws
 * SluiceError not_found
 */
export async function setOtpCode(pool: Pool, customerId: number, isOn: boolean): Promise<void> {
  await requireCustomer(pool, customerId);
  await pool.write("UPDATE customers SET otp_code=? WHERE customer_id=?", [isOn, customerId]);
}
