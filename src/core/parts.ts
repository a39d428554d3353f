// Parts: which billed pieces a text becomes (3GPP TS 23.038: 7-bit default alphabet, or UCS-2), and which
// texts and senders can't be sent at all. Leaves to others: the price (money.ts) and the maximum number of
// parts (limits.ts). Invariant: no character is replaced or split; one character outside GSM-7 makes the
// whole text UCS-2.

import { SEPTETS } from "./gsm7.ts";
import { E164_DIGITS_MAX, FROM_SEPTETS_MAX, REFERENCE_CHARS_MAX } from "./limits.ts";
import type { Encoding } from "./message.ts";

export type Parts = {
  encoding: Encoding;
  parts: number;
  /** Septets (GSM-7, extension characters count two) or UTF-16 units (UCS-2) of the text itself */
  units: number;
};

// A part has 140 bytes; in a longer message 6 of them are the concatenation header (TS 23.040, 9.2.3.24.1).
const GSM7_SINGLE = 160;
const GSM7_EACH = 153;
const UCS2_SINGLE = 70;
const UCS2_EACH = 67;

/** Parts of a text that passed textProblem. About 1 ns a character. */
export function countParts(text: string): Parts {
  let units = 0;
  for (let i = 0; i < text.length; i++) {
    const septets = SEPTETS[text.charCodeAt(i)];
    if (!septets) return countUcs2(text);
    units += septets;
  }
  if (units <= GSM7_SINGLE) return { encoding: "gsm7", parts: 1, units };
  if (units === text.length) return { encoding: "gsm7", parts: Math.ceil(units / GSM7_EACH), units };
  return { encoding: "gsm7", parts: fillParts(text, GSM7_EACH, septetsAt).length, units };
}

/** The text of each part, as many as countParts counts: for operators that take a message part by part. */
export function splitParts(text: string): string[] {
  const { encoding, parts } = countParts(text);
  if (parts === 1) return [text];
  const starts =
    encoding === "gsm7" ? fillParts(text, GSM7_EACH, septetsAt) : fillParts(text, UCS2_EACH, unitsAt);
  return starts.map((start, i) => text.slice(start, starts[i + 1]));
}

/** Units that one part has room for, in a text of so many parts. */
export function partRoom({ encoding, parts }: Pick<Parts, "encoding" | "parts">): number {
  if (encoding === "gsm7") return parts === 1 ? GSM7_SINGLE : GSM7_EACH;
  return parts === 1 ? UCS2_SINGLE : UCS2_EACH;
}

/** Why a text can't be sent, or null. */
export function textProblem(text: string): string | null {
  if (text.length === 0) return "must not be empty";
  if (text.includes("\0")) return "must not contain NUL (U+0000)";
  if (!text.isWellFormed()) return "must not contain a lone surrogate";
  return null;
}

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/**
 * Why a one-line field (reference, from, request_id) can't be stored, or null. Events rely on these rules for
 * its maximum size in bytes.
 */
export function labelProblem(label: string): string | null {
  if (label.length === 0) return "must not be empty";
  if (CONTROL.test(label)) return "must not contain control characters";
  if (!label.isWellFormed()) return "must not contain a lone surrogate";
  return null;
}

/** Whether it has more characters, as schemas and MySQL count them: one beyond U+FFFF is one. */
export const isLonger = (text: string, charsMax: number): boolean =>
  text.length > charsMax && (text.length > 2 * charsMax || Array.from(text).length > charsMax);

export const isReferenceLong = (reference: string): boolean => isLonger(reference, REFERENCE_CHARS_MAX);

const NUMBER = /^\+?[0-9]+$/;

/**
 * Why this can't be a message's `from`, or null. A sender is a number, or a name of at most 11 septets in the
 * GSM 7-bit default alphabet, where an extension character takes two (TS 23.040, 9.1.2.5).
 */
export function senderProblem(from: string): string | null {
  if (NUMBER.test(from)) {
    const digits = from.charCodeAt(0) === 0x2b ? from.length - 1 : from.length;
    return digits <= E164_DIGITS_MAX ? null : `must be a number of at most ${E164_DIGITS_MAX} digits`;
  }
  const problem = labelProblem(from);
  if (problem !== null) return problem;
  let septets = 0;
  for (let i = 0; i < from.length; i++) {
    const width = SEPTETS[from.charCodeAt(i)];
    if (!width) return "must be a number, or a name in the GSM 7-bit alphabet";
    septets += width;
  }
  if (septets > FROM_SEPTETS_MAX)
    return `must be a number, or a name of at most ${FROM_SEPTETS_MAX} characters (^{}\\[~]|€ count two)`;
  return from.trim() === "" ? "must not be blank" : null;
}

function countUcs2(text: string): Parts {
  const units = text.length;
  if (units <= UCS2_SINGLE) return { encoding: "ucs2", parts: 1, units };
  return { encoding: "ucs2", parts: fillParts(text, UCS2_EACH, unitsAt).length, units };
}

// Fills part after part with whole characters, as phones do: a character that doesn't fit starts the next
// part. Returns where each part starts.
function fillParts(text: string, room: number, widthAt: (text: string, i: number) => number): number[] {
  const starts = [0];
  let used = 0;
  for (let i = 0; i < text.length; ) {
    const width = widthAt(text, i);
    if (used + width > room) {
      starts.push(i);
      used = 0;
    }
    used += width;
    // A surrogate pair is two units of the string; an extension character is one, although it takes two
    // septets.
    i += widthAt === unitsAt ? width : 1;
  }
  return starts;
}

function septetsAt(text: string, i: number): number {
  return SEPTETS[text.charCodeAt(i)] ?? 0;
}

function unitsAt(text: string, i: number): number {
  return (text.codePointAt(i) ?? 0) > 0xffff ? 2 : 1;
}
