// Gauges of everything that waits: outbox rows and their age, how far senders and ClickHouse are behind,
// messages without an answer, partitions made ahead. Sampling costs queries, so only the relay that holds a
// lock does it, slowly and in the background; a scrape reads the latest sample.
// States: standby (another relay samples) → sampling → standby when an engine fails. Invariant: what can't be
// sampled is absent from the metrics; old values are never shown. Bound: one sample each SAMPLE_MS, by
// statements that backlog-rows.ts bounds.

import { LETTER_SOURCES, type LetterSource } from "../core/dead-letter.ts";
import { LANES as MESSAGE_LANES } from "../core/message.ts";
import { countLetters } from "../ledger/dead-letters.ts";
import type { TopicAdmin } from "../platform/kafka/topics.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { CONSUMED_TOPICS } from "../platform/metrics-table.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { withLock } from "../platform/named-lock.ts";
import { sleep } from "../platform/retry.ts";
import { partitionDaysAhead } from "../schema/partitions.ts";
import { badRecords, newestEvents, type Newest } from "../reports/freshness.ts";
import {
  type HeldRows,
  heldRows,
  type InboxRows,
  inboxRows,
  type LaneRows,
  laneRows,
  unknownMessages,
} from "./backlog-rows.ts";
import { createLagMeter, type Lag } from "./lag.ts";
import type { OutboxLane } from "./lanes.ts";

export type ConsumedTopic = (typeof CONSUMED_TOPICS)[number];
export type BacklogDeps = {
  pool: Pool;
  topics: Pick<TopicAdmin, "offsets">;
  clickhouse: Clickhouse;
  metrics: Metrics;
  log: Log;
  now: () => number;
  monotonicMs: () => number;
};
export type BacklogOptions = {
  consumers: Readonly<Record<ConsumedTopic, { topic: string; group: string }>>;
  /** Interval between samples. */
  sampleMs?: number;
};
export type Backlog = { stop(): Promise<void> };

const SAMPLE_MS = 5_000;
const STANDBY_MS = 5_000;
const STOP_CHECK_MS = 100;
/** What changes only by the hour is sampled once in this many samples. */
const SLOW_LOOKS = 12;
const LANES: readonly OutboxLane[] = ["express", "normal", "events"];

type Consumed = { topic: ConsumedTopic; lags: Lag[]; seconds: number };
type Sampled = {
  rows: LaneRows[];
  held: HeldRows[];
  inbox: InboxRows;
  letters: Record<LetterSource, number>;
  consumed: Consumed[];
  unknown: number | null;
  daysAhead: number | null;
  newest: Newest[];
  bad: number | null;
};

export function startBacklog(deps: BacklogDeps, options: BacklogOptions): Backlog {
  const { pool, log } = deps;
  const { sampleMs = SAMPLE_MS } = options;
  let sampled: Sampled | null = null;
  let stopping = false;
  expose(deps.metrics, () => sampled);

  const pause = async (ms: number) => {
    for (let waitedMs = 0; waitedMs < ms && !stopping; waitedMs += STOP_CHECK_MS) await sleep(STOP_CHECK_MS);
  };
  const hold = async (conn: Connection) => {
    const look = createLook(deps, options);
    while (!stopping) {
      sampled = await look(conn);
      await pause(sampleMs);
    }
  };
  const loop = async () => {
    while (!stopping) {
      try {
        await withLock(pool, "backlog", hold);
      } catch (err) {
        log.debug({ err }, "can't sample the backlog: the database failed");
      }
      sampled = null;
      await pause(STANDBY_MS);
    }
  };
  const done = loop();
  return {
    async stop() {
      stopping = true;
      await done;
    },
  };
}

