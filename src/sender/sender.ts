// One lane's sender. Records are read into a fair queue (reading.ts), from which batches are made; what has
// no room there is held in MySQL and sent from there (held.ts). Owns the order of these; leaves a batch to
// batch.ts, and how many run to batches.ts.
// Invariant: an offset only advances over a record whose message is settled, or whose held row or dead letter
// is stored. Bound: the fair queue's records that wait, those of batches.ts under way.

import type { Lane } from "../core/message.ts";
import { claimMessages } from "../ledger/claim.ts";
import type { Consumer } from "../platform/kafka/consumer.ts";
import type { Metrics } from "../platform/metrics.ts";
import { sleep } from "../platform/retry.ts";
import type { Timers } from "../platform/timers.ts";
import { type BatchDeps, type BatchRequest, NO_TALLIES } from "./batch.ts";
import { createBatches } from "./batches.ts";
import { createCounts } from "./counts.ts";
import type { CustomerRates } from "./customer-rates.ts";
import type { Allowance } from "./dispatch.ts";
import { createFairQueue } from "./fair-queue.ts";
import type { Fleet } from "./fleet.ts";
import { sendHeld } from "./held.ts";
import { startLaneReport } from "./lane-report.ts";
import { createLaneWait } from "./lane-wait.ts";
import { monotonicMs } from "./monotonic.ts";
import type { Offsets } from "./offsets.ts";
import { createPersist } from "./persist.ts";
import { type QueuedRecord, readLane } from "./reading.ts";
import { startReaper } from "./reaper.ts";
import { startReports } from "./reports.ts";

export type SenderDeps = Omit<BatchDeps, "counts" | "persist" | "random" | "isStopping"> & {
  fleet: Pick<Fleet, "allow" | "report" | "perSecond">;
  consumer: Pick<Consumer, "read">;
  offsets: Offsets;
  /** Where its records come from; named in dead letters. */
  topic: string;
  /** The most that any one customer may have sent; undefined: no limit. */
  rates: CustomerRates | undefined;
  timers: Timers;
  metrics: Metrics;
};
export type SenderOptions = {
  lane: Lane;
  /** Its name among the lane's senders. */
  instance: string;
  /** The bounds of its fair queue. */
  queue: { customerMax: number; totalMax: number };
};
export type Sender = { databaseUp(): boolean; stop(): Promise<void> };

const NO_OPERATOR_WAIT_MS = 200;
const THROTTLED_WAIT_MS = 50;

export function startSender(deps: SenderDeps, { lane, instance, queue: bounds }: SenderOptions): Sender {
  const { offsets, metrics, log, fleet, pool, rates } = deps;
  const counts = createCounts(metrics);
  const persist = createPersist(log);
  let stopping = false;
  const isStopping = () => stopping;
  const random = () => deps.timers.random();
  const laneWait = createLaneWait({ monotonicMs, now: deps.now });
  const queue = createFairQueue<QueuedRecord>({
    customerOf: ({ record }) => record.customerId,
    partsOf: ({ record }) => record.parts,
    ...bounds,
    ...(rates === undefined ? {} : { rates }),
  });
  const batches = createBatches({ ...deps, counts, persist, random, isStopping });
  metrics.gauge("sluice_sender_unsettled", () => batches.unsettled() + queue.size());
  metrics.gauge("sluice_sender_queued", () => queue.size());

  const sendQueued = async () => {
    while (!stopping) {
      const room = queue.size() === 0 ? 0 : batches.room("queued");
      if (room === 0) {
        await batches.changed();
        continue;
      }
      const allowance = fleet.allow();
      const allowed = [...allowance.values()].reduce((sum, n) => sum + n, 0);
      if (allowed === 0) {
        await sleep(NO_OPERATOR_WAIT_MS);
        continue;
      }
      // Whoever has a revoked partition now reads its records again.
      const taken = queue.take(Math.min(room, allowed)).filter(({ handle }) => !offsets.isRevoked(handle));
      if (taken.length === 0) {
        fleet.report(NO_TALLIES);
        await sleep(THROTTLED_WAIT_MS);
        continue;
      }
      batches.start("queued", taken.length, batchOf(taken, allowance), () =>
        offsets.end(taken.map(({ handle }) => handle)),
      );
    }
  };
  const batchOf = (taken: readonly QueuedRecord[], allowance: Allowance): BatchRequest => {
    const records = taken.map(({ record }) => record);
    return {
      lane,
      allowance,
      async claim({ claimId, nowMs, again }) {
        const claimed = await claimMessages(pool, { claimId, lane, records, nowMs }, again);
        return { ...claimed, read: records.length };
      },
      took: laneWait.took,
    };
  };
  const reaper = startReaper({ ...deps, counts });
  const reports = startReports({ ...deps, counts });
  deps.submitters.onReport((report) => reports.take(report));
  const oldestAtMs = () => {
    const first = queue.heads().filter(({ record }) => record.attempt === 0);
    return first.length === 0 ? null : Math.min(...first.map(({ record }) => record.createdAtMs));
  };
  const waitMs = () => laneWait.waitMs(oldestAtMs());
  metrics.gauge("sluice_sender_lane_wait_seconds", () => waitMs() / 1_000);
  // Nothing is promised for normal messages.
  const laneReport = lane === "express" ? startLaneReport(deps, { lane, instance, waitMs }) : null;
  const done = Promise.all([
    readLane({ ...deps, queue, persist, counts, isStopping, onRead: batches.wake }, lane),
    sendQueued(),
    sendHeld({ ...deps, batches, counts, isStopping }, lane),
  ]);
  return {
    databaseUp: persist.isUp,
    async stop() {
      stopping = true;
      batches.wake();
      await done;
      await batches.ended();
      await reaper.stop();
      await reports.stop();
      await laneReport?.stop();
    },
  };
}
