// One-time codes in the database: a row for each customer and phone, which the group commit writes together
// with the message (accept.ts), so a code exists exactly when its message does. Owns verification and the
// deletion of old rows; leaves what a code is to core/otp-secret.ts.
// Invariants: a try is stored before the code is compared, so there are at most OTP_TRIES_MAX of a code, over
// all processes; a code is verified once; a new code for a phone ends the one before, because it takes its
// row. No statement waits for another process with a lock: each is a transaction of its own.
// Crash points: after a try is stored it is used up, whatever comes of it.

import type { OtpEnd } from "../core/otp-errors.ts";
import { OTP_KEPT_MS, OTP_PURGE_ROWS_MAX, OTP_TRIES_MAX } from "../core/otp-limits.ts";
import { type Pool, withRetries } from "../platform/mysql.ts";
import { blob, dateTime, quote } from "./sql-text.ts";

export type NewOtp = {
  otpId: string;
  customerId: number;
  /** E.164 */
  phone: string;
  /** Of the message that brings it. */
  messageId: string;
  /** 32 bytes of core/otp-secret.ts. */
  hash: Buffer;
  expiresAtMs: number;
};
export type OtpRef = { customerId: number; otpId: string };
export type Verified = { messageId: string; phone: string };
export type Verdict =
  | ({ kind: "verified" } & Verified)
  | { kind: "wrong"; triesLeft: number }
  | { kind: "over"; end: OtpEnd }
  /** There is no such code, or a newer one has taken its place. */
  | { kind: "none" };

/** One statement that stores codes, each in place of the one before of its customer and phone. */
export function otpsSql(otps: readonly NewOtp[]): string {
  // One order for all transactions: that in which they lock rows.
  const values = [...otps]
    .sort((a, b) => a.customerId - b.customerId || (a.phone < b.phone ? -1 : a.phone > b.phone ? 1 : 0))
    .map(
      ({ customerId, phone, otpId, messageId, hash, expiresAtMs }) =>
        `(${customerId},${quote(phone)},'${otpId}','${messageId}',${blob(hash)},${dateTime(expiresAtMs)})`,
    );
  return (
    "INSERT INTO otps (customer_id,phone,otp_id,message_id,code_hash,expires_at) " +
    `VALUES ${values.join(",")} AS n ON DUPLICATE KEY UPDATE otp_id=n.otp_id,message_id=n.message_id,` +
    "code_hash=n.code_hash,expires_at=n.expires_at,tries=0,verified_at=NULL"
  );
}

type Row = {
  phone: string;
  message_id: string;
  code_hash: Buffer | null;
  tries: number;
  verified_at: Date | null;
};

/**
 * Takes one of the code's tries, and ends the code if `isRight` says that it was it. After a lost connection
 * a try may be used up. `onEnding` is called before the statement whose loss leaves the result unknown.
 */
export async function verifyOtp(
  pool: Pick<Pool, "use">,
  ref: OtpRef,
  isRight: (hash: Buffer) => boolean,
  onEnding: () => void,
): Promise<Verdict> {
  const isOf = `otp_id='${ref.otpId}' AND customer_id=${ref.customerId}`;
  const change = (set: string, where: string) =>
    withRetries(pool, async (conn) => {
      const { affectedRows } = await conn.write(`UPDATE otps SET ${set} WHERE ${isOf} AND ${where}`);
      return affectedRows === 1;
    });
  const read = () =>
    withRetries(pool, async (conn) => {
      const rows = await conn.query<Row[]>(
        `SELECT phone, message_id, code_hash, tries, verified_at FROM otps WHERE ${isOf}`,
      );
      return rows[0];
    });
  const mayTry = await change(
    "tries=tries+1",
    `verified_at IS NULL AND tries<${OTP_TRIES_MAX} AND expires_at>NOW(3)`,
  );
  const row = await read();
  if (row === undefined) return { kind: "none" };
  if (row.verified_at !== null || row.code_hash === null) return { kind: "over", end: "verified" };
  if (!mayTry) return { kind: "over", end: row.tries >= OTP_TRIES_MAX ? "locked" : "expired" };
  if (!isRight(row.code_hash)) return { kind: "wrong", triesLeft: OTP_TRIES_MAX - row.tries };
  onEnding();
  // Another request with the same code, or a newer code, may have been faster.
  if (await change("verified_at=NOW(3),code_hash=NULL", "verified_at IS NULL"))
    return { kind: "verified", messageId: row.message_id, phone: row.phone };
  return (await read()) === undefined ? { kind: "none" } : { kind: "over", end: "verified" };
}

/** Deletes the oldest ended codes and returns how many: if OTP_PURGE_ROWS_MAX, maybe more. */
export async function purgeOtps(pool: Pick<Pool, "write">): Promise<number> {
  const { affectedRows } = await pool.write(
    `DELETE FROM otps WHERE expires_at < NOW(3) - INTERVAL ${OTP_KEPT_MS * 1_000} MICROSECOND ` +
      `ORDER BY expires_at LIMIT ${OTP_PURGE_ROWS_MAX}`,
  );
  return affectedRows;
}
