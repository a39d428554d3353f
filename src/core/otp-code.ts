// One-time codes: how one is drawn, where it stands in a text, and how a person may type it. Pure.
// Invariant: each digit is as likely as any other, whatever bytes are drawn; the text that is kept has the
// placeholder, never the code.

import { OTP_LENGTH_MAX, OTP_LENGTH_MIN } from "./otp-limits.ts";

/** Stands for the code in a text. */
export const CODE = "{code}";

/** The largest multiple of ten that a byte can have: bytes from here on would favour the low digits. */
const FAIR = 250;
/** Enough for most codes at once. */
const DRAWN_BYTES = 16;

/** `randomBytes` must be that many of a CSPRNG; asked again when too many bytes had to be passed over. */
export function drawCode(length: number, randomBytes: (count: number) => Uint8Array): string {
  let code = "";
  while (code.length < length)
    for (const byte of randomBytes(DRAWN_BYTES))
      if (byte < FAIR && code.length < length) code += String(byte % 10);
  return code;
}

/** What is wrong with a text of a code, besides what is wrong with any text; null: nothing. */
export const templateProblem = (template: string): string | null =>
  template.split(CODE).length === 2 ? null : "must have {code} exactly once";

/** The text with its code. */
export const withCode = (template: string, code: string): string => template.replace(CODE, () => code);

const DIGITS = new RegExp(`^\\d{${OTP_LENGTH_MIN},${OTP_LENGTH_MAX}}$`);
const DIGITS_OF_OTHERS = /[\u0660-\u0669\u06f0-\u06f9\uff10-\uff19]/g;

/** A code as it was typed, in Persian, Arabic or full-width digits too; null if it can't be one. */
export function readCode(typed: string): string | null {
  // In each of these blocks the last four bits of the first ten characters are their values.
  const code = typed.trim().replace(DIGITS_OF_OTHERS, (digit) => String(digit.charCodeAt(0) & 0xf));
  return DIGITS.test(code) ? code : null;
}
