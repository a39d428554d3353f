// Every bound that is not the operator's to set, with the reason beside it; what may be set is in the config
// table.
// Invariant: the relations at the end hold, or no process starts.

import assert from "node:assert/strict";

// ---- what a request may hold ----

/** The longest text escaped as \uXXXX is 9 KiB; 64 KiB leaves room for 1,000 phones of a batch. */
export const BODY_BYTES_MAX = 64 * 1024;

/**
 * Nesting of a JSON body, as written. The deepest documented one has 3; parsers recurse, so it is counted
 * first.
 */
export const JSON_DEPTH_MAX = 16;

/** Field errors of one answer: a body of 10,000 unknown fields must not be answered with a megabyte. */
export const FIELD_ERRORS_MAX = 50;

/** More parts are often dropped by handsets, and one typing error must not cost a wallet. */
export const TEXT_PARTS_MAX = 10;

/** `request_id` of a top-up, in characters; an indexed column. */
export const REQUEST_ID_CHARS_MAX = 128;

/** A customer's own `reference`, in characters. */
export const REFERENCE_CHARS_MAX = 128;

/** `from` as a name: 11 septets of the GSM 7-bit alphabet (3GPP TS 23.040, 9.1.2.5). */
export const FROM_SEPTETS_MAX = 11;

/** `from` at its longest: a number of 15 digits with its plus. */
export const FROM_CHARS_MAX = 16;

/** An operator's own id for a message; longer ones are cut. SMPP allows 64 (5.2.23). */
export const OPERATOR_MESSAGE_ID_CHARS_MAX = 64;

/** Name of an operator. */
export const OPERATOR_NAME_CHARS_MAX = 32;

/** A phone as typed, with spaces and brackets. */
export const PHONE_CHARS_MAX = 40;

/** ITU-T E.164, 6.2.1; with its plus it is the width of messages.phone. */
export const E164_DIGITS_MAX = 15;

export const LIST_LIMIT_DEFAULT = 50;
/** About 300 KB of rows, one read of an index. */
export const LIST_LIMIT_MAX = 1_000;

/** An opaque cursor: an id and a time in base64url, with room to grow. */
export const CURSOR_CHARS_MAX = 200;

// ---- ingest ----

/**
 * Rows of one group commit. MySQL runs one on one thread, so several of this size keep two cores busy where
 * large ones leave them waiting for each other (docs/decisions/0004).
 */
export const COMMIT_ROWS_MAX = 160;

/** Messages that wait for a commit in one process: under two seconds of work at 12,000/s, some 20 MB. */
export const QUEUE_ROWS_MAX = 20_000;

/**
 * One customer's share of that queue: a flood is refused while half of it is still free for everyone else.
 */
export const QUEUE_CUSTOMER_ROWS_MAX = 10_000;

/** Retries of a whole transaction after a deadlock or a lock wait (1213, 1205). */
export const TRANSACTION_ATTEMPTS_MAX = 8;

/** Keys held in memory; one is about 200 B. */
export const KEY_CACHE_MAX = 50_000;

/**
 * After so long no further try of a commit is begun, and its callers are told 503; the last try itself may
 * take MYSQL_ANSWER_MAX_MS more.
 */
export const COMMIT_WAIT_MAX_MS = 10_000;

/** A process looks so often which of its leases another one wants back; one small query. */
export const RECALL_POLL_MS = 50;

/** Who waits for recalled credit asks for it so often, under the wallet's lock. */
export const RECALL_STEP_MS = 20;

/**
 * How long a message waits for credit that another process holds before its caller is told 503. A live
 * process answers within RECALL_POLL_MS and a transaction or two; a dead one's leases have to expire.
 */
export const RECALL_WAIT_MAX_MS = 2_000;

/**
 * The least that SLUICE_LEASE_TTL_MS may be: a commit that waits for MySQL must not find its lease taken
 * back.
 */
export const LEASE_TTL_MIN_MS = 12_000;

/**
 * A lease without a message for this long goes back. Whoever needs its credit before that recalls it, so this
 * only keeps the table small; most customers of a busy gateway send less than one message in half a minute.
 */
export const LEASE_IDLE_MS = 15 * 60_000;

