// Reconcile's comparison with ClickHouse, by customer and day: decides which drift each difference is, and
// what must be sent again. Entries older than ClickHouse keeps them are compared by their sums; messages are
// compared for STATUS_DAYS. Leaves finding differences to compare.ts, and SQL to entries.ts and statuses.ts.

import type { LedgerOp } from "../core/ledger.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import { sleep } from "../platform/retry.ts";
import { type Books, type DaySum, dayOf } from "./books.ts";
import {
  daysThatDiffer,
  type Difference,
  differencesOf,
  type EventRow,
  paired,
  type Reached,
  sameSum,
  type Stream,
} from "./compare.ts";
import { entriesStream, entrySums, keyOf, type StreamDeps } from "./entries.ts";
import { type Drift, type DriftEntry, driftOf, type Invariant, listed, type Missing } from "./result.ts";
import { statusesStream, statusSums } from "./statuses.ts";

export type EventsCheck = {
  drifts: Drift[];
  pending: { entries: number; statuses: number };
  missing: Missing;
  /** ClickHouse's sums. */
  entryDays: DaySum[];
  statusDays: DaySum[];
};

const DAY_MS = 86_400_000;
// wallet_ledger's TTL is 30 days; before this day, where it may have begun to delete, stored sums are used.
const ENTRY_DAYS = 28;
/** Older messages have long been final. Both sides keep them for ever (docs/decisions/0035). */
const STATUS_DAYS = 90;
/** Messages summed by one statement, if they are of more than one day: some two seconds of one core. */
const SPAN_MESSAGES_MAX = 2_000_000;
/** The last one that ClickHouse's Date has. */
const LAST_DAY = "2149-06-06";

export type EventsOptions = {
  /** Ops whose entries are not reported. */
  hidden?: readonly LedgerOp[];
  /**
   * How long a tail is watched before it counts as lost; a broker that returns after an outage delivers it
   * within this time. 0: it stays pending.
   */
  confirmMs?: number;
};

/** Compares these books with ClickHouse. Call within the snapshot in which the books were read. */
export async function checkEvents(
  deps: StreamDeps,
  books: Books,
  { hidden = [], confirmMs = 0 }: EventsOptions = {},
): Promise<EventsCheck> {
  const todayMs = Math.floor(books.nowMs / DAY_MS) * DAY_MS;
  const firstDay = dayOf(todayMs - ENTRY_DAYS * DAY_MS);
  const entryDays = await entrySums(deps.clickhouse, books, firstDay);
  const recent = ({ day }: DaySum) => day >= firstDay;
  const entries = without(
    await compare(
      deps,
      entriesStream(deps, books),
      books,
      daysThatDiffer(books.entryDays.filter(recent), entryDays.filter(recent)),
      confirmMs,
    ),
    hidden,
  );
  const firstStatusDay = dayOf(todayMs - STATUS_DAYS * DAY_MS);
  const statusDays = await statusDaysOf(deps.clickhouse, books, firstStatusDay);
  const statuses = await compare(
    deps,
    statusesStream(deps, books),
    books,
    daysThatDiffer(
      books.statusDays.filter(({ day }) => day >= firstStatusDay),
      statusDays,
    ),
    confirmMs,
  );
  return {
    drifts: [
      ...oldSums(
        books.entryDays.filter((sum) => !recent(sum)),
        entryDays.filter((sum) => !recent(sum)),
      ),
      ...driftsOf(entries, ENTRIES),
      ...driftsOf(statuses, STATUSES),
    ],
    pending: { entries: entries.pending + entries.unread, statuses: statuses.pending + statuses.unread },
    missing: {
      entries: entries.resend.map(ledgerRowOf),
      messageIds: statuses.resend.map(({ eventId }) => eventId),
    },
    entryDays,
    statusDays,
  };
}

function without(found: Difference, hidden: readonly LedgerOp[]): Difference {
  if (hidden.length === 0) return found;
  const isShown = (row: EventRow) => !hidden.includes(row.value.split(" ")[0] as LedgerOp);
  const [missing, different, extra] = [found.missing, found.different, found.extra].map((rows) =>
    rows.filter(isShown),
  ) as [EventRow[], EventRow[], EventRow[]];
  return { ...found, missing, different, extra };
}

async function statusDaysOf(clickhouse: Clickhouse, books: Books, firstDay: string): Promise<DaySum[]> {
  const sums: DaySum[] = [];
  for (const [first, last] of spansOf(books.statusDays, firstDay))
    sums.push(...(await statusSums(clickhouse, books, first, last)));
  return sums;
}

