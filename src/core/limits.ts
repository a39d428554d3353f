// Every bound that can't be configured, with its reason beside it; those of webhooks are in
// webhook-limits.ts, of batches in batch-limits.ts, of uploads and exports in stream-limits.ts, settings and
// their bounds in src/platform/config.ts.
// Invariant: the relations asserted at the end hold, or no process starts.

import assert from "node:assert/strict";

// ---- requests ----

/** The longest text, escaped as \uXXXX, is 9 KiB; 64 KiB leaves room for everything else. */
export const BODY_BYTES_MAX = 64 * 1024;

/**
 * Nesting of a JSON body. The deepest documented body has 3 levels. Parsers recurse, so the depth is checked
 * before parsing.
 */
export const JSON_DEPTH_MAX = 16;

/** Field errors in one answer: a body of 10,000 unknown fields must not be answered with a megabyte. */
export const FIELD_ERRORS_MAX = 50;

/** Language ranges of an Accept-Language that are read; browsers send up to a dozen. */
export const ACCEPT_LANGUAGE_RANGES_MAX = 32;

/** Handsets often drop longer messages, and one typing error must not empty a wallet. */
export const TEXT_PARTS_MAX = 10;

/** UTF-16 units of the longest text: TEXT_PARTS_MAX parts of 153 septets. */
export const TEXT_CHARS_MAX = TEXT_PARTS_MAX * 153;

/** Characters of a top-up's `request_id`, which is an indexed column. */
export const REQUEST_ID_CHARS_MAX = 128;

/** Characters of a customer's own `reference`: code points, see isReferenceLong. */
export const REFERENCE_CHARS_MAX = 128;

/** Length of an alphanumeric `from`: 11 septets of the GSM 7-bit alphabet (3GPP TS 23.040, 9.1.2.5). */
export const FROM_SEPTETS_MAX = 11;

/** The longest `from`: a number of 15 digits with its plus sign. */
export const FROM_CHARS_MAX = 16;

/** Characters of an operator's id for a message; longer ones are cut. SMPP allows 64 (5.2.23), some more. */
export const OPERATOR_MESSAGE_ID_CHARS_MAX = 255;

/** Characters of a message's `last_error`, printable ASCII: those of its column. */
export const REASON_CHARS_MAX = 100;

/** Of the reason of one operator that refused a message, in an event: SUBMIT_OPERATORS_MAX may have. */
export const REFUSAL_CHARS_MAX = 60;

/** Of an id in a delivery report: a longer one names no message, none being stored that long. */
export const REPORT_ID_CHARS_MAX = 255;

/** Entries or parameters of one delivery report by HTTP: more than any operator sends at once. */
export const REPORT_ENTRIES_MAX = 10_000;

/** Characters of an operator's name. */
export const OPERATOR_NAME_CHARS_MAX = 32;

/** Operators of a routes file: each is a value of a metric's label. */
export const OPERATORS_MAX = 32;

/** Characters of a phone as typed, with spaces and brackets. */
export const PHONE_CHARS_MAX = 40;

/** ITU-T E.164, 6.2.1; with its plus sign this is the width of messages.phone. */
export const E164_DIGITS_MAX = 15;

export const LIST_LIMIT_DEFAULT = 50;
/** About 300 KB of rows, one read of an index. */
export const LIST_LIMIT_MAX = 1_000;

/** Characters of an opaque cursor: an id and a time in base64url, with room to grow. */
export const CURSOR_CHARS_MAX = 200;

// ---- ingest ----

/**
 * Messages in one group commit. MySQL runs each commit on one thread, so several of this size keep two cores
 * busy, while larger ones would wait for each other (docs/decisions/0004).
 */
export const COMMIT_ROWS_MAX = 160;

/** Messages waiting for a commit in one process: under two seconds of work at 12,000/s, some 20 MB. */
export const QUEUE_ROWS_MAX = 20_000;

/** Attempts at a whole transaction after a deadlock or a lock wait (1213, 1205). */
export const TRANSACTION_ATTEMPTS_MAX = 8;

/** API keys held in memory, about 200 B each: as many as there can be leases (LEASES_MAX). */
export const KEY_CACHE_MAX = 100_000;

/**
 * After this time a commit is not tried again and its callers get a 503; the last try itself may take
 * MYSQL_ANSWER_MAX_MS more.
 */
export const COMMIT_WAIT_MAX_MS = 10_000;

/** How often a process looks for recalls of its leases; one small query. */
export const RECALL_POLL_MS = 50;

/** How often a process that waits for recalled credit asks for it again, under the wallet's lock. */
export const RECALL_STEP_MS = 20;

