// What all ingest processes together have taken from customers' token buckets, in MySQL. Each process adds
// what it took and reads the sums, many customers at a time, so that no request waits for it. Leaves the
// buckets to src/ingest/rate-limits.ts, and when to share to rate-sharing.ts.
// Invariant: what is added is added once to the sum as it is at that moment, by MySQL's clock alone. Bound:
// RATE_SHARE_ROWS_MAX rows a transaction; two rows a customer that has limits.

import { TEXT_PARTS_MAX } from "../core/limits.ts";
import type { Pool } from "../platform/mysql.ts";

export type RateUnit = "parts" | "requests";
/** What one process has taken since it told the last time; less than 0 if it put back more. */
export type RateShare = { customerId: number; unit: RateUnit; perMinute: number; taken: number };
/** What is missing from a full bucket of that limit now; more than it holds is a debt. */
export type RateUsed = { customerId: number; unit: RateUnit; perMinute: number; used: number };

/** Rows in one transaction, for which other processes may wait. */
export const RATE_SHARE_ROWS_MAX = 500;

/**
 * What is left of `used` by now; `used` is below 0 where more was put back than taken. A clock that is set
 * back gives nothing back, and takes nothing.
 */
const USED_NOW =
  "GREATEST(0, rate_shares.used - rate_shares.per_minute * " +
  "GREATEST(0, TIMESTAMPDIFF(MICROSECOND, rate_shares.told_at, NOW(6))) / 60e6)";

/** What a bucket of this limit holds, as in rate-limits.ts. */
const sizeIn = (row: string): string =>
  `IF(${row}.unit = 'parts', GREATEST(${row}.per_minute, ${TEXT_PARTS_MAX}), ${row}.per_minute)`;
/**
 * Under another limit the same share of the bucket is missing, at most all of it. For as long as processes
 * tell two limits, some seconds, each thus sees what all have taken; a sum that was only cut down to the
 * smaller bucket would look like nothing in the larger one.
 */
const USED_OF_TOLD =
  `IF(rate_shares.per_minute = told.per_minute, ${USED_NOW}, ` +
  `LEAST(1, ${USED_NOW} / ${sizeIn("rate_shares")}) * ${sizeIn("told")})`;

/** Adds the shares, at most RATE_SHARE_ROWS_MAX, and returns the sums. */
export function shareRates(pool: Pool, shares: readonly RateShare[]): Promise<RateUsed[]> {
  // One order, in which all processes lock the rows.
  const sorted = shares.toSorted((a, b) => a.customerId - b.customerId || (a.unit < b.unit ? -1 : 1));
  const values = sorted.map(
    ({ customerId, unit, perMinute, taken }) => `(${customerId},'${unit}',${perMinute},${taken},NOW(6))`,
  );
  const names = sorted.map(({ customerId, unit }) => `(${customerId},'${unit}')`);
  return pool.transaction(async (conn) => {
    await conn.write(
      `INSERT INTO rate_shares (customer_id,unit,per_minute,used,told_at) VALUES ${values} AS told ` +
        `ON DUPLICATE KEY UPDATE used=${USED_OF_TOLD} + told.used, ` +
        "per_minute=told.per_minute, told_at=told.told_at",
    );
    const rows = await conn.query<
      { customer_id: number; unit: RateUnit; per_minute: number; used: number }[]
    >(
      "SELECT customer_id, unit, per_minute, GREATEST(0, used) AS used FROM rate_shares " +
        `WHERE (customer_id, unit) IN (${names})`,
    );
    return rows.map(({ customer_id, unit, per_minute, used }) => ({
      customerId: customer_id,
      unit,
      perMinute: per_minute,
      used,
    }));
  });
}
