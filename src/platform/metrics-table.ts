// The table of metrics: name, kind, meaning, labels, buckets and which processes have it. metrics.ts creates
// series from it only, docs/reference/metrics.md is written from it, and tests go through it. Names follow
// Prometheus's conventions: base units (seconds, bytes), `_total` for counters.
// Invariant: a label's values are a closed set, or come from a list that the process knows when it starts; no
// label ever holds a customer, a phone, a message or anything else from a request.
// Bound: linesMax of each row.

import { ERRORS } from "../core/errors.ts";
import { LANES } from "../core/message.ts";

/** A closed set of values; or where a process takes the values from, and how many there may be. */
export type LabelValues = readonly string[] | { from: string; max: number };
export type Labels = Readonly<Record<string, LabelValues>>;
export type Kind = "counter" | "gauge" | "histogram";
/** The processes that have the metric. */
export type MetricRole = "all" | "ingest" | "relay" | "sender";
export type MetricRow<K extends Kind = Kind, L extends Labels = Labels> = {
  kind: K;
  role: MetricRole;
  help: string;
  labels: L;
  /** Upper bounds, without the last one, +Inf. */
  buckets: readonly number[];
};

type None = Record<never, never>;
const none: None = {};
const counter = <const L extends Labels = None>(role: MetricRole, help: string, labels: L = none as L) =>
  ({ kind: "counter", role, help, labels, buckets: [] }) as const;
const gauge = <const L extends Labels = None>(role: MetricRole, help: string, labels: L = none as L) =>
  ({ kind: "gauge", role, help, labels, buckets: [] }) as const;
const histogram = <const L extends Labels = None>(
  role: MetricRole,
  help: string,
  buckets: readonly number[],
  labels: L = none as L,
) => ({ kind: "histogram", role, help, labels, buckets }) as const;

// From the duration of one fsync to the longest time a caller may wait.
const BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Methods that are not listed count as `other`. */
export const HTTP_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"] as const;
/**
 * Counted in place of an answer when the client left before anything was stored; nginx uses this number too.
 */
export const CALLER_GONE_CODE = 499;
/** The statuses that the API answers; others count as `other`. */
export const HTTP_CODES: readonly string[] = [
  ...new Set([
    "200",
    "202",
    String(CALLER_GONE_CODE),
    ...Object.values(ERRORS).map(({ status }) => String(status)),
  ]),
  "other",
];
const http = {
  route: { from: "paths of the API's routes, and `other`", max: 40 },
  method: HTTP_METHODS,
  code: HTTP_CODES,
};
/** Combinations of route, method and code that have occurred; any more are counted as `other`. */
export const HTTP_SERIES_MAX = 400;
/** Pools of MySQL connections; each serves work that must not wait behind the others. */
export const POOLS = ["commit", "ledger", "read", "reconcile", "relay", "sender"] as const;
export const QUERY_FAILURES = ["deadlock", "lock_wait", "lost", "other"] as const;
const OUTBOX_LANES = ["express", "normal", "events"] as const;
/** Topics whose consumer must keep up: the senders' lanes, and ClickHouse's events. */
export const CONSUMED_TOPICS = ["normal", "express", "status", "ledger"] as const;
const EVENT_TOPICS = ["status", "ledger"] as const;
const leaseOperation = { from: "what the lease store is asked for: grant and so on", max: 12 };
export const COMMIT_FAILURES = ["in_doubt", "fenced", "key_taken", "refused_data", "retried"] as const;
/** How an operator answered one submit, as read by its connector. */
export const ANSWERS = ["accepted", "refused", "not-connected", "lost"] as const;
const check = { from: "names of the checks of `/ready`", max: 12 };
const name = { from: "periodic jobs of the process", max: 12 };
const invariant = { from: "invariants of reconcile", max: 40 };
const operator = { from: "operators that the sender knows", max: 32 };

