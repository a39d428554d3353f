// What keeps one-time codes secret: keys made of one secret of the installation. A code is stored as an HMAC
// to compare with, and sealed (AES-256-GCM) where it still has to be read: in its message until that is
// submitted, and in the stored answer of a request with an Idempotency-Key. Decision 0024.
// Invariants: without the secret neither says anything about the code; what was sealed for one purpose can't
// be opened for another.

import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { LaneRecord } from "./lane-record.ts";
import { OTP_SECRET_CHARS_MIN } from "./otp-limits.ts";

export type OtpSecret = {
  /** 32 bytes. */
  hashOf(otpId: string, code: string): Buffer;
  /** In a time that says nothing about where they differ. */
  isRight(hash: Buffer, otpId: string, code: string): boolean;
  /** ASCII without quotes, another one each time. */
  seal(code: string, purpose: string): string;
  /** null: it was sealed with another secret, for another purpose, or was changed. */
  open(sealed: string, purpose: string): string | null;
};

const CIPHER = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** null for an empty secret: then there are no codes. @throws Error for one that is too short */
export function createOtpSecret(secret: string): OtpSecret | null {
  if (secret === "") return null;
  if (secret.length < OTP_SECRET_CHARS_MIN)
    throw new Error(`SLUICE_OTP_SECRET must have at least ${OTP_SECRET_CHARS_MIN} characters`);
  const keyFor = (use: string): Buffer => createHmac("sha256", secret).update(`sluice otp ${use}`).digest();
  const [hashKey, sealKey] = [keyFor("hash"), keyFor("seal")];
  const hashOf = (otpId: string, code: string): Buffer =>
    createHmac("sha256", hashKey).update(`${otpId} ${code}`).digest();
  return {
    hashOf,
    isRight(hash, otpId, code) {
      const given = hashOf(otpId, code);
      return hash.length === given.length && timingSafeEqual(hash, given);
    },
    seal(code, purpose) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv(CIPHER, sealKey, iv).setAAD(Buffer.from(purpose));
      const sealed = Buffer.concat([cipher.update(code, "utf8"), cipher.final()]);
      return Buffer.concat([iv, sealed, cipher.getAuthTag()]).toString("base64url");
    },
    open(sealed, purpose) {
      const bytes = Buffer.from(sealed, "base64url");
      if (bytes.length <= IV_BYTES + TAG_BYTES) return null;
      try {
        const decipher = createDecipheriv(CIPHER, sealKey, bytes.subarray(0, IV_BYTES));
        decipher.setAAD(Buffer.from(purpose)).setAuthTag(bytes.subarray(-TAG_BYTES));
        const code = decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES), undefined, "utf8");
        return code + decipher.final("utf8");
      } catch {
        return null;
      }
    },
  };
}

/** A code in a message is sealed for its recipient: under another number, nobody can open it. */
export const purposeOfMessage = ({ customerId, phone }: Pick<LaneRecord, "customerId" | "phone">): string =>
  `message ${customerId} ${phone}`;

/** And in a stored answer for its customer. */
export const purposeOfAnswer = (customerId: number, otpId: string): string => `answer ${customerId} ${otpId}`;
