// How far ClickHouse has read the events of each topic: up to the newest that came, but never past the time
// at which the last one came, or one event that a wrong clock dated tomorrow would be the newest for a day.
// Invariant: what reads it before its rows may be fresher than it says, but never staler. Bound: one row a
// topic, and one count.

import { type Clickhouse, hasNoTables } from "../platform/clickhouse.ts";
import { TOPICS } from "../platform/kafka/topics.ts";

export type EventTopic = "status" | "ledger";
export type Newest = { topic: EventTopic; ageS: number };

/** The age of the latest event of each topic, in seconds; topics without events are left out. */
export async function newestEvents(clickhouse: Clickhouse, nowMs: number): Promise<Newest[]> {
  const newest = await newestMs(clickhouse);
  return (["status", "ledger"] as const).flatMap((topic) => {
    const atMs = newest.get(TOPICS[topic]);
    return atMs === undefined ? [] : [{ topic, ageS: Math.max(0, (nowMs - atMs) / 1_000) }];
  });
}

/**
 * The time up to which the events of all these topics are there, RFC 3339 with milliseconds; null before the
 * first event of one of them. @throws SluiceError reports_unavailable
 */
export async function asOf(clickhouse: Clickhouse, topics: readonly EventTopic[]): Promise<string | null> {
  return timeOf(await asOfMs(clickhouse, topics));
}

/** The same in Unix milliseconds; 0 before the first event. @throws SluiceError reports_unavailable */
export async function asOfMs(clickhouse: Clickhouse, topics: readonly EventTopic[]): Promise<number> {
  const newest = await newestMs(clickhouse);
  return Math.min(...topics.map((topic) => newest.get(TOPICS[topic]) ?? 0));
}

/**
 * Whether ClickHouse is there with its tables, however busy it is: one that has come back with an empty disk
 * has none.
 */
export async function reportsAnswer(clickhouse: Clickhouse): Promise<boolean> {
  if (!(await clickhouse.ping())) return false;
  return newestMs(clickhouse).then(
    () => true,
    (error: unknown) => !hasNoTables(error),
  );
}

/** What `asOfMs` returned, as answers have it. */
export const timeOf = (ms: number): string | null => (ms === 0 ? null : new Date(ms).toISOString());

/** The time of the latest event, by the name of its topic. */
async function newestMs(clickhouse: Clickhouse): Promise<Map<string, number>> {
  const rows = await clickhouse.query<{ topic: string; at: string | number }>(
    "SELECT topic, toUnixTimestamp64Milli(least(max(newest_at), max(ingested_at))) AS at " +
      "FROM freshness GROUP BY topic",
  );
  return new Map(rows.map(({ topic, at }) => [topic, Number(at)]));
}

/** The number of records in the event topics that could not be parsed; they are stored unchanged. */
export async function badRecords(clickhouse: Clickhouse): Promise<number> {
  const [row] = await clickhouse.query<{ n: string | number }>("SELECT count() AS n FROM bad_records");
  return Number(row?.n ?? 0);
}
