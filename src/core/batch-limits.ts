// The bounds of batches that can't be configured, with their reasons; all others are in limits.ts.
// Invariant: the relations asserted at the end hold, or no process starts.

import assert from "node:assert/strict";
import { BODY_BYTES_MAX, QUEUE_ROWS_MAX } from "./limits.ts";

/** Messages of one batch: they are one transaction, some 40 ms of one MySQL thread. */
export const BATCH_MESSAGES_MAX = 1_000;
/** The body of a batch: a thousand messages of a kilobyte each, such as eight parts in Persian. */
export const BATCH_BODY_BYTES_MAX = 1024 * 1024;
/** One line of an upload: the longest text, escaped as \uXXXX, is 9 KiB. */
export const UPLOAD_LINE_BYTES_MAX = 16 * 1024;
/**
 * An upload waits this long for a rate limit, a full queue or credit held elsewhere before it ends. Below the
 * time after which a connection without data is closed.
 */
export const UPLOAD_WAIT_MAX_MS = 30_000;
/** UTF-16 units of a batch's text before its parameters are put in; names may be longer than values. */
export const TEMPLATE_CHARS_MAX = 4_000;
/** Templates of a customer, and versions of one of them: all that a list shows is a few megabytes at most. */
export const TEMPLATES_MAX = 500;
export const TEMPLATE_VERSIONS_MAX = 100;
export const TEMPLATE_ID_CHARS_MAX = 64;
/** Characters of the name of a parameter. */
export const PARAMETER_NAME_CHARS_MAX = 32;

assert(
  BATCH_MESSAGES_MAX < QUEUE_ROWS_MAX / 8,
  "several batches of one customer have room in its share of the queue",
);
assert(BODY_BYTES_MAX < BATCH_BODY_BYTES_MAX, "a batch may be larger than a message");
assert(UPLOAD_LINE_BYTES_MAX < BATCH_BODY_BYTES_MAX, "a chunk of an upload has room for a line");
