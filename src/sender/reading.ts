// Reads a lane's records into the queue from which batches are made, and holds in MySQL what has no room
// there: what a customer or a slow link has beyond its share would make the records behind it wait in their
// partition. A full link that isn't slow is waited for: reading pauses.
// Owns reading, what can't be read (it becomes a dead letter), and holding; leaves batches to sender.ts and
// bytes to core/lane-record.ts.
// Invariant: a record's offset may advance when its message is settled, or its held row or dead letter is
// stored; never before. Bound: the queue's, and OFFSETS_OPEN_MAX records behind one that is not done.

import type { DeadLetter } from "../core/dead-letter.ts";
import { CLAIM_ROWS_MAX, OFFSETS_OPEN_MAX } from "../core/limits.ts";
import { type LaneRecord, unpackLaneRecord } from "../core/lane-record.ts";
import type { Lane } from "../core/message.ts";
import { RecordError } from "../core/packed.ts";
import { keepLetters } from "../ledger/dead-letters.ts";
import { holdRecords, type LinkOf } from "../ledger/held.ts";
import type { Consumer, InRecord } from "../platform/kafka/consumer.ts";
import type { Log } from "../platform/log.ts";
import type { Pool } from "../platform/mysql.ts";
import { sleep } from "../platform/retry.ts";
import type { Counts } from "./counts.ts";
import type { LinkQueue } from "./link-queue.ts";
import { monotonicMs } from "./monotonic.ts";
import type { Handle, Offsets } from "./offsets.ts";
import { type Persist, StoppedError } from "./persist.ts";

/** A record that waits to be claimed. */
export type QueuedRecord = { record: LaneRecord; handle: Handle };
export type ReadingDeps = {
  consumer: Pick<Consumer, "read">;
  offsets: Pick<Offsets, "begin" | "end" | "open">;
  queue: Pick<LinkQueue<QueuedRecord>, "add" | "room">;
  linkOf: LinkOf;
  slowLinks: () => ReadonlySet<string>;
  pool: Pick<Pool, "write">;
  persist: Persist;
  /** Where the records come from; named in dead letters. */
  topic: string;
  counts: Counts;
  log: Log;
  isStopping: () => boolean;
  /** The queue may have grown. */
  onRead: () => void;
};

// Between readings that were not full: the first message of a quiet lane goes at once, those of a busy lane
// linger, because a small batch costs two commits just like a large one. At 1,000/s a batch is then 200.
const PACE_MS: Record<Lane, number> = { normal: 200, express: 100 };
const READ_WAIT_MS = 100;
const FULL_WAIT_MS = 20;
// A consumer that doesn't read loses its partitions (POLL_INTERVAL_MIN_MS is 155 s).
const FULL_READ_MS = 30_000;

/** Reads until the sender stops; resolves when nothing is under way here. */
export async function readLane(deps: ReadingDeps, lane: Lane): Promise<void> {
  const { consumer, offsets, queue, log, isStopping } = deps;
  let readAtMs = monotonicMs();
  while (!isStopping()) {
    const slow = deps.slowLinks();
    const room = offsets.open() >= OFFSETS_OPEN_MAX ? 0 : queue.room(slow);
    if (room === 0 && monotonicMs() - readAtMs < FULL_READ_MS) {
      await sleep(FULL_WAIT_MS);
      continue;
    }
    const most = Math.max(1, Math.min(CLAIM_ROWS_MAX, room));
    const read = await consumer.read(most, READ_WAIT_MS).catch(async (err: unknown) => {
      log.warn({ err }, "could not read from Kafka; trying again");
      await sleep(READ_WAIT_MS);
      return [];
    });
    readAtMs = monotonicMs();
    if (read.length === 0) continue;
    try {
      await take(deps, { lane, read, slow });
    } catch (err) {
      if (!(err instanceof StoppedError)) throw err;
      log.warn({ err }, "stopped before records were stored; they will be read again");
    }
    if (read.length < most && !isStopping()) await sleep(PACE_MS[lane]);
  }
}

type Dead = { letter: DeadLetter; handle: Handle };
type Taking = { lane: Lane; read: readonly InRecord[]; slow: ReadonlySet<string> };

async function take(deps: ReadingDeps, { lane, read, slow }: Taking): Promise<void> {
  const { offsets, queue, counts, onRead } = deps;
  const handles = offsets.begin(read);
  counts.read_total += read.length;
  const held: QueuedRecord[] = [];
  const dead: Dead[] = [];
  read.forEach((one, at) => {
    const handle = handles[at] as Handle;
    const record = decode(deps, one);
    if ("reason" in record) dead.push({ letter: record, handle });
    else if (!queue.add({ record, handle }, slow)) held.push({ record, handle });
  });
  onRead();
  if (dead.length > 0) await keepDead(deps, dead);
  if (held.length === 0) return;
  await deps.persist.run("hold", (again) => {
    if (again && deps.isStopping()) throw new StoppedError("stopped before records were held");
    return holdRecords(
      deps.pool,
      lane,
      held.map(({ record }) => record),
      deps.linkOf,
    );
  });
  offsets.end(held.map(({ handle }) => handle));
  counts.held_total += held.length;
}

function decode(
  { topic, counts, log }: ReadingDeps,
  { value, partition, offset, timestampMs }: InRecord,
): LaneRecord | DeadLetter {
  try {
    const record = unpackLaneRecord(value);
    if (timestampMs !== undefined && timestampMs > 0) record.relayedAtMs = timestampMs;
    return record;
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    counts.dead_total++;
    const { message: reason } = error;
    log.error({ partition, offset, reason }, "dead letter: the record can't be read");
    return { source: "record", place: `${topic}/${partition}/${offset}`, reason, payload: value };
  }
}

// What holds letters up, the database, would hold up all others too.
async function keepDead(deps: ReadingDeps, dead: readonly Dead[]): Promise<void> {
  await deps.persist.run("store dead letters", (again) => {
    if (again && deps.isStopping()) throw new StoppedError("stopped before dead letters were stored");
    return keepLetters(
      deps.pool,
      dead.map(({ letter }) => letter),
    );
  });
  deps.offsets.end(dead.map(({ handle }) => handle));
}
