// The table of metrics: name, kind, meaning, labels, buckets and which processes have it. metrics.ts creates
// series from it only, docs/reference/metrics.md is written from it, and tests go through it. Names follow
// Prometheus's conventions: base units (seconds, bytes), `_total` for counters.
// Invariant: a label's values are a closed set, or come from a list that the process knows when it starts; no
// label ever holds a customer, a phone, a message or anything else from a request.
// Bound: linesMax of each row.

import { LETTER_SOURCES } from "../core/dead-letter.ts";
import { OPERATORS_MAX } from "../core/limits.ts";
import { LANES } from "../core/message.ts";
import { INBOUND_METRICS } from "./inbound-metrics.ts";
import { HTTP_LABELS, HTTP_SERIES_MAX, INGEST_METRICS } from "./ingest-metrics.ts";
import { LANE_METRICS } from "./lane-metrics.ts";
import { BUCKETS_S, counter, gauge, histogram, type Kind, type MetricRow } from "./metric-rows.ts";
import { WEBHOOK_METRICS } from "./webhook-metrics.ts";

/** Pools of MySQL connections; each serves work that must not wait behind the others. */
export const POOLS = [
  "commit",
  "lease",
  "watch",
  "look-up",
  "read",
  "write",
  "nonce",
  "otp",
  "reconcile",
  "relay",
  "sender",
  "inbox",
  "dlr",
  "webhook",
  "admin",
  "changes",
] as const;
export const QUERY_FAILURES = ["deadlock", "lock_wait", "lost", "other"] as const;
const OUTBOX_LANES = ["express", "normal", "events"] as const;
/** Topics whose consumer must keep up: the senders' lanes, and ClickHouse's events. */
export const CONSUMED_TOPICS = ["normal", "express", "status", "ledger"] as const;
const EVENT_TOPICS = ["status", "ledger"] as const;
/** How an operator answered one submit, as read by its connector. */
export const ANSWERS = ["accepted", "refused", "not-connected", "lost"] as const;
/** Answers that came after their request's time-out, and those that fit no outstanding request. */
export const UNEXPECTED_ANSWERS = ["late", "stray"] as const;
const check = { from: "names of the checks of `/ready`", max: 12 };
const name = { from: "periodic jobs of the process", max: 12 };
const invariant = { from: "invariants of reconcile", max: 40 };
const operator = { from: "operators of the routes file", max: OPERATORS_MAX };
/** And `other`, for one that the file doesn't name any more. */
const reporter = { from: "operators of the routes file, and `other`", max: OPERATORS_MAX + 1 };
/** What became of a delivery report: how it was read, whether its message was found, what it changed. */
export const REPORT_RESULTS = [
  "settled",
  "part",
  "late",
  "notice",
  "early",
  "nowhere",
  "unmatched",
  "crowded",
  "ambiguous",
  "foreign",
  "unreadable",
  "dropped",
] as const;

