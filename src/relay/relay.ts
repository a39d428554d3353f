// Moves outbox rows to Kafka, in one loop per lane: locks due rows, produces their records, waits for every
// delivery report, deletes the rows, commits. A kill in between leaves the rows, so records are produced at
// least once; consumers deduplicate. Leaves SQL to outbox.ts, bytes to decode.ts, ending messages to the
// ledger.
// States of a row: due → taken (locked) → deleted | deferred with the records that failed | dead: a letter of
// it is kept and its messages are refunded, in the transaction that deletes it.
// Bound: inFlightMax transactions a lane (lanes.ts), RELAY_ROWS_MAX rows each; fewer when they are large.

import type { LaneRecord } from "../core/lane-record.ts";
import { keepLetters } from "../ledger/dead-letters.ts";
import { failQueued } from "../ledger/settle.ts";
import type { OutRecord, ProduceFailure, Producer } from "../platform/kafka/producer.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { backoffMs, sleep } from "../platform/retry.ts";
import { type Decoded, idsIn, payloadOf, type Topics } from "./decode.ts";
import { OUTBOX_LANE_NAMES, OUTBOX_LANES, type OutboxLane } from "./lanes.ts";
import { deferRow, deleteRows, isDue, type OutboxRow, takeRows } from "./outbox.ts";
import { RELAY_ROWS_MAX } from "../core/limits.ts";

export type RelayDeps = { pool: Pool; producer: Producer; metrics: Metrics; log: Log; now: () => number };
export type RelayOptions = { topics: Topics };
export type Relay = {
  /** Whether the last statement of every lane succeeded. */
  databaseUp(): boolean;
  /** Finishes what is in flight, then stops. */
  stop(): Promise<void>;
};

// Rows in one take: 16 full group commits are a tenth of a second of work; more would delay express. At low
// rates rows hold few messages each, so more of them are taken, until they hold about as much data.
const ROWS_MIN = 16;
const BYTES_WANTED = 384 * 1024;
const DEFER = { firstMs: 200, mostMs: 10_000 };
const DATABASE_RETRY = { firstMs: 100, mostMs: 2_000 };
const PROBE_MS = 500;

export function startRelay(deps: RelayDeps, options: RelayOptions): Relay {
  const lanes = OUTBOX_LANE_NAMES.map((lane) =>
    startLane(deps, options, lane, createCounts(deps.metrics, lane)),
  );
  return {
    databaseUp: () => lanes.every((lane) => lane.databaseUp()),
    async stop() {
      await Promise.all(lanes.map((lane) => lane.stop()));
    },
  };
}

type Counts = Record<"rows_total" | "records_total" | "deferred_total" | "dead_total", number> & {
  produced(seconds: number): void;
};

function createCounts(metrics: Metrics, lane: OutboxLane): Counts {
  const keys = ["rows_total", "records_total", "deferred_total", "dead_total"] as const;
  const produced = metrics.histogram("sluice_relay_produce_duration_seconds", { lane });
  return Object.assign(metrics.counts("sluice_relay", keys, { lane }), { produced });
}

function startLane(deps: RelayDeps, options: RelayOptions, lane: OutboxLane, counts: Counts): Relay {
  const { pool, producer, log } = deps;
  const spec = OUTBOX_LANES[lane];
  let stopping = false;
  let failures = 0;
  let limit = ROWS_MIN;
  const inFlight = new Set<Promise<void>>();

  // Resolves as soon as rows are taken, to how many: `all` it may take at once, so there may be more. The
  // work itself continues in `inFlight`.
  const takeSome = () =>
    new Promise<"all" | "some" | "none">((taken) => {
      const work = pool
        .use(async (conn) => {
          const rows = await takeRows(conn, lane, limit);
          failures = 0;
          taken(rows.length === limit ? "all" : rows.length > 0 ? "some" : "none");
          if (rows.length > 0) limit = limitAfter(rows);
          if (rows.length > 0) await relayRows(deps, options, conn, lane, rows, counts);
          await conn.query("COMMIT");
        })
        .catch((err: unknown) => {
          failures++;
          if (!stopping)
            log.warn(
              { err, lane, failures },
              "could not relay outbox rows: the database or Kafka failed; trying again",
            );
        })
        .finally(() => {
          inFlight.delete(work);
          taken("none");
        });
      inFlight.add(work);
    });

  const loop = async () => {
    let idleMs = 0;
    while (!stopping) {
      if (!producer.isUp() && !(await producer.probe(PROBE_MS))) {
        await sleep(PROBE_MS);
        continue;
      }
      if (failures > 0) await sleep(backoffMs(DATABASE_RETRY, failures));
      if (inFlight.size >= spec.inFlightMax) {
        await Promise.race(inFlight);
        continue;
      }
      // After a failure it takes rows even if none is due, because only that shows that the database is back.
      if (idleMs > 0 && failures === 0 && !(await isDue(pool, lane).catch(() => true))) {
        idleMs = Math.min(idleMs * 2, spec.idleMs);
        await sleep(idleMs);
        continue;
      }
      const took = await takeSome();
      // Where rows were found there will be more: the next take doesn't ask first.
      idleMs = took === "none" ? spec.afterMs : 0;
      if (took === "all") continue;
      await Promise.all(inFlight);
      if (!stopping) await sleep(spec.afterMs);
    }
    await Promise.all(inFlight);
  };
  const done = loop();
  return {
    databaseUp: () => failures === 0,
    async stop() {
      stopping = true;
      await done;
    },
  };
}

