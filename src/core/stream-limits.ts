// The bounds of uploads and exports of any length, with their reasons; all others are in limits.ts.
// Invariant: the relations asserted at the end hold, or no process starts.

import assert from "node:assert/strict";
import { CLOCK_SKEW_MAX_MS, COMMIT_WAIT_MAX_MS, MYSQL_ANSWER_MAX_MS } from "./limits.ts";

/**
 * Uploads and exports under way in one process. Each holds a chunk or a page, and what is under way between
 * the sockets and it: some 5 MB.
 */
export const STREAMS_MAX = 48;
/** Of one customer. */
export const STREAMS_CUSTOMER_MAX = 4;

/** Rows of one read of an export: some 2 MB. A read of a large report takes 0.3 s, however few they are. */
export const EXPORT_PAGE_ROWS = 5_000;

/**
 * A statement that is exported ends this long ago: no transaction that is still open has an older time.
 * More than a commit may take, with what its clock may be behind.
 */
export const STATEMENT_SETTLED_MS = 60_000;

/**
 * The last entry of a message follows its first within this time: 30 days until it is due, its validity, an
 * unknown outcome, and as long again. It only limits what is read for a statement of a period.
 */
export const ENTRY_SPAN_MAX_MS = 60 * 86_400_000;

assert(STREAMS_CUSTOMER_MAX < STREAMS_MAX / 4, "one customer's streams leave room for others");
assert(
  COMMIT_WAIT_MAX_MS + MYSQL_ANSWER_MAX_MS + CLOCK_SKEW_MAX_MS < STATEMENT_SETTLED_MS,
  "what a statement has is stored",
);