export const METRICS = {
  // ---- every process ----
  process_cpu_seconds_total: counter("all", "CPU time used by the process"),
  process_resident_memory_bytes: gauge("all", "resident memory of the process"),
  process_start_time_seconds: gauge("all", "Unix time at which the process started"),
  process_open_fds: gauge("all", "open files and sockets"),
  process_max_fds: gauge("all", "limit of open files and sockets"),
  sluice_build_info: gauge("all", "always 1; the labels name version, commit and runtime", {
    version: { from: "package.json", max: 1 },
    commit: { from: "the checkout's commit when the process started; empty without one", max: 1 },
    runtime: ["bun", "node"],
  }),
  sluice_log_lines_total: counter("all", "log lines of level warn, error or fatal", {
    level: ["warn", "error", "fatal"],
  }),
  sluice_event_loop_lag_seconds: histogram(
    "all",
    "how late a timer fired; measured ten times a second",
    BUCKETS_S,
  ),
  sluice_mysql_pool_connections: gauge("all", "size limit of the pool", { pool: POOLS }),
  sluice_mysql_pool_used: gauge("all", "connections in use", { pool: POOLS }),
  sluice_mysql_pool_waiting: gauge("all", "callers waiting for a connection", { pool: POOLS }),
  sluice_mysql_pool_wait_seconds: histogram("all", "how long a caller waited for a connection", BUCKETS_S, {
    pool: POOLS,
  }),
  sluice_mysql_errors_total: counter(
    "all",
    "failed statements; after a deadlock or lock wait the whole transaction is repeated",
    { pool: POOLS, error: QUERY_FAILURES },
  ),
  sluice_mysql_pool_lost_total: counter("all", "connections discarded after an error", { pool: POOLS }),
  sluice_clock_skew_seconds: gauge("all", "MySQL's clock minus this machine's, when last compared"),
  sluice_ready: gauge("all", "1 while /ready answers 200"),
  sluice_ready_check: gauge("all", "1 while this check of /ready is ok, 0 while it is degraded or down", {
    check,
  }),
  sluice_job_failed_total: counter("all", "runs of a periodic job that failed", { name }),
  sluice_job_age_seconds: gauge("all", "seconds since the last complete run of a periodic job", { name }),

  ...INGEST_METRICS,

  // ---- relay ----
  sluice_relay_rows_total: counter("relay", "outbox rows produced and deleted", { lane: OUTBOX_LANES }),
  sluice_relay_records_total: counter("relay", "records acknowledged by Kafka", { lane: OUTBOX_LANES }),
  sluice_relay_deferred_total: counter("relay", "outbox rows deferred because records failed", {
    lane: OUTBOX_LANES,
  }),
  sluice_relay_dead_total: counter("relay", "outbox rows with records that can never be produced", {
    lane: OUTBOX_LANES,
  }),
  sluice_relay_produce_duration_seconds: histogram(
    "relay",
    "from producing the records of a batch of rows to the last acknowledgement",
    BUCKETS_S,
    { lane: OUTBOX_LANES },
  ),
  sluice_outbox_rows: gauge("relay", "rows in the outbox, counted up to 10,000: due now, or later", {
    lane: OUTBOX_LANES,
    state: ["due", "later"],
  }),
  sluice_outbox_oldest_seconds: gauge("relay", "how long the oldest due row has been waiting", {
    lane: OUTBOX_LANES,
  }),
  sluice_consumer_lag_records: gauge("relay", "records of a topic that its readers have not finished yet", {
    topic: CONSUMED_TOPICS,
    partition: { from: "the topic's partitions", max: 64 },
  }),
  sluice_consumer_lag_seconds: gauge(
    "relay",
    "how long the oldest unfinished record of a topic has been waiting",
    {
      topic: CONSUMED_TOPICS,
    },
  ),
  sluice_clickhouse_newest_event_age_seconds: gauge(
    "relay",
    "age of the newest event in ClickHouse; also grows when there is no traffic",
    { topic: EVENT_TOPICS },
  ),
  sluice_clickhouse_bad_records: gauge(
    "relay",
    "records of the event topics that ClickHouse could not read, stored in `bad_records`",
  ),
  sluice_messages_unknown: gauge("relay", "messages that are `unknown`: their answer was lost"),
  sluice_partitions_ahead: gauge(
    "relay",
    "days after today that already have a partition, in the table that has the fewest",
  ),
  sluice_relay_scheduled_total: counter("relay", "scheduled messages queued at their time", { lane: LANES }),
  sluice_relay_scheduled_late_seconds: histogram("relay", "send_at until queued", BUCKETS_S, { lane: LANES }),
  sluice_relay_swept_total: counter("relay", "messages requeued because their record was lost"),
  sluice_relay_sweep_failed_total: counter(
    "relay",
    "messages refunded because their record was lost and no time was left",
  ),
  sluice_relay_reattached_total: counter(
    "relay",
    "ClickHouse tables reattached because they had stopped reading their topic",
  ),
  sluice_relay_sweeps_total: counter("relay", "completed sweeps"),
  sluice_relay_sweep_age_seconds: gauge(
    "relay",
    "age of the moment up to which the lane is proven to have lost no message",
    { lane: LANES },
  ),
  sluice_reconcile_customers_total: counter("relay", "customers whose books were checked in the background"),
  sluice_reconcile_messages_total: counter("relay", "messages checked for their reserve in the background"),
  sluice_reconcile_resent_total: counter("relay", "events sent again because the report had lost them"),
  sluice_reconcile_failed_total: counter(
    "relay",
    "steps of the background check that failed; they are tried again",
  ),
  sluice_reconcile_too_long_total: counter(
    "relay",
    "customers skipped because their check takes MySQL or ClickHouse too long",
  ),
  sluice_reconcile_cycles_total: counter(
    "relay",
    "completed cycles of the background check over all customers",
  ),
  sluice_reconcile_drifts_total: counter(
    "relay",
    "drifts found by the background check, counted again in each cycle while they last",
    { invariant },
  ),
  sluice_reconcile_step_duration_seconds: histogram(
    "relay",
    "duration of one step of the background check",
    BUCKETS_S,
  ),
  sluice_reconcile_active: gauge("relay", "1 in the process that runs the background check"),
  sluice_reconcile_cycle_age_seconds: gauge("relay", "seconds since the last full cycle ended"),
  sluice_reconcile_cycle_duration_seconds: gauge("relay", "duration of the last full cycle"),
  sluice_reconcile_cycle_drifts: gauge("relay", "drifts found by the last full cycle"),

  // ---- senders ----
  sluice_sender_read_total: counter("sender", "records read"),
  sluice_sender_skipped_total: counter(
    "sender",
    "records skipped, because their message was no longer queued at that attempt (duplicates, mostly)",
  ),
  sluice_sender_dead_total: counter("sender", "records that can't be read, kept as dead letters"),
  sluice_sender_sent_total: counter("sender", "messages that an operator took"),
  sluice_sender_captured_total: counter("sender", "messages whose cost was captured"),
  sluice_sender_refunded_total: counter("sender", "messages refunded, including late express ones"),
  sluice_sender_failed_total: counter("sender", "messages that failed: refused for good, or out of attempts"),
  sluice_sender_expired_total: counter("sender", "messages whose time was over before an operator took them"),
  sluice_sender_rejected_total: counter(
    "sender",
    "messages of mode async that nobody could pay for when they were to be sent",
  ),
  sluice_sender_requeued_total: counter("sender", "messages requeued for a later attempt"),
  sluice_sender_unknown_total: counter(
    "sender",
    "messages that became unknown because the operator's answer was lost",
  ),
  sluice_sender_late_total: counter("sender", "outcomes that arrived after their claim had expired"),
  sluice_sender_reported_total: counter("sender", "unknown messages settled by a late answer"),
  sluice_sender_looked_up_total: counter("sender", "times an operator was asked about an unknown message"),
  sluice_sender_reaped_total: counter("sender", "messages whose claim expired before they were settled"),
  sluice_sender_idle_ended_total: counter("sender", "transactions of sleeping processes that were ended"),
  sluice_sender_express_total: counter(
    "sender",
    "express messages by how they ended: taken in time, late or expired (both refunded), or not taken",
    { result: ["made", "missed", "failed"] },
  ),
  sluice_sender_accepted_to_taken_seconds: histogram(
    "sender",
    "from a message's acceptance to the answer of the operator that took it, including retries",
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600],
  ),
  sluice_sender_batch_duration_seconds: histogram(
    "sender",
    "from reading a batch to finishing it",
    BUCKETS_S,
  ),
  sluice_operator_submits_total: counter("sender", "answers to submits, by operator and kind", {
    operator,
    answer: ANSWERS,
  }),
  sluice_operator_submit_duration_seconds: histogram(
    "sender",
    "from a submit to its answer, or to the loss of the answer",
    BUCKETS_S,
    { operator },
  ),
  sluice_operator_binds: gauge("sender", "SMPP binds that are open; always 0 for other kinds", { operator }),
  sluice_operator_submits_in_flight: gauge("sender", "submits still waiting for an answer", { operator }),
  sluice_operator_unexpected_answers_total: counter(
    "sender",
    "SMPP answers that came after their request's time-out (late), or fit no outstanding request, such as " +
      "a second one (stray); always 0 for other kinds",
    { operator, answer: UNEXPECTED_ANSWERS },
  ),
  sluice_sender_unsettled: gauge("sender", "messages read but not settled yet"),
  sluice_sender_partitions: gauge("sender", "partitions of the lane that this process reads"),
  sluice_sender_partitions_unread: gauge("sender", "partitions of the lane that no sender reads"),
  sluice_sender_rejoins_total: counter(
    "sender",
    "times the sender asked its group again for partitions that nobody read",
  ),
  sluice_dlr_reports_total: counter(
    "dlr",
    "delivery reports by what became of them: settled a message or a part of it, late (its message had " +
      "ended), notice (ends nothing), early, nowhere, unmatched, crowded (not looked for by its recipient: " +
      "too many answers are lost), ambiguous (all five are tried again), foreign (no report), unreadable, " +
      "dropped after 24 h",
    { operator: reporter, result: REPORT_RESULTS },
  ),
  sluice_dlr_disagreeing_total: counter(
    "dlr",
    "delivery reports whose text and status field contradict each other",
    { operator: reporter },
  ),
  sluice_dlr_messages_total: counter("dlr", "messages that a delivery report ended, by status", {
    result: ["delivered", "undelivered"],
  }),
  sluice_dlr_report_age_seconds: histogram(
    "dlr",
    "from a report's arrival to the settlement of its message",
    [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3_600],
  ),
  ...INBOUND_METRICS,
  ...WEBHOOK_METRICS,
  sluice_inbox_rows: gauge("relay", "rows of the inbox, counted up to 10,000: due now, or later", {
    state: ["due", "later"],
  }),
  sluice_inbox_oldest_seconds: gauge("relay", "how long the oldest due row of the inbox has been waiting"),
  sluice_dead_letters: gauge("relay", "dead letters, counted up to 10,000", { source: LETTER_SOURCES }),
  sluice_operator_breaker_open: gauge("sender", "1 while the operator is avoided", { operator }),
  sluice_routes_reload_failed_total: counter(
    "routes",
    "times that the routes file was refused on SIGHUP; the one of before stays in use",
  ),
  sluice_routes_loaded_timestamp_seconds: gauge(
    "routes",
    "when the routes file in use was read, in seconds since 1970",
  ),
  sluice_routes_info: gauge("routes", "always 1; the label names the routes file in use", {
    sha256: { from: "the first 12 digits of its version, the SHA-256 of its text", max: 1 },
  }),
  ...LANE_METRICS,
} as const;
// A separate constant, because `satisfies` would widen the labels to any.
export const ROWS: Readonly<Record<string, MetricRow>> = METRICS;

type Table = typeof METRICS;
export type MetricName = keyof Table;
/** The names of the metrics of one kind. */
export type Named<K extends Kind> = {
  [N in MetricName]: Table[N]["kind"] extends K ? N : never;
}[MetricName];
/** The labels of a metric's series, each with one of its possible values. */
export type LabelsOf<N extends MetricName> = {
  [L in keyof Table[N]["labels"]]: Table[N]["labels"][L] extends readonly (infer V)[] ? V : string;
};

/** The maximum number of series of a metric. */
export function seriesMax({ labels }: MetricRow): number {
  const all = Object.values(labels).reduce((n, of) => n * ("max" in of ? of.max : of.length), 1);
  return labels === HTTP_LABELS ? Math.min(all, HTTP_SERIES_MAX) : all;
}

/** The maximum number of lines that a metric takes in /metrics. */
export function linesMax(row: MetricRow): number {
  return seriesMax(row) * (row.kind === "histogram" ? row.buckets.length + 3 : 1);
}
