// Checks that ClickHouse reads the event topics, and repairs its Kafka tables when it doesn't although it is
// up. Those tables hold librdkafka consumers, which, like a sender's, may be left without partitions when a
// broker comes back without its topics (sender/ownership.ts), and ClickHouse never asks for partitions again.
// Detaching and attaching a table creates a new consumer; offsets belong to the group, so nothing is lost or
// counted twice. States of a table: read → unread (a partition without a reader, or records wait while the
// group's offset stands still) → reattached after UNREAD_MS, and again each AGAIN_MS. Bound: one look every
// LOOK_MS, by one relay.

import type { Clickhouse } from "../platform/clickhouse.ts";
import type { TopicAdmin } from "../platform/kafka/topics.ts";
import type { Pool } from "../platform/mysql.ts";
import { withLock } from "../platform/named-lock.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";

export type ReportReadersDeps = PeriodicDeps & {
  pool: Pool;
  topics: Pick<TopicAdmin, "readers" | "offsets">;
  clickhouse: Pick<Clickhouse, "command">;
};
type Consumed = { topic: string; group: string };
export type ReportReadersOptions = {
  consumers: { status: Consumed; ledger: Consumed };
  unreadMs?: number;
  goneMs?: number;
};

const LOOK_MS = 5_000;
const LOOK_MAX_MS = 90_000;
/** Starting ClickHouse, and assigning partitions in a group, take some seconds. */
const UNREAD_MS = 20_000;
const AGAIN_MS = 60_000;
// Longer than the session timeout of its consumer (tools/clickhouse.xml): a consumer that returns earlier
// under its fixed name gets the assignment it had, which was empty.
const GONE_MS = 23_000;
const STOP_CHECK_MS = 250;

export function watchReportReaders(
  deps: ReportReadersDeps,
  { consumers, unreadMs = UNREAD_MS, goneMs = GONE_MS }: ReportReadersOptions,
): Periodic {
  const { pool, topics, clickhouse, timers, log } = deps;
  const tables = (["status", "ledger"] as const).map((of) => ({
    name: `kafka_${of}`,
    ...consumers[of],
    unreadSinceMs: null as number | null,
    offsets: "",
  }));
  const counts = deps.metrics.counts("sluice_relay", ["reattached_total"]);

  const look = async (table: (typeof tables)[number], signal: AbortSignal) => {
    const { partitions, isSettled, members } = await topics.readers(table.topic, table.group);
    const read = new Set(members.flatMap((member) => member.partitions));
    const found = (await topics.offsets(table.topic, table.group))?.partitions ?? [];
    const offsets = found.map(({ committed }) => committed).join();
    const waits = found.some(({ begin, end, committed }) => end !== (committed ?? begin));
    const standsStill = waits && offsets === table.offsets;
    table.offsets = offsets;
    if (partitions.every((partition) => read.has(partition)) && !standsStill) {
      table.unreadSinceMs = null;
      return;
    }
    const nowMs = timers.monotonicMs();
    table.unreadSinceMs ??= nowMs;
    if (!isSettled || nowMs - table.unreadSinceMs < unreadMs) return;
    table.unreadSinceMs = nowMs + AGAIN_MS - unreadMs;
    log.warn(
      { table: table.name, members },
      "ClickHouse has stopped reading this topic; reattaching its table",
    );
    // ATTACH also repairs a table that a relay left detached because it died between the two commands.
    await clickhouse.command(`DETACH TABLE IF EXISTS ${table.name}`);
    for (let ms = 0; ms < goneMs && !signal.aborted; ms += STOP_CHECK_MS) await timers.sleep(STOP_CHECK_MS);
    await clickhouse.command(`ATTACH TABLE IF NOT EXISTS ${table.name}`);
    counts.reattached_total++;
  };
  const options = { name: "report-readers", everyMs: LOOK_MS, runMaxMs: LOOK_MAX_MS };
  return startPeriodic(deps, options, async (signal) => {
    await withLock(pool, "report-readers", async () => {
      for (const table of tables) await look(table, signal);
    });
  });
}
