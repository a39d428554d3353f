// The bounds of webhooks that can't be configured, with their reasons; all others are in limits.ts.
// Invariant: the relations asserted at the end hold, or no process starts.

import assert from "node:assert/strict";
import { DRAIN_MS, MYSQL_ANSWER_MAX_MS } from "./limits.ts";

/** Characters of a callback_url and of a customer's own URL: columns of that width. */
export const CALLBACK_URL_CHARS_MAX = 500;
/** Of a URL's origin, which is part of an index: a DNS name has at most 253. */
export const CALLBACK_ORIGIN_CHARS_MAX = 300;
/** Characters of an event's body, a column of that width: an inbound message's text, escaped, and more. */
export const WEBHOOK_BODY_CHARS_MAX = 12_000;
/**
 * Characters of a URL with all that is put into it, and of a form: a delivery's body is one or the other. An
 * operator's id of a message alone may have 255 characters, each of which takes nine.
 */
export const CALLED_CHARS_MAX = 6_000;
/** Calls of a delivery that are remembered, the last ones: a column has room for so many. */
export const WEBHOOK_CALLS_KEPT_MAX = 60;
/** One call, from the look-up of the name to the last byte that is read. */
export const WEBHOOK_TIMEOUT_MS = 5_000;
/** Bytes of an answer that are read, so that its connection can be used again; more ends it. */
export const WEBHOOK_ANSWER_BYTES_MAX = 16 * 1024;
/** For this long a delivery is tried again; an endpoint at which nothing succeeds for as long is paused. */
export const WEBHOOK_RETRY_MS = 24 * 3_600_000;
/** An endpoint is not paused for fewer failures in a row: two in a quiet day say little. */
export const WEBHOOK_PAUSE_FAILURES_MIN = 10;
/** After this many failures in a row an endpoint gets one call at a time, at growing intervals. */
export const WEBHOOK_PROBE_FAILURES_MIN = 5;
/** Those intervals: the first, doubled by each further failure, up to the other. */
export const WEBHOOK_PROBE_FIRST_MS = 1_000;
export const WEBHOOK_PROBE_MAX_MS = 15 * 60_000;
/** How long what failed can be replayed, and an endpoint is known for which nothing comes. */
export const WEBHOOK_TTL_MS = 7 * 86_400_000;
/** Events are listed and can be replayed until they are as old as this: they fail after WEBHOOK_RETRY_MS. */
export const WEBHOOK_REPLAYABLE_MS = WEBHOOK_TTL_MS + WEBHOOK_RETRY_MS;
/**
 * A partition is dropped this long after the last event of its day: what is replayed at the end has all its
 * time, and a day more for its last call, which may wait for its endpoint or for the role.
 */
export const WEBHOOK_KEPT_MS = WEBHOOK_REPLAYABLE_MS + WEBHOOK_RETRY_MS + 86_400_000;
/** How long the secret before the present one still signs. */
export const WEBHOOK_OLD_SECRET_MS = 24 * 3_600_000;
/** Rows of webhook_events that one transaction turns into deliveries: 2,000 of them at most. */
export const WEBHOOK_EVENT_ROWS_MAX = 10;
/** Deliveries that one process holds of an endpoint at a time, some 1 KiB each. */
export const WEBHOOK_ENDPOINT_ROWS_MAX = 200;
/** Calls to one endpoint at the same time. */
export const WEBHOOK_ENDPOINT_CALLS_MAX = 8;
/** Endpoints that one process works on at a time. Slow ones have a share of their own, and no other. */
export const WEBHOOK_QUICK_ENDPOINTS_MAX = 128;
export const WEBHOOK_SLOW_ENDPOINTS_MAX = 64;
/** Of one customer, or a few more: its callback_urls may have any number of origins. */
export const WEBHOOK_CUSTOMER_ENDPOINTS_MAX = 16;
/** Endpoints of one customer, or a few more; further origins share one, so nobody fills the queue. */
export const WEBHOOK_ORIGINS_MAX = 500;
/** An endpoint whose calls take longer than this on average is slow. */
export const WEBHOOK_SLOW_MS = 1_000;
/** How long a process may work on an endpoint before another one takes it over. */
export const WEBHOOK_LEASE_MS = 40_000;
/** Within its lease no call begins later than this. */
export const WEBHOOK_START_MS = 20_000;
/** Deliveries that one request replays. */
export const WEBHOOK_REPLAY_MAX = 10_000;
/** Deliveries that one transaction replays, or ends when their endpoint is paused. */
export const WEBHOOK_CHUNK_ROWS_MAX = 500;

// ---- relations ----

assert(
  WEBHOOK_START_MS + WEBHOOK_TIMEOUT_MS + MYSQL_ANSWER_MAX_MS < WEBHOOK_LEASE_MS,
  "calls end and are settled while their endpoint is leased",
);
assert(
  2 * WEBHOOK_CUSTOMER_ENDPOINTS_MAX <= WEBHOOK_SLOW_ENDPOINTS_MAX / 2,
  "one customer leaves half of the places to others",
);
assert(WEBHOOK_TIMEOUT_MS + 2_000 < DRAIN_MS, "calls under way end, and are settled, while draining");
assert(CALLED_CHARS_MAX <= WEBHOOK_BODY_CHARS_MAX, "whatever is called fits the body of its delivery");
assert(
  WEBHOOK_REPLAYABLE_MS + WEBHOOK_RETRY_MS + WEBHOOK_PROBE_MAX_MS < WEBHOOK_KEPT_MS,
  "whatever is replayed has ended before it is dropped",
);
