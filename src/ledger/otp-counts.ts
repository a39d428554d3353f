// Counts the codes that customers send, by the prefixes of core/otp-guard.ts, in MySQL: what one process
// counts, all know. Owns the rows; leaves what is too many to the guard.
// Invariants: a code is counted before it is stored, under a lock on its counts, so limits are exact over all
// processes; one that is refused afterwards is given back. Locks in one order: a customer's rows by prefix.
// Crash point: a process that ends between counting and giving back leaves a count too many, for a window.

import type { SluiceError } from "../core/errors.ts";
import { type OtpCount, type OtpRules, prefixesOf, refusalOf } from "../core/otp-guard.ts";
import { OTP_PURGE_ROWS_MAX, OTP_WINDOW_MS } from "../core/otp-limits.ts";
import { type Pool, withRetries } from "../platform/mysql.ts";
import { quote } from "./sql-text.ts";

/** A code that was counted; `lastMs`: when the one before was sent to its number. */
export type OtpSlot = { customerId: number; phone: string; atMs: number; lastMs: number };
export type SlotRequest = { customerId: number; phone: string; checksItself: boolean };

type Row = {
  prefix: string;
  from_ms: number;
  sent: number;
  verified: number;
  last_ms: number;
  now_s: number;
};

/** Counts one more code to this number. @throws SluiceError, of otp-guard.ts, if that is too many */
export async function takeOtpSlot(
  pool: Pick<Pool, "use">,
  { customerId, phone, checksItself }: SlotRequest,
  rules: OtpRules,
): Promise<OtpSlot> {
  const prefixes = sortedPrefixes(phone);
  const values = prefixes.map((prefix) => `(${customerId},${quote(prefix)})`);
  const isOf = rowsOf(customerId, prefixes);
  const taken = await withRetries(pool, async (conn): Promise<OtpSlot | SluiceError> => {
    // The insert locks them all, those that were there as well.
    const [, , rows] = await conn.query<[unknown, unknown, Row[]]>(
      `BEGIN;INSERT INTO otp_counts (customer_id,prefix) VALUES ${values.join(",")} ` +
        "ON DUPLICATE KEY UPDATE sent=otp_counts.sent;" +
        "SELECT prefix, from_ms, sent, verified, last_ms, UNIX_TIMESTAMP(NOW(3)) AS now_s FROM otp_counts " +
        `WHERE ${isOf} ORDER BY prefix FOR UPDATE`,
    );
    const nowMs = Math.round(Number(rows[0]?.now_s) * 1_000);
    const counts = new Map(rows.map((row) => [row.prefix, countOf(row)]));
    const refusal = refusalOf(phone, rules, { counts, nowMs, checksItself });
    if (refusal !== null) {
      await conn.query("ROLLBACK");
      return refusal;
    }
    // From left to right, each assignment seeing the earlier ones.
    const isOver = `from_ms<=${nowMs - OTP_WINDOW_MS}`;
    await conn.query(
      `UPDATE otp_counts SET verified=IF(${isOver},0,verified),sent=IF(${isOver},1,sent+1),` +
        `from_ms=IF(${isOver},${nowMs},from_ms),last_ms=${nowMs} WHERE ${isOf}`,
    );
    await conn.query("COMMIT");
    return { customerId, phone, atMs: nowMs, lastMs: counts.get(phone)?.lastMs ?? 0 };
  });
  if ("code" in taken) throw taken;
  return taken;
}

/** Counts a code no more that was not stored after all. */
export async function giveOtpSlotBack(pool: Pick<Pool, "use">, slot: OtpSlot): Promise<void> {
  const { customerId, phone, atMs, lastMs } = slot;
  const isOwn = `prefix=${quote(phone)} AND last_ms=${atMs}`;
  await withRetries(pool, (conn) =>
    conn.write(
      `UPDATE otp_counts SET sent=sent-1,last_ms=CASE WHEN ${isOwn} THEN ${lastMs} ELSE last_ms END ` +
        `WHERE ${rowsOf(customerId, sortedPrefixes(phone))} AND sent>0`,
    ),
  );
}

/** Counts a code of a phone as verified, in the counts that are judged by it. */
export async function countVerified(
  pool: Pick<Pool, "use">,
  { customerId, phone }: Pick<OtpSlot, "customerId" | "phone">,
): Promise<void> {
  const { network } = prefixesOf(phone);
  await withRetries(pool, (conn) =>
    conn.write(`UPDATE otp_counts SET verified=verified+1 WHERE ${rowsOf(customerId, [network])}`),
  );
}

/** Deletes the oldest counts that are over and returns how many: if OTP_PURGE_ROWS_MAX, maybe more. */
export async function purgeOtpCounts(pool: Pick<Pool, "write">): Promise<number> {
  const { affectedRows } = await pool.write(
    `DELETE FROM otp_counts WHERE from_ms < UNIX_TIMESTAMP(NOW(3)) * 1000 - ${2 * OTP_WINDOW_MS} ` +
      `ORDER BY from_ms LIMIT ${OTP_PURGE_ROWS_MAX}`,
  );
  return affectedRows;
}

const sortedPrefixes = (phone: string): string[] => [...new Set(Object.values(prefixesOf(phone)))].sort();

const rowsOf = (customerId: number, prefixes: readonly string[]): string =>
  `customer_id=${customerId} AND prefix IN (${prefixes.map(quote).join(",")})`;

const countOf = ({ prefix, from_ms, sent, verified, last_ms }: Row): OtpCount => ({
  prefix,
  fromMs: Number(from_ms),
  sent,
  verified,
  lastMs: Number(last_ms),
});