export const METRICS = {
  // ---- every process ----
  process_cpu_seconds_total: counter("all", "CPU time of this process"),
  process_resident_memory_bytes: gauge("all", "memory held by this process"),
  process_start_time_seconds: gauge("all", "Unix time this process started at"),
  process_open_fds: gauge("all", "open files and sockets"),
  process_max_fds: gauge("all", "how many may be open"),
  sluice_build_info: gauge("all", "1; which version it is, and on which runtime", {
    version: { from: "package.json", max: 1 },
    runtime: ["bun", "node"],
  }),
  sluice_log_lines_total: counter("all", "lines of the log that say that something went wrong", {
    level: ["warn", "error", "fatal"],
  }),
  sluice_event_loop_lag_seconds: histogram(
    "all",
    "how late a timer came that was due; taken ten times a second",
    BUCKETS_S,
  ),
  sluice_mysql_pool_connections: gauge("all", "connections that the pool may have", { pool: POOLS }),
  sluice_mysql_pool_used: gauge("all", "connections lent", { pool: POOLS }),
  sluice_mysql_pool_waiting: gauge("all", "callers that wait for a connection", { pool: POOLS }),
  sluice_mysql_pool_wait_seconds: histogram("all", "how long callers waited for a connection", BUCKETS_S, {
    pool: POOLS,
  }),
  sluice_mysql_errors_total: counter(
    "all",
    "statements that failed; deadlocks and lock waits are repeated with their transaction",
    { pool: POOLS, error: QUERY_FAILURES },
  ),
  sluice_mysql_pool_lost_total: counter("all", "connections thrown away after an error", { pool: POOLS }),
  sluice_ready: gauge("all", "1 while /ready answers 200"),
  sluice_ready_check: gauge("all", "1 while this check of /ready is ok, 0 when it is degraded or down", {
    check,
  }),
  sluice_job_failed_total: counter("all", "runs of a periodic job that failed", { name }),
  sluice_job_age_seconds: gauge("all", "since a periodic job last ran to its end", { name }),

  // ---- ingest ----
  sluice_http_requests_total: counter(
    "ingest",
    `answers of the API; code ${CALLER_GONE_CODE}: the client left, and nothing was stored`,
    http,
  ),
  sluice_http_request_duration_seconds: histogram(
    "ingest",
    "from a request's headers to its answer",
    BUCKETS_S,
    http,
  ),
  sluice_ingest_commits_total: counter("ingest", "group commits"),
  sluice_ingest_accepted_total: counter("ingest", "messages stored and charged"),
  sluice_ingest_in_doubt_total: counter("ingest", "commits whose connection was lost at COMMIT"),
  sluice_ingest_commit_rows: histogram(
    "ingest",
    "messages of one commit",
    [1, 2, 4, 8, 16, 32, 64, 128, 256],
  ),
  sluice_ingest_commit_duration_seconds: histogram(
    "ingest",
    "one commit, from its first statement to its outcome",
    BUCKETS_S,
  ),
  sluice_ingest_commit_failures_total: counter(
    "ingest",
    "commits that did not go through at once, by why; most go through when they are tried again",
    { reason: COMMIT_FAILURES },
  ),
  sluice_lease_operation_duration_seconds: histogram(
    "ingest",
    "transactions on leases, each for all customers that need it just then",
    BUCKETS_S,
    { operation: leaseOperation },
  ),
  sluice_lease_operation_failures_total: counter("ingest", "those transactions that failed", {
    operation: leaseOperation,
  }),
  sluice_lease_grants_total: counter("ingest", "leases that were given credit"),
  sluice_ingest_queue_messages: gauge("ingest", "messages admitted and not yet answered"),
  sluice_ingest_leases: gauge("ingest", "leases held"),
  sluice_ingest_waiting_for_credit: gauge("ingest", "messages that wait for a grant"),
  sluice_ingest_lease_credit: gauge("ingest", "unspent credit in the leases held, in minor units"),
  sluice_idempotency_replayed_total: counter(
    "ingest",
    "requests answered with what their Idempotency-Key answered before",
  ),

  sluice_topups_total: counter("ingest", "top-ups over the API: made, or known already", {
    result: ["made", "repeated"],
  }),
  sluice_clock_skew_seconds: gauge("ingest", "MySQL's clock minus this machine's, at the last look"),

  // ---- relay ----
  sluice_relay_rows_total: counter("relay", "outbox rows produced and deleted", { lane: OUTBOX_LANES }),
  sluice_relay_records_total: counter("relay", "records acknowledged by Kafka", { lane: OUTBOX_LANES }),
  sluice_relay_deferred_total: counter("relay", "outbox rows put off because records failed", {
    lane: OUTBOX_LANES,
  }),
  sluice_relay_dead_total: counter("relay", "outbox rows with records that can never be produced", {
    lane: OUTBOX_LANES,
  }),
  sluice_relay_produce_duration_seconds: histogram(
    "relay",
    "from handing over the records of some rows to the last acknowledgement",
    BUCKETS_S,
    { lane: OUTBOX_LANES },
  ),
  sluice_outbox_rows: gauge("relay", "rows of the outbox, 10,000 at most: due, or for later", {
    lane: OUTBOX_LANES,
    state: ["due", "later"],
  }),
  sluice_outbox_oldest_seconds: gauge("relay", "how long the oldest due row has waited", {
    lane: OUTBOX_LANES,
  }),
  sluice_consumer_lag_records: gauge("relay", "records of a topic that its readers have not finished", {
    topic: CONSUMED_TOPICS,
    partition: { from: "the topic's partitions", max: 64 },
  }),
  sluice_consumer_lag_seconds: gauge("relay", "how long the oldest of them has waited", {
    topic: CONSUMED_TOPICS,
  }),
  sluice_clickhouse_newest_event_age_seconds: gauge(
    "relay",
    "age of the newest event that ClickHouse has; it grows without traffic, too",
    { topic: EVENT_TOPICS },
  ),
  sluice_clickhouse_bad_records: gauge("relay", "records of the event topics that are no events"),
  sluice_messages_unknown: gauge("relay", "messages whose answer was lost, and that still wait for it"),
  sluice_partitions_ahead: gauge(
    "relay",
    "days after today that have a partition, in the table that has fewest",
  ),
  sluice_relay_swept_total: counter("relay", "messages queued again because their record was lost"),
  sluice_relay_sweep_failed_total: counter(
    "relay",
    "messages refunded because their record was lost and no attempt was left",
  ),
  sluice_relay_reattached_total: counter(
    "relay",
    "tables of ClickHouse attached anew because they had stopped reading their topic",
  ),
  sluice_relay_sweeps_total: counter("relay", "sweeps that reached their end"),
  sluice_relay_sweep_age_seconds: gauge(
    "relay",
    "since the moment up to which no message of the lane can be lost",
    { lane: LANES },
  ),
  sluice_reconcile_customers_total: counter("relay", "customers whose books were checked in the background"),
  sluice_reconcile_messages_total: counter("relay", "messages looked at for their reserve"),
  sluice_reconcile_resent_total: counter("relay", "events sent again because the report had lost them"),
  sluice_reconcile_failed_total: counter("relay", "steps that could not be checked; they are tried again"),
  sluice_reconcile_too_long_total: counter(
    "relay",
    "customers left out because their check took longer than it may",
  ),
  sluice_reconcile_cycles_total: counter("relay", "cycles over all customers"),
  sluice_reconcile_drifts_total: counter(
    "relay",
    "drifts found in the background, each cycle anew while they last",
    { invariant },
  ),
  sluice_reconcile_step_duration_seconds: histogram("relay", "one step over some customers", BUCKETS_S),
  sluice_reconcile_active: gauge("relay", "1 in the process that checks"),
  sluice_reconcile_cycle_age_seconds: gauge("relay", "since the end of the last full cycle"),
  sluice_reconcile_cycle_duration_seconds: gauge("relay", "how long the last full cycle took"),
  sluice_reconcile_cycle_drifts: gauge("relay", "drifts of the last full cycle"),

  // ---- senders ----
  sluice_sender_read_total: counter("sender", "records read"),
  sluice_sender_skipped_total: counter(
    "sender",
    "records whose message wasn't queued at their attempt: delivered twice, or ended",
  ),
  sluice_sender_dead_total: counter("sender", "records that can't be read, sent to sms.dlq"),
  sluice_sender_sent_total: counter("sender", "messages an operator took"),
  sluice_sender_captured_total: counter("sender", "messages whose cost was captured"),
  sluice_sender_refunded_total: counter("sender", "messages refunded, late express ones included"),
  sluice_sender_failed_total: counter("sender", "messages that ended unsent"),
  sluice_sender_requeued_total: counter("sender", "messages to be tried again later"),
  sluice_sender_unknown_total: counter("sender", "messages whose answer was lost"),
  sluice_sender_late_total: counter("sender", "outcomes that came after their claim had expired"),
  sluice_sender_reported_total: counter("sender", "messages settled by an answer after they were unknown"),
  sluice_sender_reaped_total: counter("sender", "messages whose claim expired"),
  sluice_sender_idle_ended_total: counter(
    "sender",
    "transactions of processes that sleep, ended to free their locks",
  ),
  sluice_sender_express_total: counter(
    "sender",
    "express messages whose end is known: taken in time, taken too late (refunded), or taken by nobody",
    { result: ["made", "missed", "failed"] },
  ),
  sluice_sender_accepted_to_taken_seconds: histogram(
    "sender",
    "from a message's acceptance to the operator's answer that it is taken, retries included",
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600],
  ),
  sluice_sender_batch_duration_seconds: histogram("sender", "from reading a batch to its end", BUCKETS_S),
  sluice_operator_submits_total: counter("sender", "answers to submits", { operator, answer: ANSWERS }),
  sluice_operator_submit_duration_seconds: histogram(
    "sender",
    "from a submit to its answer, or to the loss of it",
    BUCKETS_S,
    { operator },
  ),
  sluice_operator_submits_in_flight: gauge("sender", "submits without an answer yet", { operator }),
  sluice_sender_unsettled: gauge("sender", "messages read and not settled"),
  sluice_sender_partitions: gauge("sender", "partitions of its lane that this process reads"),
  sluice_sender_partitions_unread: gauge("sender", "partitions of its lane that no sender reads"),
  sluice_sender_dead_letters_waiting: gauge("sender", "records that can't be read and aren't in sms.dlq yet"),
  sluice_sender_rejoins_total: counter(
    "sender",
    "times the group was asked again for partitions that nobody read",
  ),
  sluice_operator_breaker_open: gauge("sender", "1 while the operator is avoided", { operator }),
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
  return labels === http ? Math.min(all, HTTP_SERIES_MAX) : all;
}

/** The maximum number of lines that a metric takes in /metrics. */
export function linesMax(row: MetricRow): number {
  return seriesMax(row) * (row.kind === "histogram" ? row.buckets.length + 3 : 1);
}
