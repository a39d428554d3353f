// What happened to one message, oldest first: its events from messages_log, with the operators that refused
// it on the way, and what operators reported too late to change it. `sending` is never an event, so the
// message's present row in MySQL is added if it is ahead of the log. Leaves finding the message to
// messages-list.ts. Bound: an event for each change of one message; late reports, one for each thing said of
// each of its submits.

import { ulidTimeMs } from "../core/id.ts";
import type { Status } from "../core/message.ts";
import type { LateReport } from "../ledger/late-reports.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import { CREATED_SLACK_MS } from "./messages-page.ts";

export type TimelineEntry = {
  status: string;
  attempt: number;
  operator: string | null;
  at: string;
  /** The message's `last_error` at that time, or why a late report says that it was not delivered. */
  error: string | null;
  /** The operators that refused it first: at this attempt or, for `queued`, at the one before. */
  refused: { operator: string; error: string; at: string }[];
  /** A report that came when the message had ended, or that another report preceded: it changed nothing. */
  late: boolean;
};
/** The message as it is in MySQL now. */
export type PresentState = {
  id: string;
  customerId: number;
  status: Status;
  sequence: number;
  attempt: number;
  operator: string | null;
  lastError: string | null;
  updatedAtMs: number;
};

/** A change of the message's status, and what happened on its way there, in Unix ms; null: nobody knows. */
export type PastChange = TimelineEntry & {
  sequence: number;
  relayedAtMs: number | null;
  claimedAtMs: number | null;
  takenAtMs: number | null;
};

/** Oldest first. @throws SluiceError reports_unavailable */
export async function changesOf(clickhouse: Clickhouse, present: PresentState): Promise<PastChange[]> {
  // Days are partitions: its own are read, not all that are kept.
  const madeMs = ulidTimeMs(present.id);
  const [from, to] = [Math.max(0, madeMs - CREATED_SLACK_MS), madeMs + CREATED_SLACK_MS];
  const rows = await clickhouse.query<EventRow>(
    `SELECT sequence, any(status) AS status, any(attempt) AS attempt, any(operator) AS operator,
       any(last_error) AS error, any(refused_by) AS refusedBy, any(refused_why) AS refusedWhy,
       any(refused_at_ms) AS refusedAtMs, any(relayed_ago) AS relayedAgo, any(claimed_ago) AS claimedAgo,
       any(taken_ago) AS takenAgo, toUnixTimestamp64Milli(any(updated_at)) AS at
     FROM messages_log WHERE customer_id = {customer:UInt64} AND id = {id:String}
       AND created_at >= fromUnixTimestamp64Milli({from:Int64})
       AND created_at < fromUnixTimestamp64Milli({to:Int64})
     GROUP BY sequence ORDER BY sequence`,
    { customer: present.customerId, id: present.id, from, to },
  );
  const changes = rows.map(changeOf);
  if ((changes.at(-1)?.sequence ?? -1) < present.sequence) changes.push(presentChange(present));
  return changes;
}

export function timelineOf(
  changes: readonly PastChange[],
  present: PresentState,
  late: readonly LateReport[],
): TimelineEntry[] {
  const entries: TimelineEntry[] = changes.map(
    ({ sequence: _, relayedAtMs: _r, claimedAtMs: _c, takenAtMs: _t, ...shown }) => shown,
  );
  // Events keep their order, whatever their clocks say; a late report comes after what happened before it.
  for (const { status, operator, error, receivedAtMs } of late) {
    const report = { ...entry(status, present.attempt, operator, receivedAtMs), error, late: true };
    const before = entries.findLastIndex(({ at }) => at <= report.at);
    entries.splice(before + 1, 0, report);
  }
  return entries;
}

type EventRow = {
  status: string;
  attempt: number;
  operator: string;
  sequence: number;
  error: string;
  refusedBy: string[];
  refusedWhy: string[];
  refusedAtMs: (string | number)[];
  relayedAgo: number;
  claimedAgo: number;
  takenAgo: number;
  at: string;
};

function changeOf(row: EventRow): PastChange {
  // One more than how long before it was; 0: nobody knows.
  const before = (ago: number) => (Number(ago) === 0 ? null : Number(row.at) - (Number(ago) - 1));
  return {
    sequence: Number(row.sequence),
    relayedAtMs: before(row.relayedAgo),
    claimedAtMs: before(row.claimedAgo),
    takenAtMs: before(row.takenAgo),
    ...entry(row.status, Number(row.attempt), row.operator, Number(row.at)),
    error: row.error === "" ? null : row.error,
    refused: row.refusedBy.map((operator, i) => ({
      operator,
      error: row.refusedWhy[i] ?? "",
      at: new Date(Number(row.refusedAtMs[i] ?? 0)).toISOString(),
    })),
  };
}

const presentChange = (present: PresentState): PastChange => ({
  sequence: present.sequence,
  relayedAtMs: null,
  claimedAtMs: null,
  takenAtMs: null,
  ...entry(present.status, present.attempt, present.operator ?? "", present.updatedAtMs),
  error: present.lastError,
});

const entry = (status: string, attempt: number, operator: string, atMs: number): TimelineEntry => ({
  status,
  attempt: attempt + 1,
  operator: operator === "" ? null : operator,
  at: new Date(atMs).toISOString(),
  error: null,
  refused: [],
  late: false,
});
