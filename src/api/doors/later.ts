// Messages that a peer's client wants sent later: when that is, and until when they are valid. Peers count
// the validity from the request, Sluice from when a message is to be sent. Leaves to each door how a time is
// written, and what is answered to one that is wrong.

import { VALID_FOR_MIN_MS, VALID_FOR_MS } from "../../core/limits.ts";
import { sendAtIn } from "../../core/send-at.ts";

/** Empty: at once. */
export type Later = { sendAtMs?: number };

/** A time as part of a draft's input; undefined if it is too far away, or over. */
export function laterAt(atMs: number, nowMs: number): Later | undefined {
  const found = sendAtIn(atMs, nowMs);
  if ("reason" in found) return undefined;
  return found.atMs === null ? {} : { sendAtMs: found.atMs };
}

/**
 * How long a message is valid from its time on, if it is for `validMs` from now on; null: as long as is
 * usual. Undefined if that is shorter or longer than it may be.
 */
export function validAfter(validMs: number | null, { sendAtMs }: Later, nowMs: number) {
  if (validMs === null) return null;
  const forMs = validMs - (sendAtMs === undefined ? 0 : sendAtMs - nowMs);
  return forMs >= VALID_FOR_MIN_MS && forMs <= VALID_FOR_MS ? forMs : undefined;
}

const SMPP_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([-+ R])$/;
const QUARTER_MS = 15 * 60_000;
const QUARTERS_MAX = 48;

/**
 * The Unix milliseconds of a time as SMPP writes it (3.4, 7.1.1): `YYMMDDhhmmsstnnp`, of this century, in
 * tenths of a second and with an offset of quarters of an hour, or `…000R`, that much after now. A blank at
 * its end is a `+` that was not escaped. Undefined for anything else.
 */
export function smppTimeOf(text: string, nowMs: number): number | undefined {
  const match = SMPP_TIME.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second, tenths, quarters] = match.slice(1, 9).map(Number) as Eight;
  const sign = match[9];
  if (sign === "R") {
    if (tenths > 0 || quarters > 0) return undefined;
    const date = new Date(nowMs);
    date.setUTCFullYear(date.getUTCFullYear() + year, date.getUTCMonth() + month, date.getUTCDate() + day);
    return date.getTime() + ((hour * 60 + minute) * 60 + second) * 1_000;
  }
  if (hour > 23 || minute > 59 || second > 59 || quarters > QUARTERS_MAX) return undefined;
  const date = new Date(Date.UTC(2000 + year, month - 1, day, hour, minute, second, tenths * 100));
  // Date.UTC turns 30 February into 2 March.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  return date.getTime() - (sign === "-" ? -1 : 1) * quarters * QUARTER_MS;
}

type Eight = [number, number, number, number, number, number, number, number];
