// The bounds of one-time codes that can't be configured, with their reasons; how many are sent is in the
// settings (src/platform/config.ts). Invariant: the relations asserted at the end hold, or no process starts.

import assert from "node:assert/strict";
import { E164_DIGITS_MAX, VALID_FOR_MIN_MS } from "./limits.ts";

/** Digits of a code. */
export const OTP_LENGTH_MIN = 4;
export const OTP_LENGTH_MAX = 10;
export const OTP_LENGTH_DEFAULT = 6;
/** Tries of a code, right or wrong. Of four digits they guess one code in 2,000. */
export const OTP_TRIES_MAX = 5;
/** How long a code is right. Less than the first, and a slow message comes too late. */
export const OTP_TTL_MIN_MS = 120_000;
export const OTP_TTL_MAX_MS = 600_000;
export const OTP_TTL_DEFAULT_MS = 300_000;
/** What is sent if the request has no text of its own. */
export const OTP_TEMPLATE_DEFAULT = "Your code is {code}";
/** For this long after its end, a verification says why a code is over. */
export const OTP_KEPT_MS = 3_600_000;

/** The window in which codes are counted: by phone, customer, and the numbers that begin alike. */
export const OTP_WINDOW_MS = 3_600_000;
/**
 * Numbers that differ only in their last digits are a range: pumping goes through ranges, because whoever
 * earns from it has a whole one.
 */
export const OTP_RANGE_DIGITS = 4;
/** The first characters of an E.164 number, its plus included: its country, and mostly its network. */
export const OTP_NETWORK_CHARS = 6;

/** Characters of the secret that seals codes, at least: 32 of hexadecimal are 128 bits. */
export const OTP_SECRET_CHARS_MIN = 32;
/** A sealed code as it is stored: IV, code and tag in base64url. */
export const SEALED_CODE_CHARS_MAX = 80;

/** Ended codes, or counts, deleted in one statement. */
export const OTP_PURGE_ROWS_MAX = 1_000;

const SEALED_BYTES_MAX = 12 + OTP_LENGTH_MAX + 16;
assert(Math.ceil((SEALED_BYTES_MAX * 4) / 3) <= SEALED_CODE_CHARS_MAX, "every sealed code fits its column");
assert(
  OTP_LENGTH_MIN <= OTP_LENGTH_DEFAULT && OTP_LENGTH_DEFAULT <= OTP_LENGTH_MAX,
  "the default is allowed",
);
assert(OTP_TTL_MIN_MS <= OTP_TTL_DEFAULT_MS && OTP_TTL_DEFAULT_MS <= OTP_TTL_MAX_MS, "and that one, too");
assert(VALID_FOR_MIN_MS <= OTP_TTL_MIN_MS, "a message may be valid for as long as its code");
assert(OTP_RANGE_DIGITS < E164_DIGITS_MAX, "a range is a part of a number");
