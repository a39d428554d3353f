// Why an operator could not deliver a message: one table of Sluice's own codes, and which code of which
// operator means which. docs/reference/dlr.md publishes both.
// Invariant: a code is only mapped where its meaning is published. The `err` of an SMPP receipt is not: every
// vendor numbers its own (001 is an unknown subscriber to one and an absent one to another), so those are
// `other` unless the operator's terms say what they mean.

import type { Reading, ReportShape, ReportTerms } from "./report.ts";

/** Stable: codes are added, never renamed. */
export const LAST_ERRORS = {
  absent_subscriber: "the phone was off or out of coverage until the operator gave up",
  unknown_subscriber: "the number is not in service",
  unreachable: "the network found no way to the phone",
  barred: "the recipient's network or subscription bars the message",
  opted_out: "the recipient refuses such messages, or is on a do-not-disturb list",
  blocked_by_filter: "a filter took the message for spam, flooding or a forbidden text",
  memory_full: "the phone's or SIM card's memory is full",
  handset_error: "the phone can't take the message, or failed to",
  busy: "the phone was busy with another message or call",
  unsupported_number: "a number that takes no SMS: a landline, a short code, a wrong country",
  sender_not_allowed: "the sender (`from`) is not registered or not allowed there",
  invalid_message: "the operator finds fault with the message: its length, encoding or parameters",
  network_error: "a fault between the operator and the recipient's network",
  congestion: "a queue or rate limit at the operator or in the network was full",
  insufficient_credit_at_operator: "our account at the operator has no credit",
  account_at_operator: "our account at the operator is suspended or not set up for this",
  canceled: "canceled or deleted at the operator",
  expired: "not delivered within its validity, without a better reason",
  rejected: "refused after it had been taken, without a better reason",
  unknown: "the operator gives no reason",
  other: "the operator gives a reason that is not in these tables; its own code is in brackets",
} as const;
export type LastErrorCode = keyof typeof LAST_ERRORS;

type Codes = Readonly<Record<string, LastErrorCode>>;

/**
 * Errors of the GSM Mobile Application Part (3GPP TS 29.002, 17.6), as network type 3 of SMPP carries them.
 */
const MAP: Codes = {
  1: "unknown_subscriber",
  2: "network_error", // unknown base station
  3: "network_error", // unknown MSC
  5: "unknown_subscriber", // unidentified subscriber
  6: "absent_subscriber",
  7: "handset_error", // unknown equipment
  8: "barred", // roaming not allowed
  9: "barred", // illegal subscriber
  10: "barred", // bearer service not provisioned
  11: "barred", // teleservice not provisioned
  12: "handset_error", // illegal equipment
  13: "barred", // call barred
  20: "network_error", // supplementary service incompatible
  21: "unsupported_number", // facility not supported
  27: "absent_subscriber",
  28: "absent_subscriber", // incompatible terminal
  31: "busy",
  32: "handset_error", // SM delivery failure
  33: "congestion", // message waiting list full
  34: "network_error", // system failure
  35: "network_error", // data missing
  36: "network_error", // unexpected data value
  51: "congestion", // resource limitation
  71: "invalid_message", // unknown alphabet
  72: "busy", // USSD busy
};

/** Infobip adds to MAP's numbers: failures of the delivery itself, of dialogues, and its own. */
const INFOBIP: Codes = {
  ...MAP,
  255: "unknown",
  256: "memory_full",
  257: "handset_error",
  258: "handset_error",
  259: "network_error",
  260: "congestion",
  261: "sender_not_allowed", // invalid SME address
  262: "barred", // subscriber not of this service centre
  500: "network_error",
  502: "network_error", // no response
  503: "network_error",
  504: "network_error",
  1031: "network_error",
  1154: "congestion",
  1155: "network_error",
  1157: "network_error",
  1158: "congestion",
  1282: "congestion",
  1536: "network_error",
  1538: "congestion",
  2048: "network_error", // time-out
  2049: "blocked_by_filter", // IMSI on a block list
  2050: "blocked_by_filter", // destination on a block list
  2051: "network_error",
  4096: "invalid_message",
  4097: "unreachable",
  4100: "canceled",
  4101: "expired",
  4102: "network_error",
};

/** https://www.twilio.com/docs/api/errors */
const TWILIO: Codes = {
  21408: "account_at_operator", // the country is not enabled
  21610: "opted_out",
  21611: "congestion",
  21612: "unreachable",
  21614: "unsupported_number",
  30001: "congestion", // queue overflow
  30002: "account_at_operator", // account suspended
  30003: "absent_subscriber", // unreachable destination handset
  30004: "barred", // message blocked
  30005: "unknown_subscriber",
  30006: "unsupported_number", // landline or unreachable carrier
  30007: "blocked_by_filter",
  30008: "unknown",
  30010: "rejected", // price above max price
  30017: "congestion",
  30018: "sender_not_allowed",
  30019: "invalid_message",
  30022: "congestion",
  30023: "congestion",
  30024: "sender_not_allowed",
  30027: "congestion",
  30032: "sender_not_allowed",
  30034: "sender_not_allowed",
  30036: "expired",
};

