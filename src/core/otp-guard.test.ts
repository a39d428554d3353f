// How many codes may be sent: to a phone, by a customer, and to numbers that begin alike.

import { expect, test } from "bun:test";
import { type OtpCount, type OtpRules, prefixesOf, refusalOf } from "./otp-guard.ts";
import { OTP_WINDOW_MS } from "./otp-limits.ts";

const PHONE = "+989121234567";
const NOW_MS = 1_000_000_000_000;
const rules: OtpRules = {
  resendMs: 30_000,
  phoneMax: 5,
  customerMax: 100,
  rangeMax: 20,
  verifiedPercent: 10,
  sample: 50,
};

function asked(
  counts: Record<string, Partial<OtpCount>>,
  more: Partial<OtpRules> = {},
  checksItself = false,
) {
  const full = Object.entries(counts).map(([prefix, count]): [string, OtpCount] => [
    prefix,
    { prefix, fromMs: NOW_MS - 600_000, sent: 0, verified: 0, lastMs: NOW_MS - 600_000, ...count },
  ]);
  const refusal = refusalOf(
    PHONE,
    { ...rules, ...more },
    { counts: new Map(full), nowMs: NOW_MS, checksItself },
  );
  return refusal === null ? null : [refusal.code, refusal.retryAfterS];
}
const restOfWindowS = OTP_WINDOW_MS / 1_000 - 600;

test("a number counts with all of its customer's, its network, its range, and itself", () => {
  expect(prefixesOf(PHONE)).toEqual({ customer: "", network: "+98912", range: "+98912123", phone: PHONE });
});

test("the first code may be sent", () => {
  expect(asked({})).toBeNull();
});

test("a phone gets the next code when the pause is over, and not more than its number of an hour", () => {
  expect(asked({ [PHONE]: { lastMs: NOW_MS - 29_001 } })).toEqual(["otp_phone_limited", 1]);
  expect(asked({ [PHONE]: { lastMs: NOW_MS } })).toEqual(["otp_phone_limited", 30]);
  expect(asked({ [PHONE]: { lastMs: NOW_MS - 30_000, sent: 4 } })).toBeNull();
  expect(asked({ [PHONE]: { sent: 5 } })).toEqual(["otp_phone_limited", restOfWindowS]);
  expect(asked({ [PHONE]: { sent: 500, lastMs: NOW_MS } }, { phoneMax: 0, resendMs: 0 })).toBeNull();
});

test("when its hour is over a count begins anew, but the pause goes on", () => {
  const past = { fromMs: NOW_MS - OTP_WINDOW_MS, sent: 1_000 };
  expect(asked({ "": past, "+98912": past, "+98912123": past, [PHONE]: past })).toBeNull();
  expect(asked({ [PHONE]: { ...past, lastMs: NOW_MS - 1_000 } })).toEqual(["otp_phone_limited", 29]);
  expect(asked({ [PHONE]: { ...past, fromMs: past.fromMs + 1 } })).toEqual(["otp_phone_limited", 1]);
});

test("a customer has a number of codes in an hour", () => {
  expect(asked({ "": { sent: 99 } })).toBeNull();
  expect(asked({ "": { sent: 100 } })).toEqual(["otp_customer_limited", restOfWindowS]);
  expect(asked({ "": { sent: 1_000_000 } }, { customerMax: 0 })).toBeNull();
});

test("a range of numbers that is gone through quickly is pumping", () => {
  expect(asked({ "+98912123": { sent: 19 } })).toBeNull();
  expect(asked({ "+98912123": { sent: 20 } })).toEqual(["otp_pumping_suspected", restOfWindowS]);
  expect(asked({ "+98912123": { sent: 20 } }, { rangeMax: 0 })).toBeNull();
  expect(asked({ "+98912124": { sent: 20 } })).toBeNull();
});

test("so are codes to a network of which few are verified, once there are enough to say so", () => {
  expect(asked({ "+98912": { sent: 49 } })).toBeNull();
  expect(asked({ "+98912": { sent: 50, verified: 4 } })).toEqual(["otp_pumping_suspected", restOfWindowS]);
  expect(asked({ "+98912": { sent: 50, verified: 5 } })).toBeNull();
  expect(asked({ "+98912": { sent: 50 } }, { verifiedPercent: 0 })).toBeNull();
});

test("a customer that may check codes by itself is not judged by what is verified here", () => {
  expect(asked({ "+98912": { sent: 50 } }, {}, true)).toBeNull();
  expect(asked({ "+98912123": { sent: 20 } }, {}, true)).toEqual(["otp_pumping_suspected", restOfWindowS]);
});
