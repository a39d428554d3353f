// Kannel's dlr-url with its escapes in place of what they stand for (https://www.kannel.org, user guide,
// "Delivery reports" and "Escape codes").
// Invariants: what is put in is percent-encoded, so it changes no part of the URL but its own; no escape
// stands where the host is (hasPlainHost). Bound: kannelUrlFits.

import { ulidUuid } from "../id.ts";
import { OPERATOR_MESSAGE_ID_CHARS_MAX, OPERATOR_NAME_CHARS_MAX } from "../limits.ts";
import type { Status } from "../message.ts";
import { CALLED_CHARS_MAX } from "../webhook-limits.ts";
import type { PeerEvent } from "./callback.ts";
import { receiptText } from "./receipt.ts";

/** The bit of dlr-mask that happened. */
const BITS: Partial<Record<Status, number>> = {
  delivered: 1,
  undelivered: 2,
  queued: 4,
  sent: 8,
  failed: 16,
  rejected: 16,
  expired: 16,
  canceled: 16,
};
const NACKS: Partial<Record<Status, string>> = {
  failed: "NACK/Failed",
  rejected: "NACK/Rejected",
  expired: "NACK/Expired",
  canceled: "NACK/Canceled",
};

const reportText = (event: PeerEvent): string =>
  event.status === "sent" ? "ACK/" : (NACKS[event.status] ?? receiptText(event));

/** `2026-11-26+10:30:00`, in UTC, as Kannel writes it: not encoded. */
const longTime = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace("T", "+");

/** Not set, as Kannel has it in a number. */
const UNSET = "-1";

type Words = { all: readonly string[]; next: number };
/** What an escape stands for. `words`: those of the report's text, read one by one. */
type Escape = (event: PeerEvent, words: Words) => string;
const encode = (text: string): string => encodeURIComponent(text.toWellFormed());
const isUcs2 = ({ call }: PeerEvent): boolean => call.encoding === "ucs2";
const nextWord = (words: Words): string => words.all[words.next++] ?? "";

const ESCAPES: Readonly<Record<string, Escape>> = {
  "%": () => "%",
  d: ({ status }) => String(BITS[status] ?? 0),
  A: (event) => encode(reportText(event)),
  b: (event) => encode(reportText(event)),
  // A report travels the other way: from the receiver to the sender.
  p: ({ phone }) => encode(phone),
  q: ({ phone }) => encode(phone.replace(/^00/, "+")),
  P: ({ call }) => encode(call.from ?? ""),
  Q: ({ call }) => encode((call.from ?? "").replace(/^00/, "+")),
  I: ({ messageId }) => ulidUuid(messageId),
  F: ({ call }) => encode(call.operatorMessageId ?? ""),
  i: ({ operator }) => encode(operator ?? ""),
  f: () => "",
  t: ({ occurredAtMs }) => longTime(occurredAtMs),
  T: ({ occurredAtMs }) => String(Math.floor(occurredAtMs / 1_000)),
  n: ({ customerId }) => String(customerId),
  o: ({ reference }) => encode(reference ?? ""),
  B: () => "",
  D: () => "",
  R: ({ url }) => encode(url),
  c: (event) => (isUcs2(event) ? "2" : "0"),
  C: (event) => (isUcs2(event) ? "UTF-16BE" : "UTF-8"),
  m: () => UNSET,
  M: () => UNSET,
  u: () => "",
  O: (event) => (isUcs2(event) ? "08" : "00"),
  v: () => UNSET,
  V: () => UNSET,
  k: (_, words) => encode(words.all[0] ?? ""),
  s: (_, words) => encode(nextWord(words)),
  S: (_, words) => encode(nextWord(words).replaceAll("*", "~")),
  r: (_, words) => words.all.slice(words.next).map(encode).join("+"),
  a: (_, words) => words.all.map(encode).join("+"),
};

/** The URL that is called; an escape that Kannel doesn't know stays as it stands, as `%20` does. */
export function kannelUrl(event: PeerEvent): string {
  // The first word is %k's; %s begins with the second.
  const words: Words = { all: reportText(event).split(" "), next: 1 };
  return event.url.replace(/%([%A-Za-z])/g, (whole, letter: string) => {
    const escape = Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined;
    return escape === undefined ? whole : escape(event, words);
  });
}

/** Whether its host is written out, in the usual way: an escape there could lead anywhere. */
export const hasPlainHost = (template: string): boolean =>
  /^[a-z]+:\/\/[^%\\/?#]+(?:[/?#]|$)/i.test(template);

const LONGEST_ID = "\u20ac".repeat(OPERATOR_MESSAGE_ID_CHARS_MAX);
const LONGEST_NAME = "n".repeat(OPERATOR_NAME_CHARS_MAX);

/** Whether it stays within CALLED_CHARS_MAX, whatever becomes of a message with this sender and reference. */
export function kannelUrlFits(template: string, from: string | null, reference: string | null): boolean {
  const call = { form: "kannel", from, operatorMessageId: LONGEST_ID, encoding: "ucs2" } as const;
  const longest: PeerEvent = {
    customerId: Number.MAX_SAFE_INTEGER,
    url: template,
    messageId: "7".repeat(26),
    lane: "normal",
    phone: `+${"9".repeat(15)}`,
    status: "delivered",
    sequence: 1,
    parts: 10,
    cost: 1,
    reference,
    operator: LONGEST_NAME,
    error: null,
    createdAtMs: 0,
    occurredAtMs: 0,
    call,
  };
  return kannelUrl(longest).length <= CALLED_CHARS_MAX;
}
