// How far ClickHouse has read the events of each topic. Bound: one row a topic, and one count.

import type { Clickhouse } from "../platform/clickhouse.ts";
import { TOPICS } from "../platform/kafka/topics.ts";

export type EventTopic = "status" | "ledger";
export type Newest = { topic: EventTopic; ageS: number };

/** The age of the latest event of each topic, in seconds; topics without events are left out. */
export async function newestEvents(clickhouse: Clickhouse, nowMs: number): Promise<Newest[]> {
  const rows = await clickhouse.query<{ topic: string; at: string | number }>(
    "SELECT topic, toUnixTimestamp64Milli(max(newest_at)) AS at FROM freshness GROUP BY topic",
  );
  return (["status", "ledger"] as const).flatMap((topic) => {
    const row = rows.find((each) => each.topic === TOPICS[topic]);
    return row === undefined ? [] : [{ topic, ageS: Math.max(0, (nowMs - Number(row.at)) / 1_000) }];
  });
}

/** The number of records in the event topics that could not be parsed; they are stored unchanged. */
export async function badRecords(clickhouse: Clickhouse): Promise<number> {
  const [row] = await clickhouse.query<{ n: string | number }>("SELECT count() AS n FROM bad_records");
  return Number(row?.n ?? 0);
}
