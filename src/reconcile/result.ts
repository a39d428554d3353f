// The possible results of reconcile: the invariants by name, drifts with their entries, and the closed union
// of results. Also the scope of a check, and functions that build a drift.

import type { Entry } from "../core/ledger.ts";

export const RECONCILE_INVARIANTS = [
  "balance_equals_entries",
  "reserved_equals_entries",
  "reserved_equals_leases_and_messages",
  "never_negative",
  "lease_has_node",
  "message_has_one_reserve",
  "unreserved_is_free",
  "message_close_matches_status",
  "message_has_claim",
  "message_has_schedule",
  "message_has_operator",
  "submission_was_taken",
  "entry_has_message",
  "topup_has_entry",
  "adjustment_has_audit",
  "cap_counts_reserves",
  "key_has_owner",
  "change_is_told",
  "told_change_happened",
  "webhook_ends",
  "inbound_is_told",
  "clickhouse_has_entry",
  "clickhouse_has_no_other_entry",
  "clickhouse_entry_is_equal",
  "clickhouse_sum_is_equal",
  "clickhouse_has_status",
  "clickhouse_has_no_other_message",
  "clickhouse_status_is_equal",
  "reports_are_read",
  "settled",
] as const;
export type Invariant = (typeof RECONCILE_INVARIANTS)[number];

/** A range of customer ids, both ends included. */
export type CustomerRange = { low: number; high: number };
export const ALL_CUSTOMERS: CustomerRange = { low: 0, high: Number.MAX_SAFE_INTEGER };
export const isAllCustomers = ({ low, high }: CustomerRange): boolean =>
  low === ALL_CUSTOMERS.low && high === ALL_CUSTOMERS.high;

export type DriftEntry = { entry_id: string; op: string | null; amount: number | null; detail: string };
export type Drift = {
  invariant: Invariant;
  customer_id: string;
  detail: string;
  expected: number | string | null;
  found: number | string | null;
  /** The first ENTRIES_NAMED_MAX; `entries_total` counts all that were found. */
  entries: DriftEntry[];
  entries_total: number;
};
export type Checked = { customers: number; messages: number; entries: number; at: string };
export type Pending = {
  /** Entries that ClickHouse doesn't have yet. */
  entries: number;
  /** Messages whose present status ClickHouse doesn't have yet. */
  statuses: number;
  /** Events rows waiting in the outbox, of all customers. */
  events: number;
  /** Messages that are scheduled, queued or sending; not `unknown` ones, which may take a day. */
  messages: number;
};
/** What MySQL has and ClickHouse should have had for a while: to be sent again. */
export type Missing = { entries: Entry[]; messageIds: string[] };

export type ReconcileResult =
  | { kind: "clean"; checked: Checked; pending: Pending; resent: number }
  | { kind: "drift"; checked: Checked; pending: Pending; resent: number; drifts: Drift[] }
  /**
   * `tooLong`: the snapshot reached its time limit, and would again. `noReport`: ClickHouse didn't answer a
   * question, because it is away or because the question is too large.
   */
  | { kind: "could_not_check"; reason: string; tooLong?: true; noReport?: true };

export const ENTRIES_NAMED_MAX = 20;

/** A drift that lists no entries. */
export function driftOf(
  invariant: Invariant,
  customerId: number,
  detail: string,
  expected: Drift["expected"],
  found: Drift["found"],
): Drift {
  const customer_id = String(customerId);
  return { invariant, customer_id, detail, expected, found, entries: [], entries_total: 0 };
}

/** One drift that lists the first of these entries; empty if there are none. */
export function listed(
  invariant: Invariant,
  customerId: number,
  detail: string,
  entries: readonly DriftEntry[],
  total = entries.length,
): Drift[] {
  if (total === 0) return [];
  const named = entries.slice(0, ENTRIES_NAMED_MAX);
  return [{ ...driftOf(invariant, customerId, detail, 0, total), entries: [...named], entries_total: total }];
}