function createLook(
  deps: BacklogDeps,
  { consumers }: BacklogOptions,
): (conn: Connection) => Promise<Sampled> {
  const { topics, clickhouse, log, now, monotonicMs } = deps;
  const meters = CONSUMED_TOPICS.map((topic) => ({ topic, meter: createLagMeter(monotonicMs) }));
  let looks = 0;
  let slow: Pick<Sampled, "unknown" | "daysAhead"> = { unknown: null, daysAhead: null };

  const consumed = async (): Promise<Consumed[]> => {
    const all: Consumed[] = [];
    for (const { topic, meter } of meters) {
      const offsets = await topics.offsets(consumers[topic].topic, consumers[topic].group);
      if (offsets !== null) all.push({ topic, ...meter.saw(offsets) });
    }
    return all;
  };
  // While Kafka or ClickHouse is away, its figures are left out and the others continue.
  const orNone = <T>(what: string, all: Promise<T[]>): Promise<T[]> =>
    all.catch((err: unknown) => {
      log.debug({ err }, `can't sample ${what}`);
      return [];
    });
  return async (conn) => {
    if (looks++ % SLOW_LOOKS === 0)
      slow = { unknown: await unknownMessages(conn), daysAhead: await partitionDaysAhead(conn, now()) };
    const rows: LaneRows[] = [];
    for (const lane of LANES) rows.push(await laneRows(conn, lane));
    const held: HeldRows[] = [];
    for (const lane of MESSAGE_LANES) held.push(await heldRows(conn, lane));
    return {
      ...slow,
      rows,
      held,
      inbox: await inboxRows(conn),
      letters: await countLetters(conn),
      consumed: await orNone("lag", consumed()),
      newest: await orNone("freshness", newestEvents(clickhouse, now())),
      bad:
        (
          await orNone(
            "bad records",
            badRecords(clickhouse).then((n) => [n]),
          )
        )[0] ?? null,
    };
  };
}

function expose(metrics: Metrics, sampled: () => Sampled | null): void {
  const rows = () => sampled()?.rows ?? [];
  const consumed = () => sampled()?.consumed ?? [];
  metrics.gauges("sluice_outbox_rows", () =>
    rows().flatMap(({ lane, due, later }) => [
      [{ lane, state: "due" }, due] as const,
      [{ lane, state: "later" }, later] as const,
    ]),
  );
  metrics.gauges("sluice_outbox_oldest_seconds", () =>
    rows().map(({ lane, oldestS }) => [{ lane }, oldestS] as const),
  );
  const held = () => sampled()?.held ?? [];
  metrics.gauges("sluice_outbox_held_rows", () => held().map(({ lane, rows: n }) => [{ lane }, n] as const));
  metrics.gauges("sluice_outbox_held_oldest_seconds", () =>
    held().map(({ lane, oldestS }) => [{ lane }, oldestS] as const),
  );
  metrics.gauges("sluice_inbox_rows", () => {
    const inbox = sampled()?.inbox;
    return (["due", "later"] as const).flatMap((state) =>
      inbox === undefined ? [] : [[{ state }, inbox[state]] as const],
    );
  });
  metrics.gauge("sluice_inbox_oldest_seconds", () => sampled()?.inbox.oldestS ?? null);
  metrics.gauges("sluice_dead_letters", () => {
    const letters = sampled()?.letters;
    if (letters === undefined) return [];
    return LETTER_SOURCES.map((source) => [{ source }, letters[source]] as const);
  });
  metrics.gauges("sluice_consumer_lag_records", () =>
    consumed().flatMap(({ topic, lags }) =>
      lags.map(({ partition, records }) => [{ topic, partition: String(partition) }, records] as const),
    ),
  );
  metrics.gauges("sluice_consumer_lag_seconds", () =>
    consumed().map(({ topic, seconds }) => [{ topic }, seconds] as const),
  );
  metrics.gauges("sluice_clickhouse_newest_event_age_seconds", () =>
    (sampled()?.newest ?? []).map(({ topic, ageS }) => [{ topic }, ageS] as const),
  );
  metrics.gauge("sluice_clickhouse_bad_records", () => sampled()?.bad ?? null);
  metrics.gauge("sluice_messages_unknown", () => sampled()?.unknown ?? null);
  metrics.gauge("sluice_partitions_ahead", () => sampled()?.daysAhead ?? null);
}
