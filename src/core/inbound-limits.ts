// The bounds of inbound messages and opt-outs that can't be configured, with their reasons.
// Invariant: the relations asserted at the end hold, or no process starts.

import assert from "node:assert/strict";
import { REPORT_ID_CHARS_MAX } from "./limits.ts";
import { WEBHOOK_BODY_CHARS_MAX, WEBHOOK_TTL_MS } from "./webhook-limits.ts";

/** Characters of an inbound message: 26 parts in GSM-7, far more than phones send; the rest is cut. */
export const INBOUND_TEXT_CHARS_MAX = 4_000;
/** Of a text as JSON, where a character may take six: what its event's body has room for. */
export const INBOUND_JSON_CHARS_MAX = 10_000;
/** Of one part that waits for the others; SMPP's message_payload may be longer than any part. */
export const INBOUND_PART_CHARS_MAX = 1_000;
/** Of an address as the operator writes it. */
export const INBOUND_ADDRESS_CHARS_MAX = 64;
/** Parts of one message that can be joined: their numbers are octets (3GPP TS 23.040, 9.2.3.24.1). */
export const INBOUND_PARTS_MAX = 255;
/** How long parts wait for the others. Then what there is is told: phones resend within minutes. */
export const INBOUND_JOIN_MS = 60 * 60_000;
/** Parts that wait, of all operators; beyond that the oldest are told without waiting any longer. */
export const INBOUND_WAITING_PARTS_MAX = 50_000;
/** The same text from the same phone to the same number within this time is a repeat, whatever its id. */
export const INBOUND_REPEAT_MS = 60_000;
/** For this long the same id of an operator is a repeat: as long as operators try again, and more. */
export const INBOUND_ID_MS = 48 * 3_600_000;
/** How long inbound messages are kept: as long as what failed of the events that tell them. */
export const INBOUND_TTL_MS = WEBHOOK_TTL_MS;
/** Numbers with their keywords that share one number: more than a short code is ever divided into. */
export const NUMBER_KEYWORDS_MAX = 200;
/** Characters of a number or name that customers are reached at, and of a keyword: columns of that width. */
export const NUMBER_CHARS_MAX = 20;
export const KEYWORD_CHARS_MAX = 40;

/** Phones that opted out which a process remembers, some 40 B each. Of any more it asks the database. */
export const OPT_OUTS_KNOWN_MAX = 1_000_000;
/** Scheduled messages that one transaction cancels for an opt-out. */
export const OPT_OUT_CANCELS_MAX = 200;

// Beside its text: where a character takes two at most (inbound.ts), and the rest of the body.
const BESIDE_CHARS_MAX = 2 * (INBOUND_ADDRESS_CHARS_MAX + REPORT_ID_CHARS_MAX + KEYWORD_CHARS_MAX) + 1_000;
assert(
  INBOUND_JSON_CHARS_MAX + BESIDE_CHARS_MAX <= WEBHOOK_BODY_CHARS_MAX,
  "an inbound message fits its event",
);
assert(INBOUND_JOIN_MS < INBOUND_ID_MS, "a part that comes again is known while the others may come");