/**
 * How long a message waits for credit held by another process before its caller gets a 503. A live process
 * returns it within RECALL_POLL_MS and a transaction or two; a dead one's leases have to expire.
 */
export const RECALL_WAIT_MAX_MS = 2_000;

/** The least value of SLUICE_LEASE_TTL_MS: a lease must outlive a commit that waits for MySQL. */
export const LEASE_TTL_MIN_MS = 12_000;

/**
 * A lease unused for this long is returned. Whoever needs its credit earlier recalls it, so this only keeps
 * the table small; most customers of a busy gateway send less than one message in half a minute.
 */
export const LEASE_IDLE_MS = 15 * 60_000;

/**
 * Leases in one process, some 300 B each. When the table is full, a new one takes the place of an idle one.
 */
export const LEASES_MAX = 100_000;

/**
 * How long a stopping process returns leases, counted from the beginning of its stop; what is left then is
 * reaped by others. Some 50,000 leases at the 130 µs each that were measured, so a full table takes longer.
 */
export const LEASES_RETURN_MAX_MS = 6_000;

/** Characters of an `Idempotency-Key`, a column of the primary key. */
export const IDEMPOTENCY_KEY_CHARS_MAX = 255;

/** An answer of at most this many bytes is stored in its key's own row; send's and top-up's have some 350. */
export const SHORT_ANSWER_BYTES_MAX = 2_000;

/** How long an idempotency key and its answer are kept. */
export const IDEMPOTENCY_TTL_MS = 24 * 3_600_000;

/** Idempotency keys deleted in one statement: row locks of a few milliseconds that nobody waits for. */
export const KEY_PURGE_ROWS_MAX = 1_000;

/** A process whose clock differs from MySQL's by more than this is not ready. */
export const CLOCK_SKEW_MAX_MS = 1_000;

// ---- relay, sender ----

/** One events record: half of Kafka's default message.max.bytes (1 MiB), without relying on compression. */
export const EVENT_RECORD_BYTES_MAX = 512 * 1024;

/** Outbox rows that a relay takes at once while they are small: at low rates each holds a few messages. */
export const RELAY_ROWS_MAX = 128;

/**
 * How long a produce may take before the record is given up for now and its outbox row waits. Below DRAIN_MS,
 * so that a stopping relay never waits longer for it; below IDLE_TRANSACTION_MAX_MS, after which the
 * transaction that holds the row would be ended.
 */
export const PRODUCE_TIMEOUT_MS = 8_000;

/** Concurrent transactions of one relay, over all lanes; sizes its connections and the producer's queue. */
export const RELAY_TRANSACTIONS_MAX = 6;

/** Messages in one claim and in one settlement: 66 µs a row at 200, 63 at 500, so more gains nothing. */
export const CLAIM_ROWS_MAX = 200;

/**
 * Batches that a sender has under way: what one of its workers runs at once. A link has no more of them than
 * are still free (docs/decisions/0015), so one alone has half of them.
 */
export const SENDER_BATCHES_MAX = 32;

/**
 * Records that wait in a sender for a batch, if they are all of one link: a second of its work, some 2 MB. A
 * link has no more of them than are still free, and all links together have less than twice as many.
 */
export const SENDER_QUEUE_MAX = 20 * CLAIM_ROWS_MAX;

/**
 * Of one customer and link: a quarter of a second of a sender that works for it alone. What it has beyond
 * that would make others wait in Kafka's partitions, which are read in order.
 */
export const CUSTOMER_QUEUE_DEFAULT = 5 * CLAIM_ROWS_MAX;

/**
 * Records that a sender has read while an earlier one of their partition is not done: some 20 MB. Only if
 * operators are away for long while much is held are there so many.
 */
export const OFFSETS_OPEN_MAX = 50 * SENDER_QUEUE_MAX;

/** Lifetime of a claim. Messages still `sending` after it become `unknown`. */
export const CLAIM_TTL_MS = 30_000;

/** Time for one submit to one operator, from connect to answer. */
export const SUBMIT_TIMEOUT_MS = 2_000;

/**
 * The least time that may be promised for express. No submit starts later than SUBMIT_TIMEOUT_MS before the
 * promised time, so what is left is for the way there.
 */
export const EXPRESS_PROMISE_MIN_MS = 3_000;

/** The most that may be set as the largest promise for express. */
export const EXPRESS_PROMISE_MOST_MS = 600_000;

/**
 * What a sender says of its lane's wait while operators take none of its messages, or less than half of them.
 * Nobody knows how long that lasts: it is so long that nothing is promised, whatever the largest promise is.
 */
export const NOT_TAKEN_WAIT_MS = 300_000;

/**
 * After a submit was given up and its message became `unknown`, this is how long its answer is still waited
 * for: most slow operators answer within seconds, and each wait keeps a connection open.
 */
