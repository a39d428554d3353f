// How many connections to MySQL an ingest process has for what, with the reasons; all other bounds are in
// limits.ts. What many customers need at each moment never waits behind what one customer asked for.
// Invariant: the relations asserted at the end hold, or no process starts.

import assert from "node:assert/strict";

/** Leases and rate limits: grants, for which first messages wait, renewals, and credit given back. */
export const LEASE_CONNECTIONS = 4;
/**
 * The polls by which a process knows what it must: of keys and MySQL's clock, of opt-outs, of the lanes. Each
 * makes one query at a time, so none waits for a connection. Without the first, no key is known after 1.8 s.
 */
export const WATCH_CONNECTIONS = 3;
/** Keys, kept answers, opt-outs, templates: statements on a row or two, for which sends wait. */
export const LOOK_UP_CONNECTIONS = 4;
/** Keys that aren't in memory, whose customers are not known yet: guessed ones must not take all of them. */
export const KEY_LOADS_RUNNING_MAX = LOOK_UP_CONNECTIONS - 1;
/** Enough for as many customers who all begin at once, half a second's work. */
export const KEY_LOADS_WAITING_MAX = 1_000;
/** What customers read: lists, wallets, statements, pages of exports. */
export const READ_CONNECTIONS = 4;
/** What customers change besides sending: top-ups, cancellations, templates, opt-outs, replays. */
export const WRITE_CONNECTIONS = 4;
/** One-time codes: their counts, which are locked, and their verification. */
export const OTP_CONNECTIONS = 4;

/** Nonces of signed requests. */
export const NONCE_CONNECTIONS = 4;

/** Of the connections for look-ups, reads, writes, codes and nonces, so many serve one customer at once. */
export const CUSTOMER_RUNNING_MAX = 2;
/** What else it asks for waits; the last of them for 5 s, if each takes as long as a filtered list. */
export const CUSTOMER_WAITING_MAX = 200;

/**
 * So many requests of all customers have a connection of such a pool or wait for one; the last of them for
 * 2.5 s, if each takes 10 ms.
 */
export const TURNS_MAX = 1_000;

const SHARED = [LOOK_UP_CONNECTIONS, READ_CONNECTIONS, WRITE_CONNECTIONS, OTP_CONNECTIONS, NONCE_CONNECTIONS];
for (const connections of SHARED)
  assert(2 * CUSTOMER_RUNNING_MAX <= connections, "what one customer asks for leaves connections to others");
