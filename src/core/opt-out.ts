// Who doesn't want messages: a phone that opted out of a sender of a customer, or of all its senders. Owns
// when an opt-out is about a message, and how a refusal says so; leaves the words to opt-out-words.ts, the
// rows to src/ledger/opt-outs.ts.
// Invariant: a message without `from` is refused if its phone opted out of any sender of its customer,
// because nobody knows from which of them its operator will send it.

import { SluiceError } from "./errors.ts";
import { NUMBER_CHARS_MAX } from "./inbound-limits.ts";
import { callingCodeOf } from "./phone.ts";

/** How an opt-out came: a phone's own message, the API, or the command line. */
export const OPT_OUT_SOURCES = ["inbound", "api", "cli"] as const;
export type OptOutSource = (typeof OPT_OUT_SOURCES)[number];

/** In place of a sender's key: of all of them. */
export const EVERY_SENDER = "";

/** Why a message is refused: the reason of a field error of `phone`. */
export const OPTED_OUT_REASON = "has opted out of messages from this sender";
/** The code of a refused message of a batch or an upload. */
export const OPTED_OUT = "opted_out";

/** A 422 that says so. */
export const optedOut = (): SluiceError =>
  new SluiceError("validation_failed", { errors: [{ field: "phone", reason: OPTED_OUT_REASON }] });

const NUMBER = /^\+?[0-9]+$/;

/** The same for the same sender, however it is written: a number's digits, or a name in lower case. */
export function senderKey(from: string): string {
  const key = NUMBER.test(from) ? from.replace(/^\+|^00/, "") : from.toLowerCase();
  return key.slice(0, NUMBER_CHARS_MAX);
}

/**
 * Whether a customer may be reached at this key: the column of such numbers is ASCII, and comparing it with
 * anything else is an error.
 */
export const isRegistrable = (key: string): boolean => /^[\x20-\x7e]+$/.test(key);

/** Fewer are a short code, which is written without a trunk prefix. */
const TRUNKED_DIGITS_MIN = 7;
const TRUNK_PREFIX = "0";

/**
 * The keys of the same sender in a region: a number is the same with and without the region's calling code or
 * a trunk prefix, whichever of them is registered.
 */
export function senderKeys(key: string, region: string): string[] {
  const code = callingCodeOf(region);
  if (code === "" || !/^[0-9]+$/.test(key)) return [key];
  const without = (prefix: string) =>
    key.length > prefix.length && key.startsWith(prefix) ? [key.slice(prefix.length)] : [];
  const isTrunked = (national: string) => national.length >= TRUNKED_DIGITS_MIN;
  const nationals = [key, ...without(code), ...without(TRUNK_PREFIX).filter(isTrunked)];
  return [
    ...new Set([
      ...nationals.flatMap((national) => [national, code + national]),
      ...nationals.filter(isTrunked).map((national) => TRUNK_PREFIX + national),
    ]),
  ];
}

/** Whether an opt-out of `sender` (a key, or EVERY_SENDER) is about what a customer of `region` sends so. */
export const isAboutSender = (sender: string, from: string | null, region: string): boolean =>
  sender === EVERY_SENDER || from === null || senderKeys(senderKey(from), region).includes(sender);
