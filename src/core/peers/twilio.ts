// Twilio's words for what became of a message, the fields of its StatusCallback, and the text that its
// signature covers (https://www.twilio.com/docs/messaging/guides/track-outbound-message-status,
// https://www.twilio.com/docs/usage/security#validating-requests). Leaves signing to src/webhook/.

import { customerHex, ulidHex } from "../id.ts";
import type { Status } from "../message.ts";
import type { PeerEvent } from "./callback.ts";
import type { CallbackForm } from "./form.ts";
import { shortTime } from "./receipt.ts";

export const API_VERSION = "2010-04-01";

/** The customer's AccountSid. */
export const accountSid = (customerId: number): string => `AC${customerHex(customerId)}`;

/** A message's Sid. */
export const messageSid = (id: string): string => `SM${ulidHex(id)}`;

export const TWILIO_WORDS: Readonly<Record<Status, string>> = {
  scheduled: "scheduled",
  queued: "queued",
  sending: "sending",
  unknown: "sending",
  sent: "sent",
  delivered: "delivered",
  undelivered: "undelivered",
  failed: "failed",
  rejected: "failed",
  expired: "failed",
  canceled: "canceled",
};

export type Failure = { code: number; message: string };

const FAILURES: Readonly<Record<string, Failure>> = {
  absent_subscriber: { code: 30003, message: "Unreachable destination handset" },
  unreachable: { code: 30003, message: "Unreachable destination handset" },
  unknown_subscriber: { code: 30005, message: "Unknown destination handset" },
  unsupported_number: { code: 30006, message: "Landline or unreachable carrier" },
  barred: { code: 30004, message: "Message blocked" },
  opted_out: { code: 21610, message: "Attempt to send to unsubscribed recipient" },
  blocked_by_filter: { code: 30007, message: "Message filtered" },
};
/** Nobody could pay for it when it was to be sent: Twilio suspends an account without credit. */
const REJECTED: Failure = { code: 30002, message: "Account suspended" };
const EXPIRED: Failure = { code: 30036, message: "Validity Period Expired" };
const UNKNOWN_FAILURE: Failure = { code: 30008, message: "Unknown error" };

/** `lastError`: as in messages.last_error. Null for a message that did not fail. */
export function failureOf({
  status,
  lastError,
}: {
  status: Status;
  lastError: string | null;
}): Failure | null {
  if (status === "expired") return EXPIRED;
  if (status === "rejected") return REJECTED;
  if (status !== "failed" && status !== "undelivered") return null;
  const [word = ""] = /^[a-z_]+/.exec(lastError ?? "") ?? [];
  return FAILURES[word] ?? UNKNOWN_FAILURE;
}

/** Of a StatusCallback, in the order of their names. */
export function twilioFields(
  event: PeerEvent,
  { service }: Extract<CallbackForm, { peer: "twilio" }>,
): [name: string, value: string][] {
  const { status, messageId, customerId, phone, call } = event;
  const [sid, word] = [messageSid(messageId), TWILIO_WORDS[status]];
  const failure = failureOf({ status, lastError: event.error });
  const isReported = status === "delivered" || status === "undelivered";
  const fields: [string, string | null][] = [
    ["AccountSid", accountSid(customerId)],
    ["ApiVersion", API_VERSION],
    ["ErrorCode", failure === null ? null : String(failure.code)],
    ["ErrorMessage", failure?.message ?? null],
    ["From", call.from],
    ["MessageSid", sid],
    ["MessageStatus", word],
    ["MessagingServiceSid", service],
    ["RawDlrDoneDate", isReported ? shortTime(event.occurredAtMs) : null],
    ["SmsSid", sid],
    ["SmsStatus", word],
    ["To", phone],
  ];
  return fields.filter((field): field is [string, string] => field[1] !== null);
}

/** What the signature of a form covers behind the URL: names and their values, sorted, without separators. */
export function twilioText(form: string): string {
  const fields = new URLSearchParams(form);
  return [...new Set(fields.keys())]
    .toSorted(byCodeUnits)
    .flatMap((name) => [...new Set(fields.getAll(name))].toSorted(byCodeUnits).map((value) => name + value))
    .join("");
}

const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
