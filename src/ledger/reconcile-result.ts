// What reconcile can answer: the invariants by name, drifts with their entries, and the closed union of
// results.

export const RECONCILE_INVARIANTS = [
  "balance_equals_entries",
  "reserved_equals_entries",
  "reserved_equals_leases_and_messages",
  "never_negative",
  "message_has_one_reserve",
  "message_close_matches_status",
  "entry_has_message",
  "topup_has_entry",
  "clickhouse_has_entry",
  "clickhouse_has_no_other_entry",
  "clickhouse_entry_is_equal",
  "clickhouse_sum_is_equal",
  "settled",
] as const;
export type Invariant = (typeof RECONCILE_INVARIANTS)[number];

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
  /** Event rows that wait in the outbox, of all customers. */
  events: number;
  /** Messages that are scheduled, queued or sending; `unknown` may last a day, and waits for nobody here. */
  messages: number;
};

export type ReconcileResult =
  | { kind: "clean"; checked: Checked; pending: Pending }
  | { kind: "drift"; checked: Checked; pending: Pending; drifts: Drift[] }
  | { kind: "could_not_check"; reason: string };

export const ENTRIES_NAMED_MAX = 20;