// One statement for many days of a few customers, and one a day for many: ClickHouse can hold a day of all
// customers' messages in memory, and answers within the time that a client waits.
function spansOf(sums: readonly DaySum[], firstDay: string): [first: string, last: string][] {
  const counts = new Map<string, number>();
  for (const { day, count } of sums) counts.set(day, (counts.get(day) ?? 0) + count);
  const spans: [string, string][] = [];
  let [first, messages] = [firstDay, 0];
  for (const day of [...counts.keys()].filter((one) => one >= firstDay).sort()) {
    const count = counts.get(day) as number;
    if (messages > 0 && messages + count > SPAN_MESSAGES_MAX) {
      spans.push([first, dayOf(Date.parse(day) - DAY_MS)]);
      [first, messages] = [day, 0];
    }
    messages += count;
  }
  return [...spans, [first, LAST_DAY]];
}

async function compare(
  { clickhouse }: StreamDeps,
  stream: Stream,
  books: Books,
  { days, young }: { days: string[]; young: number },
  confirmMs: number,
): Promise<Difference> {
  const reached = await reachedOf(clickhouse, stream.topic);
  const found = await differencesOf(stream, books, days, reached);
  found.pending += young;
  if (found.tail.length === 0) return found;
  await sleep(confirmMs);
  const later = confirmMs === 0 ? reached : await reachedOf(clickhouse, stream.topic);
  if (confirmMs > 0 && later.quietMs >= reached.quietMs) found.missing.push(...found.tail);
  else found.pending += found.tail.length;
  return found;
}

/**
 * The topic has one partition, so anything older than the newest row that arrived is no longer on its way. A
 * ClickHouse that has just started doesn't count as quiet: it has yet to begin reading.
 */
async function reachedOf(clickhouse: Clickhouse, topic: Stream["topic"]): Promise<Reached> {
  const [row] = await clickhouse.query<{ newest: string; quiet: string }>(
    `SELECT toUnixTimestamp64Milli(least(max(newest_at), max(ingested_at))) AS newest,
       least(toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(max(ingested_at)),
         toInt64(uptime()) * 1000) AS quiet
     FROM freshness WHERE topic = {topic:String}`,
    { topic },
  );
  return { newestMs: Number(row?.newest ?? 0), quietMs: Number(row?.quiet ?? 0) };
}

function oldSums(mine: readonly DaySum[], theirs: readonly DaySum[]): Drift[] {
  return paired(mine, theirs).flatMap(({ mine: my, their }) => {
    if (sameSum(my, their)) return [];
    const { customerId, what, day } = (my ?? their) as DaySum;
    const detail = `${what} of ${day}`;
    return [driftOf("clickhouse_sum_is_equal", customerId, detail, my?.amount ?? 0, their?.amount ?? 0)];
  });
}

type Names = {
  what: string;
  missing: Invariant;
  different: Invariant;
  extra: Invariant;
  named: (row: EventRow) => DriftEntry;
};

const ENTRIES: Names = {
  what: "entries",
  missing: "clickhouse_has_entry",
  different: "clickhouse_entry_is_equal",
  extra: "clickhouse_has_no_other_entry",
  named: (row) => {
    const { entryId, op, amount } = ledgerRowOf(row);
    return { entry_id: entryId, op, amount, detail: new Date(row.atMs).toISOString() };
  },
};
const STATUSES: Names = {
  what: "message statuses",
  missing: "clickhouse_has_status",
  different: "clickhouse_status_is_equal",
  extra: "clickhouse_has_no_other_message",
  named: ({ eventId, value, order, atMs }) => ({
    entry_id: eventId,
    op: null,
    amount: null,
    detail: `${value} at sequence ${order}, ${new Date(atMs).toISOString()}`,
  }),
};

function driftsOf(found: Difference, { what, missing, different, extra, named }: Names): Drift[] {
  const drifts = [
    ...byCustomer(found.missing, missing, `${what} that ClickHouse lacks`, named),
    ...byCustomer(found.different, different, `${what} that differ in ClickHouse`, named),
    ...byCustomer(found.extra, extra, `${what} in ClickHouse that MySQL doesn't have`, named),
  ];
  if (found.unread > 0 && drifts.length > 0)
    drifts.push({
      ...driftOf(missing, 0, `${what} of seconds that differ, too many to read`, 0, found.unread),
      customer_id: "",
    });
  return drifts;
}

function byCustomer(
  rows: readonly EventRow[],
  invariant: Invariant,
  detail: string,
  named: Names["named"],
): Drift[] {
  return [...Map.groupBy(rows, ({ customerId }) => customerId)].flatMap(([customerId, group]) =>
    listed(invariant, customerId, detail, group.map(named)),
  );
}

function ledgerRowOf({ customerId, eventId, value, atMs }: EventRow): Missing["entries"][number] {
  const [entryId, leg] = keyOf(eventId);
  const [op, amount] = value.split(" ");
  const sides = { leg: leg === "close" ? "close" : "open", op: op as LedgerOp } as const;
  return { entryId, ...sides, customerId, amount: Number(amount), createdAtMs: atMs };
}
