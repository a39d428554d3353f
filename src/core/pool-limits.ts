// How many connections to MySQL an ingest process has for what, with the reasons; all other bounds are in
// limits.ts. What many customers need at each moment never waits behind what one customer asked for.
// Invariant: the relations asserted at the end hold, or no process starts.

import assert from "node:assert/strict";

/** Leases and rate limits: grants, for which first messages wait, renewals, and credit given back. */
export const LEASE_CONNECTIONS = 4;
/** Keys, kept answers, opt-outs, templates: statements on a row or two, for which sends wait. */
export const LOOK_UP_CONNECTIONS = 4;
/** What customers read: lists, wallets, statements, pages of exports. */
export const READ_CONNECTIONS = 4;
/** What customers change besides sending: top-ups, cancellations, templates, opt-outs. */
export const WRITE_CONNECTIONS = 4;
/** One-time codes: their counts, which are locked, and their verification. */
export const OTP_CONNECTIONS = 4;

/** Of the connections for reads, for writes and for one-time codes, so many serve one customer at once. */
export const CUSTOMER_RUNNING_MAX = 2;
/** What else it asks for waits; the last of them for 5 s, if each takes as long as a filtered list. */
export const CUSTOMER_WAITING_MAX = 200;

assert(2 * CUSTOMER_RUNNING_MAX <= READ_CONNECTIONS, "one customer's reads leave connections to others");
assert(2 * CUSTOMER_RUNNING_MAX <= WRITE_CONNECTIONS, "one customer's writes leave connections to others");
assert(2 * CUSTOMER_RUNNING_MAX <= OTP_CONNECTIONS, "one customer's codes leave connections to others");
