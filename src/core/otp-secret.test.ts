// The secret of one-time codes: what is sealed is opened by nobody else, and what is hashed says nothing.

import { describe, expect, test } from "bun:test";
import { OTP_LENGTH_MAX, SEALED_CODE_CHARS_MAX } from "./otp-limits.ts";
import { createOtpSecret, type OtpSecret, purposeOfAnswer, purposeOfMessage } from "./otp-secret.ts";

const made = (secret: string): OtpSecret => createOtpSecret(secret) as OtpSecret;
const [one, other] = [made("a".repeat(32)), made("b".repeat(32))];
const OTP = "01M7YBCH59Z4D8R94AWEAQ1Q8T";

test("without a secret there are no codes; a short one is refused", () => {
  expect(createOtpSecret("")).toBeNull();
  expect(() => createOtpSecret("a".repeat(31))).toThrow("at least 32 characters");
});

describe("a sealed code", () => {
  test("is opened with the same secret and for the same purpose only", () => {
    const sealed = one.seal("012345", "message 1 +989121234567");
    expect(one.open(sealed, "message 1 +989121234567")).toBe("012345");
    expect(one.open(sealed, "message 1 +989121234568")).toBeNull();
    expect(one.open(sealed, "message 2 +989121234567")).toBeNull();
    expect(other.open(sealed, "message 1 +989121234567")).toBeNull();
  });

  test("is another one each time, without the code, and fits its column", () => {
    const longest = "9".repeat(OTP_LENGTH_MAX);
    const all = new Set(Array.from({ length: 50 }, () => one.seal(longest, "p")));
    expect(all.size).toBe(50);
    for (const sealed of all) {
      expect(sealed).toMatch(/^[\w-]+$/);
      expect(sealed.length).toBeLessThanOrEqual(SEALED_CODE_CHARS_MAX);
      expect(sealed).not.toContain(longest);
    }
  });

  test("that was changed anywhere, cut or is none is not opened", () => {
    const sealed = one.seal("012345", "p");
    const bytes = Buffer.from(sealed, "base64url");
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] as number) ^ 1;
      expect(one.open(changed.toString("base64url"), "p")).toBeNull();
      expect(one.open(bytes.subarray(0, at).toString("base64url"), "p")).toBeNull();
    }
    expect(one.open("", "p")).toBeNull();
  });
});

test("a hash is that of its code, id and secret", () => {
  const hash = one.hashOf(OTP, "1234");
  expect(hash).toHaveLength(32);
  expect(one.isRight(hash, OTP, "1234")).toBe(true);
  expect(one.isRight(hash, OTP, "1235")).toBe(false);
  expect(one.isRight(hash, OTP, "01234")).toBe(false);
  expect(one.isRight(hash, `${OTP.slice(0, -1)}V`, "1234")).toBe(false);
  expect(other.isRight(hash, OTP, "1234")).toBe(false);
  expect(one.isRight(Buffer.alloc(0), OTP, "1234")).toBe(false);
});

test("a purpose names its customer, and the phone or the code", () => {
  expect(purposeOfMessage({ customerId: 7, phone: "+98912" })).toBe("message 7 +98912");
  expect(purposeOfAnswer(7, OTP)).toBe(`answer 7 ${OTP}`);
});