export const LATE_ANSWER_MAX_MS = 20_000;

/** Operators tried for one message within one claim. */
export const SUBMIT_OPERATORS_MAX = 3;

/**
 * Attempts (claims) of one message before it is `failed` and refunded. Its time is over long before: this
 * only keeps its sequence within its column, whatever requeues it.
 */
export const MESSAGE_ATTEMPTS_MAX = 1_000;

/**
 * The longest delay before a message's next attempt, set by its outbox row's run_at: an operator that is back
 * gets what waited for it within minutes, and a message that waits for days costs some hundred attempts.
 */
export const RETRY_DELAY_MAX_MS = 15 * 60_000;

/**
 * A transaction that holds locks but whose process has been silent for this long is ended. Longer than the
 * relay holds its rows while Kafka accepts a record or gives up; short enough that a live sender which waits
 * for those locks can still settle within its own claims.
 */
export const IDLE_TRANSACTION_MAX_MS = 12_000;

/**
 * Default age at which the sweep may look for a message that is still `queued`. Longer than a commit may
 * take, because the outbox row is not there before. With less, as tests set it, a commit that takes its whole
 * time could cost its messages an attempt; none is lost or sent twice.
 */
export const SWEEP_AFTER_MS = 90_000;

/**
 * How long after its acceptance a message may still be sent and delivered, unless it says less (`valid_for`).
 * Most operators keep a message for no longer.
 */
export const VALID_FOR_MS = 72 * 3_600_000;

/** The least `valid_for`: time for a claim whose sender died, and for attempts on either side of it. */
export const VALID_FOR_MIN_MS = 60_000;

/** How long a message may be `unknown` before it is `failed` and refunded. */
export const UNKNOWN_TTL_MS = 24 * 3_600_000;

/** Default of the senders' max.poll.interval.ms for Kafka. */
export const POLL_INTERVAL_MAX_MS = 300_000;
/** The least value it may be set to. */
export const POLL_INTERVAL_MIN_MS = 155_000;

// ---- every process ----

/** The longest a statement waits for a row lock before its transaction is repeated (1205). */
export const MYSQL_LOCK_WAIT_MS = 5_000;

/** The longest a statement may take to answer before its connection counts as lost. */
export const MYSQL_ANSWER_MAX_MS = 6_000;

/** The longest from SIGTERM to exit 0. */
export const DRAIN_MS = 10_000;

/** How long a stopping sender still begins submits: a link that isn't slow takes all that is claimed. */
export const DRAIN_SUBMITS_MS = 1_000;

/** How long one status, health or ready check may take; the launcher's `status` answers within 2 s. */
export const HEALTH_TIMEOUT_MS = 1_000;

// ---- operators' delivery reports ----

/** One request or PDU with reports: larger ones are refused (413). Some 3,000 entries of a usual shape. */
export const REPORT_BYTES_MAX = 1024 * 1024;
/** Reports in one row of the inbox, which are settled in one transaction. */
export const INBOX_ROW_REPORTS_MAX = 100;
/** Bytes of a row, unless a single report is larger; in hex it is twice as long. */
export const INBOX_ROW_BYTES_MAX = 256 * 1024;
/** Reports of one process that wait for the row under way: a second of a fast operator's. */
export const INBOX_WAITING_MAX = 10_000;
export const INBOX_WAITING_BYTES_MAX = 32 * 1024 * 1024;
/** For this long a report whose message is not found is tried again. */
export const REPORT_TTL_MS = 24 * 3_600_000;
/** How long it is kept that an operator may report on a message, where nothing else says so. */
export const LOST_TTL_MS = 2 * REPORT_TTL_MS;
/** How long after its last submit a message is found by its operator's id, at least (SUBMISSION_KEPT_MS). */
export const SUBMISSION_TTL_MS = 7 * 86_400_000;

// ---- dead letters ----

/**
 * How long bytes that can't be read or sent are kept, for whoever runs Sluice to decide about them: an
 * operator whose reports all become letters must not fill the disk.
 */
export const DEAD_LETTER_TTL_MS = 7 * 86_400_000;
/** Letters that one command lists or requeues. */
export const LETTERS_AT_ONCE_MAX = 1_000;
/** Letters deleted in one statement. */
export const LETTER_PURGE_ROWS_MAX = 1_000;

// ---- the longest lines of events, in bytes ----

