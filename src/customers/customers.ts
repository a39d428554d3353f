// Customers and their wallets: creates, changes and lists them. Keys are in api-keys.ts, money in
// src/ledger/topup.ts.

import type { CustomerMode } from "../core/customer-mode.ts";
import { SluiceError } from "../core/errors.ts";
import { isLonger, labelProblem } from "../core/parts.ts";
import { PRICE_MAX } from "../core/price-plan.ts";
import type { Connection, Pool } from "../platform/mysql.ts";

export type NewCustomer = {
  name: string;
  /** minor units per part */
  priceNormal: number;
  priceExpress: number;
  /** parts per minute; null: no limit */
  rateLimit: number | null;
};
/** What it pays and how it is limited. */
export type Terms = NewCustomer & {
  /** requests per minute; null: no limit */
  requestLimit: number | null;
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
  checkTerms(customer);
  return pool.transaction(async (conn) => {
    const { insertId } = await conn.write(
      "INSERT INTO customers (name, price_normal, price_express, rate_limit) VALUES (?, ?, ?, ?)",
      [customer.name, customer.priceNormal, customer.priceExpress, customer.rateLimit],
    );
    await conn.write("INSERT INTO wallet_accounts (customer_id) VALUES (?)", [insertId]);
    return Number(insertId);
  });
}

/**
 * Changes a customer's name, own prices or limits; what is left out stays. Every process knows within
 * 2 s.
 * @throws SluiceError validation_failed naming every bad field
 */
export async function setTerms(
  conn: Pick<Connection, "write">,
  customerId: number,
  terms: Partial<Terms>,
): Promise<void> {
  checkTerms(terms);
  const given = Object.entries(TERMS).flatMap(([field, column]) => {
    const value = terms[field as keyof Terms];
    return value === undefined ? [] : [{ column, value }];
  });
  if (given.length === 0) return;
  await conn.write(
    `UPDATE customers SET ${given.map(({ column }) => `${column}=?`).join(", ")} WHERE customer_id=?`,
    [...given.map(({ value }) => value), customerId],
  );
}

const TERMS: Record<keyof Terms, string> = {
  name: "name",
  priceNormal: "price_normal",
  priceExpress: "price_express",
  rateLimit: "rate_limit",
  requestLimit: "request_limit",
};

function checkTerms(terms: Partial<Terms>): void {
  const { name, priceNormal, priceExpress, rateLimit, requestLimit } = terms;
  const whole = (field: string, value: number | null | undefined, max: number) =>
    value === undefined || value === null || (Number.isInteger(value) && value >= 1 && value <= max)
      ? []
      : [{ field, reason: `must be a whole number from 1 to ${max}` }];
  const problem = name === undefined ? null : nameProblem(name, NAME_CHARS_MAX);
  const errors = [
    ...(problem === null ? [] : [{ field: TERMS.name, reason: problem }]),
    ...whole(TERMS.priceNormal, priceNormal, PRICE_MAX),
    ...whole(TERMS.priceExpress, priceExpress, PRICE_MAX),
    ...whole(TERMS.rateLimit, rateLimit, RATE_LIMIT_MAX),
    ...whole(TERMS.requestLimit, requestLimit, RATE_LIMIT_MAX),
  ];
  if (errors.length > 0) throw new SluiceError("validation_failed", { errors });
}

/** Why people can't be shown this as the name of something, or null. */
export function nameProblem(name: string, charsMax: number): string | null {
  if (name === "" || isLonger(name, charsMax)) return `must have 1 to ${charsMax} characters`;
  if (name.trim() === "") return "must not be blank";
  return labelProblem(name);
}

export type CustomerRow = {
  customer_id: string;
  name: string;
  price_normal: number;
  price_express: number;
  /** The name of its price plan, which comes before its own prices. */
  price_plan: string | null;
  currency: string;
  region: string;
  rate_limit: number | null;
  request_limit: number | null;
  /** How its messages are paid. */
  mode: CustomerMode;
  express_resend_unknown: boolean;
  /** Addresses and CIDR blocks from which it may call; null: from anywhere. */
  addresses: string[] | null;
  /** Whether the answer to a request for a one-time code has the code. */
  otp_code: boolean;
  created_at: string;
  /** Since when none of its requests is served; null: they are. */
  suspended_at: string | null;
  /** Another one after each change. */
  version: string;
};

/** @throws SluiceError not_found */
export async function requireCustomer(
  pool: Pick<Pool, "query">,
  customerId: number,
  lock: "" | " FOR UPDATE" = "",
): Promise<void> {
  const found = await pool.query(`SELECT 1 FROM customers WHERE customer_id=?${lock}`, [customerId]);
  if (found.length === 0) throw noCustomer(customerId);
}

const noCustomer = (customerId: number) =>
  new SluiceError("not_found", { detail: `No customer ${customerId}.` });

/** Customers after this id, oldest first; at most `limit` of them, or all. */
export async function listCustomers(
  pool: Pick<Pool, "query">,
  { after = 0, limit = null }: { after?: number; limit?: number | null } = {},
): Promise<CustomerRow[]> {
  const most = limit === null ? "" : ` LIMIT ${limit}`;
  const found = await pool.query<Found[]>(`${SELECT} WHERE c.customer_id > ? ORDER BY c.customer_id${most}`, [
    after,
  ]);
  return found.map(rowOf);
}

/** @throws SluiceError not_found */
export async function readCustomer(pool: Pick<Pool, "query">, customerId: number): Promise<CustomerRow> {
  const [found] = await pool.query<Found[]>(`${SELECT} WHERE c.customer_id=?`, [customerId]);
  if (found === undefined) throw noCustomer(customerId);
  return rowOf(found);
}

const SELECT =
  "SELECT CAST(c.customer_id AS CHAR) AS customer_id, c.name, c.price_normal, c.price_express, " +
  "p.name AS price_plan, c.currency, c.region, c.rate_limit, c.request_limit, c.mode, " +
  "c.express_resend_unknown, c.otp_code, c.addresses, c.created_at, c.suspended_at, " +
  "CAST(c.updated_at AS CHAR) AS version " +
  "FROM customers AS c LEFT JOIN price_plans AS p ON p.plan_id=c.price_plan";

type Converted = "express_resend_unknown" | "otp_code" | "addresses" | "created_at" | "suspended_at";
type Found = Omit<CustomerRow, Converted> & {
  express_resend_unknown: 0 | 1;
  otp_code: 0 | 1;
  addresses: string | null;
  created_at: Date;
  suspended_at: Date | null;
};

const rowOf = (row: Found): CustomerRow => ({
  ...row,
  express_resend_unknown: row.express_resend_unknown === 1,
  otp_code: row.otp_code === 1,
  addresses: row.addresses?.split(",") ?? null,
  created_at: row.created_at.toISOString(),
  suspended_at: row.suspended_at?.toISOString() ?? null,
  version: versionOf(row.version),
});

/** A time to the microsecond, as MySQL prints it, as the version of what it says when it changed. */
export const versionOf = (changedAt: string): string => changedAt.replaceAll(/\D/g, "");

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