/** https://api.support.vonage.com/hc/en-us/articles/204014733 */
const VONAGE: Codes = {
  1: "unknown",
  2: "absent_subscriber",
  3: "unknown_subscriber", // absent for good
  4: "barred",
  5: "network_error", // portability
  6: "blocked_by_filter",
  7: "busy",
  8: "network_error",
  9: "opted_out",
  10: "invalid_message",
  11: "unreachable",
  12: "unreachable",
  13: "barred", // age
  14: "barred", // by the carrier
  15: "barred", // the recipient's prepaid credit
  50: "blocked_by_filter",
  51: "blocked_by_filter",
  52: "blocked_by_filter",
  53: "opted_out", // no consent
  54: "blocked_by_filter", // regulation
  95: "unknown",
  99: "unknown",
};

/** Its statuses, which are its only codes. */
const KAVENEGAR: Codes = {
  6: "network_error",
  11: "absent_subscriber",
  13: "canceled",
  14: "opted_out",
  100: "unknown",
};

/** Statuses of its events; in delivery logs the reason is a sentence ("SMS delivery failure reasons"). */
const SNS: Codes = {
  UNREACHABLE: "absent_subscriber",
  CARRIER_UNREACHABLE: "unreachable",
  INVALID: "unsupported_number",
  INVALID_MESSAGE: "invalid_message",
  BLOCKED: "blocked_by_filter",
  CARRIER_BLOCKED: "barred",
  PROTECT_BLOCKED: "account_at_operator", // the country, by our own setting there
  SPAM: "blocked_by_filter",
  TTL_EXPIRED: "expired",
  UNKNOWN: "unknown",
  "Blocked as spam by phone carrier": "blocked_by_filter",
  "Destination is on a blocked list": "blocked_by_filter",
  "Invalid phone number": "unsupported_number",
  "Message body is invalid": "invalid_message",
  "Phone carrier has blocked this message": "barred",
  "Phone carrier is currently unreachable/unavailable": "unreachable",
  "Phone has blocked SMS": "opted_out",
  "Phone is on a blocked list": "blocked_by_filter",
  "Phone is currently unreachable/unavailable": "absent_subscriber",
  "Phone number is opted out": "opted_out",
  "This delivery would exceed max price": "account_at_operator",
  "Unknown error attempting to reach phone": "unknown",
};

/** What each shape's codes mean, as far as that is published. */
export const CODES: Readonly<Record<ReportShape, Codes>> = {
  smpp: Object.fromEntries(Object.entries(MAP).map(([number, code]) => [`3:${number}`, code])),
  twilio: TWILIO,
  kavenegar: KAVENEGAR,
  vonage: VONAGE,
  infobip: INFOBIP,
  kannel: {},
  sns: SNS,
  generic: {},
};

/** The characters that `last_error` has room for. */
export const LAST_ERROR_CHARS_MAX = 100;

/**
 * The `last_error` of a message that this report ends: `<code>`, or `<code> (<the operator's own code>)`, in
 * printable ASCII. null if the report doesn't say that it failed.
 */
export function lastErrorOf(reading: Pick<Reading, "status" | "error">, terms: ReportTerms): string | null {
  const code = codeOf(reading, terms);
  if (code === null || reading.error === null) return code;
  const room = LAST_ERROR_CHARS_MAX - code.length - " ()".length;
  return `${code} (${reading.error.replace(/[^\x20-\x7e]/g, "?").slice(0, room)})`;
}

function codeOf(
  { status, error }: Pick<Reading, "status" | "error">,
  terms: ReportTerms,
): LastErrorCode | null {
  const known = error === null ? null : knownCode(error, terms);
  switch (status) {
    case "delivered":
    case "none":
      return null;
    case "expired":
    case "rejected":
      return known ?? status;
    case "undelivered":
    case "unknown":
      return known ?? (error === null ? "unknown" : "other");
  }
}

function knownCode(error: string, { shape, errorCodes }: ReportTerms): LastErrorCode | null {
  const own: Codes = errorCodes === "map" ? MAP : (errorCodes ?? {});
  // 027 is 27, in the tables of MAP and of everyone else.
  const plain = error.replace(/^0+(?=\d)/, "");
  for (const codes of [own, CODES[shape]])
    for (const name of [error, plain]) if (Object.hasOwn(codes, name)) return codes[name] ?? null;
  return null;
}