// Names, quotes, ids and numbers at their longest (three numbers of 16 digits), verified by
// event-record.test.ts.
export const STATUS_LINE_FIXED_BYTES_MAX = 430;
// labelProblem refuses control characters and lone surrogates, so a character takes at most 4 bytes of UTF-8.
export const QUEUED_LINE_BYTES_MAX = STATUS_LINE_FIXED_BYTES_MAX + 4 * REFERENCE_CHARS_MAX;
// Why it came to a change: names, brackets and times, and reasons that double when they are escaped.
const REFUSAL_BYTES_MAX = 2 * REFUSAL_CHARS_MAX + OPERATOR_NAME_CHARS_MAX + 24;
const WHY_BYTES_MAX = 100 + 2 * REASON_CHARS_MAX + SUBMIT_OPERATORS_MAX * REFUSAL_BYTES_MAX;
/** Three names, and numbers of 10 digits. */
const PASSED_BYTES_MAX = 3 * 28;
export const OUTCOME_LINE_BYTES_MAX =
  QUEUED_LINE_BYTES_MAX + 3 * OPERATOR_MESSAGE_ID_CHARS_MAX + WHY_BYTES_MAX + PASSED_BYTES_MAX;

// ---- relations ----

assert(COMMIT_ROWS_MAX * QUEUED_LINE_BYTES_MAX < EVENT_RECORD_BYTES_MAX, "a commit's events fit one record");
assert(
  CLAIM_ROWS_MAX * OUTCOME_LINE_BYTES_MAX < EVENT_RECORD_BYTES_MAX,
  "a settlement's events fit one record",
);
assert(OPERATOR_MESSAGE_ID_CHARS_MAX <= REPORT_ID_CHARS_MAX, "whatever is stored can be reported");
assert(FROM_CHARS_MAX === 1 + E164_DIGITS_MAX && FROM_SEPTETS_MAX < FROM_CHARS_MAX, "every sender fits");
assert(8 * COMMIT_ROWS_MAX < QUEUE_ROWS_MAX, "a customer alone can fill commits");
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
  5 * CLAIM_TTL_MS < POLL_INTERVAL_MIN_MS && POLL_INTERVAL_MIN_MS < POLL_INTERVAL_MAX_MS,
  "a batch that hangs for several claims' time never costs a sender its partitions",
);
assert(CUSTOMER_QUEUE_DEFAULT <= SENDER_QUEUE_MAX / 4, "one customer leaves most of a sender to others");
assert(SUBMIT_TIMEOUT_MS + 1_000 <= EXPRESS_PROMISE_MIN_MS, "express has a second to reach a sender");
assert(
  2 * NOT_TAKEN_WAIT_MS + SUBMIT_TIMEOUT_MS > EXPRESS_PROMISE_MOST_MS,
  "while operators take nothing, nothing is promised",
);
assert(2 * IDLE_TRANSACTION_MAX_MS < CLAIM_TTL_MS, "a claim outlives the locks of a sleeping process");
assert(
  PRODUCE_TIMEOUT_MS < DRAIN_MS && PRODUCE_TIMEOUT_MS < IDLE_TRANSACTION_MAX_MS,
  "a produce ends before its process or its transaction is ended",
);
assert(
  COMMIT_WAIT_MAX_MS + MYSQL_ANSWER_MAX_MS < SWEEP_AFTER_MS,
  "whatever is still to come into the outbox is not looked for",
);
// Jitter halves a delay at most. The first delays are shorter: some ten attempts in a quarter of an hour.
assert(
  (2 * VALID_FOR_MS) / RETRY_DELAY_MAX_MS + 50 < MESSAGE_ATTEMPTS_MAX,
  "a message is out of time before it is out of attempts",
);
assert(
  CLAIM_TTL_MS < VALID_FOR_MIN_MS && VALID_FOR_MIN_MS < VALID_FOR_MS,
  "a message outlives the claim of a sender that died",
);
assert(
  SUBMIT_TIMEOUT_MS + LATE_ANSWER_MAX_MS < UNKNOWN_TTL_MS,
  "a late answer comes while its message is unknown",
);
assert(CLAIM_TTL_MS < UNKNOWN_TTL_MS, "unknown outlives the claim that made it");
assert(
  VALID_FOR_MS + UNKNOWN_TTL_MS + REPORT_TTL_MS < SUBMISSION_TTL_MS,
  "a report that is still tried finds its submit",
);
assert(
  INBOX_ROW_BYTES_MAX <= REPORT_BYTES_MAX && REPORT_BYTES_MAX < INBOX_WAITING_BYTES_MAX,
  "the largest report can wait and has a row of its own",
);
assert(
  LEASES_RETURN_MAX_MS + 3_000 < DRAIN_MS,
  "after the leases there is time to finish answers and close connections",
);
assert(
  DRAIN_SUBMITS_MS + SUBMIT_TIMEOUT_MS * 2 + 3_000 < DRAIN_MS,
  "a submit under way, and what is given up, can be settled while draining",
);
