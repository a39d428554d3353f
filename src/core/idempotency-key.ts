// Which values an Idempotency-Key may have, whether a header or an option of a command gives it. Pure.

import { IDEMPOTENCY_KEY_CHARS_MAX } from "./limits.ts";

// Printable ASCII without the characters special to lists and structured headers: commas, quotes,
// backslashes.
const KEY = /^[!#-+\--[\]-~](?:[ !#-+\--[\]-~]*[!#-+\--[\]-~])?$/;

export const isIdempotencyKey = (text: string): boolean =>
  text.length <= IDEMPOTENCY_KEY_CHARS_MAX && KEY.test(text);

/** What such a key must do. */
export const IDEMPOTENCY_KEY_RULE =
  `must have 1 to ${IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters other than comma, quote and ` +
  "backslash";