/** How many rows of this size make up BYTES_WANTED, within ROWS_MIN and RELAY_ROWS_MAX. */
function limitAfter(rows: readonly OutboxRow[]): number {
  const bytes = rows.reduce((sum, row) => sum + row.payload.length, 0);
  const fitting = Math.floor((BYTES_WANTED * rows.length) / Math.max(1, bytes));
  return Math.max(ROWS_MIN, Math.min(RELAY_ROWS_MAX, fitting));
}

type Sent = { row: OutboxRow; decoded: Decoded; failures: ProduceFailure[] };

async function relayRows(
  deps: RelayDeps,
  options: RelayOptions,
  conn: Connection,
  lane: OutboxLane,
  rows: OutboxRow[],
  counts: Counts,
): Promise<void> {
  const sent = await produceRows(deps.producer, options.topics, lane, rows, counts);
  const whole = sent.filter((s) => s.decoded.kind !== "undecodable" && s.failures.length === 0);
  const dead = sent.filter((s) => s.decoded.kind === "undecodable" || s.failures.some((f) => f.permanent));
  const deferred = sent.filter((s) => !whole.includes(s) && !dead.includes(s));
  const deadRows: OutboxRow[] = [];
  for (const one of dead) {
    counts.dead_total++;
    await keepDead(deps, conn, lane, one);
    const failures = one.failures.filter((f) => !f.permanent);
    if (failures.length === 0) deadRows.push(one.row);
    else deferred.push({ ...one, failures });
  }
  for (const one of deferred) {
    counts.deferred_total++;
    const indexes = one.failures.map((f) => f.index);
    const reason = `${one.failures[0]?.code}: ${one.failures[0]?.reason}`;
    const payload = payloadOf(one.decoded, indexes);
    await deferRow(conn, { row: one.row, payload, reason, delayMs: backoffMs(DEFER, one.row.attempts + 1) });
  }
  if (deferred.length > 0)
    deps.log.warn({ lane, rows: deferred.length }, "rows deferred: some of their records were not produced");
  counts.rows_total += whole.length;
  await deleteRows(conn, [...whole.map((s) => s.row), ...deadRows]);
}

// The records of all rows in the transaction are sent together, so that they share librdkafka's batches.
async function produceRows(
  producer: Producer,
  topics: Topics,
  lane: OutboxLane,
  rows: OutboxRow[],
  counts: Counts,
): Promise<Sent[]> {
  const sent = rows.map(
    (row): Sent => ({ row, decoded: OUTBOX_LANES[lane].decode(row.payload, topics), failures: [] }),
  );
  const out: OutRecord[] = [];
  const owners: { sent: Sent; firstIndex: number }[] = [];
  for (const one of sent) {
    if (one.decoded.kind === "undecodable") continue;
    owners.push({ sent: one, firstIndex: out.length });
    out.push(...one.decoded.out);
  }
  const startedMs = performance.now();
  const failures = await producer.sendAll(out);
  counts.produced((performance.now() - startedMs) / 1_000);
  if (failures.some((f) => f.index < 0)) throw new Error("the producer was closed");
  counts.records_total += out.length - failures.length;
  for (const failure of failures) {
    const owner = owners.findLast((o) => o.firstIndex <= failure.index);
    owner?.sent.failures.push({ ...failure, index: failure.index - owner.firstIndex });
  }
  return sent;
}

/** Keeps what can never be produced of a row as a dead letter, then fails and refunds its messages. */
async function keepDead(
  { log, now }: RelayDeps,
  conn: Connection,
  lane: OutboxLane,
  { row, decoded, failures }: Sent,
): Promise<void> {
  const lost = failures.filter((f) => f.permanent);
  const indexes = lost.map((f) => f.index);
  const reason =
    decoded.kind === "undecodable" ? `undecodable: ${decoded.reason}` : `not produced: ${lost[0]?.reason}`;
  const { holdsMessages } = OUTBOX_LANES[lane];
  const letter = {
    source: holdsMessages ? "messages" : "events",
    place: `outbox/${row.id}`,
    reason,
    payload: payloadOf(decoded, indexes) ?? row.payload,
  } as const;
  await keepLetters(conn, [letter]);
  const ids =
    decoded.kind === "messages"
      ? indexes.map((index) => (decoded.records[index] as LaneRecord).id)
      : idsIn(row.payload);
  const ended = holdsMessages ? await failQueued(conn, ids, reason, now()) : [];
  log.error({ lane, row: row.id, reason, ended: ended.map((c) => c.record.id) }, "dead letter");
}
