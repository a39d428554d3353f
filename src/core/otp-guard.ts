// Whether one more code may be sent to a number: by what was sent to it lately, to all numbers of its
// customer, and to those that begin alike. Pure; owns the rules and their refusals, leaves counting to
// src/ledger/otp-counts.ts.
// Pumping is fraud by which somebody who earns from messages to a range of numbers has codes sent there, over
// a customer's form. It goes through the range quickly, and nobody verifies the codes.

import { SluiceError } from "./errors.ts";
import { OTP_NETWORK_CHARS, OTP_RANGE_DIGITS, OTP_WINDOW_MS } from "./otp-limits.ts";

/** What an installation allows; 0 is no limit. The counts are for a window of OTP_WINDOW_MS. */
export type OtpRules = {
  /** From one code to a number until the next. */
  resendMs: number;
  phoneMax: number;
  customerMax: number;
  /** To the numbers of one range. */
  rangeMax: number;
  /** Of the codes to one network, the least percentage that must be verified, once `sample` were sent. */
  verifiedPercent: number;
  sample: number;
};

/** Codes of one customer to the numbers that begin like this; times are of the database. */
export type OtpCount = {
  prefix: string;
  /** When the window began: it ends OTP_WINDOW_MS later. */
  fromMs: number;
  sent: number;
  verified: number;
  /** When the last one was sent; 0: never. */
  lastMs: number;
};

/** The prefixes under which a number counts: all, its network, its range, itself. */
export type OtpPrefixes = { customer: ""; network: string; range: string; phone: string };

export const prefixesOf = (phone: string): OtpPrefixes => ({
  customer: "",
  network: phone.slice(0, OTP_NETWORK_CHARS),
  range: phone.slice(0, -OTP_RANGE_DIGITS),
  phone,
});

export type Asking = {
  counts: ReadonlyMap<string, OtpCount>;
  nowMs: number;
  /** The customer may check codes by itself: that few are verified here says nothing. */
  checksItself: boolean;
};

/** The refusal of one more code to this number; null: it may be sent. */
export function refusalOf(phone: string, rules: OtpRules, asking: Asking): SluiceError | null {
  const { counts, nowMs, checksItself } = asking;
  const prefixes = prefixesOf(phone);
  const none: OtpCount = { prefix: "", fromMs: 0, sent: 0, verified: 0, lastMs: 0 };
  const lately = (prefix: string): OtpCount => {
    const count = counts.get(prefix) ?? none;
    return isOver(count, nowMs) ? { ...none, lastMs: count.lastMs } : count;
  };
  /** Until the window of these codes ends. */
  const untilEnd = ({ fromMs }: OtpCount): number => fromMs + OTP_WINDOW_MS - nowMs;
  const own = lately(prefixes.phone);
  const waitMs = own.lastMs + rules.resendMs - nowMs;
  if (waitMs > 0) return limited("otp_phone_limited", "A code was sent to this number just now.", waitMs);
  if (isFull(own, rules.phoneMax))
    return limited("otp_phone_limited", "This number was sent as many codes as are allowed.", untilEnd(own));
  const all = lately(prefixes.customer);
  if (isFull(all, rules.customerMax)) return limited("otp_customer_limited", undefined, untilEnd(all));
  const range = lately(prefixes.range);
  if (isFull(range, rules.rangeMax))
    return limited(
      "otp_pumping_suspected",
      "Too many codes went to numbers that begin alike.",
      untilEnd(range),
    );
  const network = lately(prefixes.network);
  if (!checksItself && isUnverified(network, rules))
    return limited("otp_pumping_suspected", "Too few codes to such numbers are verified.", untilEnd(network));
  return null;
}

/** Whether its window has ended: what it says is then of the past. */
const isOver = ({ fromMs }: OtpCount, nowMs: number): boolean => fromMs + OTP_WINDOW_MS <= nowMs;

const isFull = ({ sent }: OtpCount, most: number): boolean => most > 0 && sent >= most;

const isUnverified = ({ sent, verified }: OtpCount, { verifiedPercent, sample }: OtpRules): boolean =>
  sent >= Math.max(1, sample) && verified * 100 < sent * verifiedPercent;

type Limit = "otp_phone_limited" | "otp_customer_limited" | "otp_pumping_suspected";

function limited(code: Limit, detail: string | undefined, waitMs: number): SluiceError {
  const retryAfterS = Math.max(1, Math.ceil(waitMs / 1_000));
  return new SluiceError(code, { ...(detail === undefined ? {} : { detail }), retryAfterS });
}