/** Leases in one process, some 300 B each. One more ends another that is idle. */
export const LEASES_MAX = 100_000;

/** `Idempotency-Key`, in characters: a column of the primary key. */
export const IDEMPOTENCY_KEY_CHARS_MAX = 255;

/** The largest answer kept for replay; those of send and top-up have some 350 bytes. */
export const STORED_ANSWER_BYTES_MAX = 2_000;

/** How long a key and its answer are kept. */
export const IDEMPOTENCY_TTL_MS = 24 * 3_600_000;

/** Keys deleted in one statement: a few milliseconds of row locks that nobody waits for. */
export const KEY_PURGE_ROWS_MAX = 1_000;

/** Clocks further from MySQL's than this make a process not ready. */
export const CLOCK_SKEW_MAX_MS = 1_000;

// ---- relay, sender ----

/** One events record: half of Kafka's default message.max.bytes (1 MiB), as lz4 is not counted on. */
export const EVENT_RECORD_BYTES_MAX = 512 * 1024;

/** Outbox rows a relay takes at once while they are small: at a low rate each holds a few messages. */
export const RELAY_ROWS_MAX = 128;

/**
 * A record that no broker took by then is given up for now and its outbox row waits: below DRAIN_MS, so that
 * stopping never waits longer for it, and below IDLE_TRANSACTION_MAX_MS, which would end the transaction that
 * holds the row.
 */
export const PRODUCE_TIMEOUT_MS = 8_000;

/** Transactions of a relay at once, over all lanes; its connections and the producer's queue follow. */
export const RELAY_TRANSACTIONS_MAX = 6;

/** Messages of one claim and one settlement: 66 µs a row at 200, 63 at 500, so more gains nothing. */
export const CLAIM_ROWS_MAX = 200;

/** A claim's life. Whatever is still `sending` then becomes `unknown`. */
export const CLAIM_TTL_MS = 30_000;

/** One submit to one operator, from connect to answer. */
export const SUBMIT_TIMEOUT_MS = 2_000;

/**
 * An answer that comes after its submit was given up, and its message `unknown`, is waited for so long: most
 * operators that are slow answer within seconds, and each wait keeps a connection.
 */
export const LATE_ANSWER_MAX_MS = 20_000;

/** Operators tried for one message within one claim. */
export const SUBMIT_OPERATORS_MAX = 3;

/** Attempts of one message (claims it may go through) before it is `failed` and refunded. */
export const MESSAGE_ATTEMPTS_MAX = 5;

/** The longest a message waits for its next attempt, by its outbox row's run_at. */
export const RETRY_DELAY_MAX_MS = 60_000;

/**
 * A transaction that holds locks and hears nothing from its process for this long is ended. Longer than the
 * relay holds its rows while Kafka takes a record or gives it up; short enough that a living sender that
 * waits for those locks still settles within its own claims.
 */
export const IDLE_TRANSACTION_MAX_MS = 12_000;

/**
 * How long a message is `queued` before the sweep may look for it, unless it is set. Longer than a commit may
 * take, because its row isn't in the outbox before. With less, as tests ask for, a commit that takes its
 * whole time could cost its messages an attempt; none is lost or sent twice.
 */
export const SWEEP_AFTER_MS = 90_000;

/** How long after its acceptance an operator may still deliver a message. */
export const VALID_FOR_MS = 72 * 3_600_000;

/** `unknown` at its limit becomes `failed` and is refunded. */
export const UNKNOWN_TTL_MS = 24 * 3_600_000;

/** Kafka's max.poll.interval.ms of the senders, unless it is set. */
export const POLL_INTERVAL_MAX_MS = 300_000;
/** The least that it may be set to. */
export const POLL_INTERVAL_MIN_MS = 155_000;

// ---- every process ----

/** The longest a statement waits for a row lock before its transaction is repeated (1205). */
export const MYSQL_LOCK_WAIT_MS = 5_000;

/** The longest a statement may take to be answered before its connection counts as lost. */
export const MYSQL_ANSWER_MAX_MS = 6_000;

/** SIGTERM to exit 0. */
export const DRAIN_MS = 10_000;

/** How long one status, health or ready check may take; the launcher's `status` answers within 2 s. */
export const HEALTH_TIMEOUT_MS = 1_000;

