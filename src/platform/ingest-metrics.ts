// The rows of the API and of accepting in the table of metrics (metrics-table.ts).

import { ERRORS } from "../core/errors.ts";
import { BUCKETS_S, counter, gauge, histogram } from "./metric-rows.ts";

/** Methods that are not listed count as `other`. */
export const HTTP_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"] as const;
/** Counted in place of an answer when the client left before anything was stored; nginx uses it too. */
export const CALLER_GONE_CODE = 499;
/** The statuses that the API answers; others count as `other`. */
export const HTTP_CODES: readonly string[] = [
  ...new Set([
    "200",
    "201",
    "202",
    "304",
    String(CALLER_GONE_CODE),
    ...Object.values(ERRORS).map(({ status }) => String(status)),
  ]),
  "other",
];
export const HTTP_LABELS = {
  route: { from: "paths of the API's routes, and `other`", max: 40 },
  method: HTTP_METHODS,
  code: HTTP_CODES,
};
/** Combinations of route, method and code that have occurred; any more are counted as `other`. */
export const HTTP_SERIES_MAX = 400;
const leaseOperation = { from: "operations of the lease store: grant and so on", max: 12 };
export const COMMIT_FAILURES = ["in_doubt", "fenced", "key_taken", "refused_data", "retried"] as const;

export const INGEST_METRICS = {
  sluice_http_requests_total: counter(
    "http",
    `answers of the API; code ${CALLER_GONE_CODE}: the client left and nothing was stored`,
    HTTP_LABELS,
  ),
  sluice_http_request_duration_seconds: histogram(
    "http",
    "from a request's headers to its answer",
    BUCKETS_S,
    HTTP_LABELS,
  ),
  sluice_ingest_commits_total: counter("ingest", "group commits"),
  sluice_ingest_accepted_total: counter("ingest", "messages stored and charged"),
  sluice_ingest_stored_with_grant_total: counter(
    "ingest",
    "customers' first messages, stored by the transaction that granted their credit, not by a group commit",
  ),
  sluice_ingest_in_doubt_total: counter(
    "ingest",
    "commits whose connection was lost at COMMIT, so that their outcome had to be looked up",
  ),
  sluice_ingest_commit_rows: histogram(
    "ingest",
    "messages in one commit",
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024],
  ),
  sluice_ingest_commit_duration_seconds: histogram(
    "ingest",
    "duration of a commit, from its first statement to its outcome",
    BUCKETS_S,
  ),
  sluice_ingest_commit_failures_total: counter(
    "ingest",
    "commits that failed, by reason; most succeed when they are retried",
    { reason: COMMIT_FAILURES },
  ),
  sluice_lease_operation_duration_seconds: histogram(
    "ingest",
    "duration of a transaction on leases; each serves all customers that need it at that moment",
    BUCKETS_S,
    { operation: leaseOperation },
  ),
  sluice_lease_operation_failures_total: counter("ingest", "transactions on leases that failed", {
    operation: leaseOperation,
  }),
  sluice_lease_grants_total: counter("ingest", "grants of credit to leases"),
  sluice_ingest_queue_messages: gauge("ingest", "messages admitted but not yet answered"),
  sluice_ingest_leases: gauge("ingest", "leases held"),
  sluice_ingest_waiting_for_credit: gauge("ingest", "messages waiting for a grant"),
  sluice_ingest_lease_credit: gauge("ingest", "unspent credit in the held leases, in minor units"),
  sluice_idempotency_replayed_total: counter(
    "ingest",
    "requests answered with the stored answer of their Idempotency-Key",
  ),

  sluice_topups_total: counter("ingest", "top-ups over the API: newly made, or repeats", {
    result: ["made", "repeated"],
  }),
};
