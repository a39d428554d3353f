// One lane's sender: reads records and runs batches of them, several at once, so that a hanging call only
// delays the end of its own batch. Owns how much is under way and which offsets may be stored; leaves a batch
// to batch.ts.
// Invariant: offsets only advance over a batch when all of it is settled. Bound: BATCHES_MAX batches before
// their first settlement, UNSETTLED_MAX messages in all.

import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import type { Lane } from "../core/message.ts";
import type { Consumer, InRecord } from "../platform/kafka/consumer.ts";
import type { Metrics } from "../platform/metrics.ts";
import { sleep } from "../platform/retry.ts";
import type { Timers } from "../platform/timers.ts";
import { type BatchDeps, NO_TALLIES, runBatch } from "./batch.ts";
import { createCounts } from "./counts.ts";
import type { Allowance } from "./dispatch.ts";
import type { Fleet } from "./fleet.ts";
import { monotonicMs } from "./monotonic.ts";
import type { Offsets } from "./offsets.ts";
import { createPersist } from "./persist.ts";
import { startReaper } from "./reaper.ts";
import { startReports } from "./reports.ts";

export type SenderDeps = Omit<BatchDeps, "counts" | "persist" | "random" | "isStopping"> & {
  fleet: Pick<Fleet, "allow" | "report" | "perSecond">;
  consumer: Pick<Consumer, "read" | "store">;
  offsets: Offsets;
  timers: Timers;
  metrics: Metrics;
};
export type Sender = { databaseUp(): boolean; stop(): Promise<void> };

// Enough to use the database and slow operators fully, while a kill makes at most some 1,000 messages
// `unknown`.
const BATCHES_MAX = 6;
// Between batches that were not full: the first message of a quiet lane goes at once, those of a busy lane
// linger, because a small batch costs two commits just like a large one. At 1,000/s a batch is then 200.
const PACE_MS: Record<Lane, number> = { normal: 200, express: 100 };
const UNSETTLED_MAX = 20 * CLAIM_ROWS_MAX;
// When all operators have a rate, no more is read than they take within this time: what is read waits for
// them under a claim, and would lose an attempt when its time is over.
const RATED_WAIT_S = 8;
const READ_WAIT_MS = 100;
const NO_OPERATOR_WAIT_MS = 200;

export function startSender(deps: SenderDeps, { lane }: { lane: Lane }): Sender {
  const { consumer, offsets, metrics, log } = deps;
  const counts = createCounts(metrics);
  const observe = metrics.histogram("sluice_sender_batch_duration_seconds", {});
  const persist = createPersist(log);
  let stopping = false;
  let unsettled = 0;
  let batches = 0;
  let wake: () => void = () => undefined;
  const open = new Set<Promise<void>>();
  const random = () => deps.timers.random();
  const batchDeps: BatchDeps = { ...deps, counts, persist, random, isStopping: () => stopping };
  metrics.gauge("sluice_sender_unsettled", () => unsettled);

  const run = async (read: InRecord[], allowance: Allowance): Promise<void> => {
    const startedMs = monotonicMs();
    const handles = offsets.begin(read);
    counts.read_total += read.length;
    unsettled += read.length;
    batches++;
    let isFirst = true;
    const onPart = () => {
      if (isFirst) batches--;
      isFirst = false;
      wake();
    };
    try {
      await runBatch(batchDeps, { lane, read, allowance }, onPart);
      offsets.end(handles);
      observe((monotonicMs() - startedMs) / 1_000);
    } catch (err) {
      // A broken invariant, or the database was away for too long: the process ends and is restarted.
      if (!stopping) throw err;
      log.warn({ err }, "stopped before a batch was settled; its claim will expire");
    } finally {
      unsettled -= read.length;
      onPart();
    }
  };

  const loop = async () => {
    let restMs = 0;
    while (!stopping) {
      if (restMs > 0) await sleep(restMs);
      restMs = 0;
      const room = Math.min(UNSETTLED_MAX, Math.ceil(deps.fleet.perSecond() * RATED_WAIT_S)) - unsettled;
      if (batches >= BATCHES_MAX || room <= 0) {
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      const allowance = deps.fleet.allow();
      const allowed = [...allowance.values()].reduce((sum, n) => sum + n, 0);
      if (allowed === 0) {
        await sleep(NO_OPERATOR_WAIT_MS);
        continue;
      }
      const read = await consumer
        .read(Math.min(CLAIM_ROWS_MAX, allowed, room), READ_WAIT_MS)
        .catch(async (err: unknown) => {
          log.warn({ err }, "could not read from Kafka; trying again");
          await sleep(READ_WAIT_MS);
          return [];
        });
      if (read.length === 0) {
        deps.fleet.report(NO_TALLIES);
        continue;
      }
      const work = run(read, allowance).finally(() => open.delete(work));
      open.add(work);
      if (read.length < CLAIM_ROWS_MAX) restMs = PACE_MS[lane];
    }
  };
  const reaper = startReaper({ ...deps, counts });
  const reports = startReports({ ...deps, counts });
  deps.submitters.onReport((report) => reports.take(report));
  const done = loop();
  return {
    databaseUp: persist.isUp,
    async stop() {
      stopping = true;
      wake();
      await done;
      await Promise.all(open);
      await reaper.stop();
      await reports.stop();
    },
  };
}