// ---- the longest lines of events, in bytes ----

// Names, quotes, ids and numbers at their widest (three numbers of 16 digits), counted by
// event-record.test.ts.
export const STATUS_LINE_FIXED_BYTES_MAX = 480;
// Control characters and lone surrogates are refused (labelProblem), so a UTF-16 unit is at most 3 bytes of
// UTF-8.
export const QUEUED_LINE_BYTES_MAX = STATUS_LINE_FIXED_BYTES_MAX + 3 * REFERENCE_CHARS_MAX;
export const OUTCOME_LINE_BYTES_MAX = QUEUED_LINE_BYTES_MAX + 3 * OPERATOR_MESSAGE_ID_CHARS_MAX;

// ---- relations ----

assert(COMMIT_ROWS_MAX * QUEUED_LINE_BYTES_MAX < EVENT_RECORD_BYTES_MAX, "a commit's events fit one record");
assert(
  CLAIM_ROWS_MAX * OUTCOME_LINE_BYTES_MAX < EVENT_RECORD_BYTES_MAX,
  "a settlement's events fit one record",
);
assert(FROM_CHARS_MAX === 1 + E164_DIGITS_MAX && FROM_SEPTETS_MAX < FROM_CHARS_MAX, "every sender fits");
assert(QUEUE_CUSTOMER_ROWS_MAX <= QUEUE_ROWS_MAX / 2, "one customer leaves half of the queue to others");
assert(COMMIT_ROWS_MAX < QUEUE_CUSTOMER_ROWS_MAX, "a customer alone can fill a commit");
assert(RECALL_POLL_MS * 10 < RECALL_WAIT_MAX_MS, "a live process gives credit back while it is waited for");
assert(COMMIT_WAIT_MAX_MS < LEASE_TTL_MIN_MS, "a lease outlives the wait of a commit that spends from it");
assert(
  LEASE_TTL_MIN_MS / 4 + MYSQL_ANSWER_MAX_MS < LEASE_TTL_MIN_MS,
  "a renewal that hangs once is repeated before the leases' time is over",
);
assert(QUEUE_ROWS_MAX < LEASES_MAX, "some lease is always idle when the table is full");
assert(MYSQL_LOCK_WAIT_MS < MYSQL_ANSWER_MAX_MS, "a lock wait ends before its connection does");
assert(
  MYSQL_ANSWER_MAX_MS < COMMIT_WAIT_MAX_MS,
  "a commit that hangs is looked up before its caller is told",
);
assert(SUBMIT_OPERATORS_MAX * SUBMIT_TIMEOUT_MS * 2 < CLAIM_TTL_MS, "submits and settlement fit a claim");
assert(
  MESSAGE_ATTEMPTS_MAX * CLAIM_TTL_MS < POLL_INTERVAL_MIN_MS && POLL_INTERVAL_MIN_MS < POLL_INTERVAL_MAX_MS,
  "retries never cost a sender its partitions",
);
assert(2 * IDLE_TRANSACTION_MAX_MS < CLAIM_TTL_MS, "a claim outlives the locks of a sleeping process");
assert(
  PRODUCE_TIMEOUT_MS < DRAIN_MS && PRODUCE_TIMEOUT_MS < IDLE_TRANSACTION_MAX_MS,
  "a produce ends before its process or its transaction is ended",
);
assert(
  COMMIT_WAIT_MAX_MS + MYSQL_ANSWER_MAX_MS < SWEEP_AFTER_MS && RETRY_DELAY_MAX_MS < SWEEP_AFTER_MS,
  "whatever is still to come into the outbox is not looked for",
);
assert(
  MESSAGE_ATTEMPTS_MAX * (CLAIM_TTL_MS + RETRY_DELAY_MAX_MS) < VALID_FOR_MS,
  "a message is submitted for the last time while it is valid",
);
assert(
  SUBMIT_TIMEOUT_MS + LATE_ANSWER_MAX_MS < UNKNOWN_TTL_MS,
  "a late answer comes while its message is unknown",
);
assert(CLAIM_TTL_MS < UNKNOWN_TTL_MS, "unknown outlives the claim that made it");
assert(SUBMIT_TIMEOUT_MS * 2 < DRAIN_MS, "a submit under way can be settled while draining");
