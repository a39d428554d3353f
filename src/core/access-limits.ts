// The bounds of keys, allow-lists and signed requests that can't be configured, with their reasons; all
// others are in limits.ts. Invariant: the relations asserted at the end hold, or no process starts.

import assert from "node:assert/strict";
import { CLOCK_SKEW_MAX_MS } from "./limits.ts";

/** Live keys of a customer: enough to change one without a pause. */
export const LIVE_KEYS_MAX = 2;
/** How long a key still works beside the one that replaces it, if nothing else is said. */
export const KEY_OVERLAP_DEFAULT_MS = 24 * 3_600_000;
/** The most that may be said: a replaced key that lives longer is one that nobody replaces. */
export const KEY_OVERLAP_MAX_MS = 90 * 86_400_000;
/** How often a process writes which keys were used, and how old a stored time must be to be written anew. */
export const KEY_USES_PERIOD_MS = 30_000;
/** Keys in one statement that writes when they were used. */
export const KEY_USES_ROWS_MAX = 1_000;

/** Addresses and CIDR blocks of one allow-list: at their longest, with commas, they fit their column. */
export const ADDRESSES_MAX = 64;
/** An IPv6 address in full, and a prefix length. */
const ADDRESS_CHARS_MAX = 45 + 4;
const ADDRESSES_COLUMN_CHARS = 3_200;

/** How far the time of a signed request may be from the database's clock, before or after it. */
export const SIGNATURE_WINDOW_MS = 300_000;
/** A nonce is kept for this much longer than its request could be accepted. */
export const NONCE_MARGIN_MS = 60_000;
/** Random characters of base64url: 16 of them are 96 bits, which no key draws twice. */
export const NONCE_CHARS_MIN = 16;
export const NONCE_CHARS_MAX = 64;
/** Nonces deleted in one statement. */
export const NONCE_PURGE_ROWS_MAX = 1_000;

assert(ADDRESSES_MAX * (ADDRESS_CHARS_MAX + 1) <= ADDRESSES_COLUMN_CHARS, "every allow-list can be stored");
assert(2 * KEY_USES_PERIOD_MS <= 60_000, "the time at which a key was used is a minute behind at most");
assert(10 * CLOCK_SKEW_MAX_MS < NONCE_MARGIN_MS, "clocks that differ don't let a nonce be used twice");
