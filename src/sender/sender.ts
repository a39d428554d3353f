// One lane's sender. Records are read into a queue (reading.ts), from which batches are made, each of one
// link, in turns; what has no room there is held in MySQL and sent from there (held.ts). Owns the order of
// these; leaves a batch to batch.ts, and how many run to batches.ts.
// Invariant: an offset only advances over a record whose message is settled, or whose held row or dead letter
// is stored. Bound: the queue's records that wait, those of batches.ts under way.

import { wantedAtMs } from "../core/lane-record.ts";
import type { Lane } from "../core/message.ts";
import { claimMessages } from "../ledger/claim.ts";
import type { LinkOf } from "../ledger/held.ts";
import type { Consumer } from "../platform/kafka/consumer.ts";
import type { Metrics } from "../platform/metrics.ts";
import { sleep } from "../platform/retry.ts";
import type { Timers } from "../platform/timers.ts";
import { type BatchDeps, type BatchRequest, NO_TALLIES } from "./batch.ts";
import { createBatches } from "./batches.ts";
import { createCounts } from "./counts.ts";
import type { CustomerRates } from "./customer-rates.ts";
import type { Allowance } from "./dispatch.ts";
import { allowedBy, type Fleet } from "./fleet.ts";
import { sendHeld } from "./held.ts";
import { startLaneReport } from "./lane-report.ts";
import { createLaneWait } from "./lane-wait.ts";
import { createLinkQueue } from "./link-queue.ts";
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
  /** By the routes file as it is now. */
  linkOf: LinkOf;
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
  /** The bounds of its queue, of one customer and of one link. */
  queue: { customerMax: number; totalMax: number };
};
export type Sender = { databaseUp(): boolean; stop(): Promise<void> };

const THROTTLED_WAIT_MS = 50;

export function startSender(deps: SenderDeps, { lane, instance, queue: bounds }: SenderOptions): Sender {
  const { offsets, metrics, log, fleet, pool, rates, linkOf } = deps;
  const counts = createCounts(metrics);
  const persist = createPersist(log);
  let stopping = false;
  const isStopping = () => stopping;
  const random = () => deps.timers.random();
  const laneWait = createLaneWait({ monotonicMs, now: deps.now });
  const queue = createLinkQueue<QueuedRecord>({
    linkOf: ({ record }) => linkOf(record),
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
      const taken = queue.links().filter((link) => takeOf(link));
      if (taken.length > 0) continue;
      // A customer's rate allows it the next ones without a word from anyone.
      if (queue.size() > 0 && rates !== undefined) await sleep(THROTTLED_WAIT_MS);
      else await batches.changed();
    }
  };
  /** Takes a batch of this link if one may be started; false: nothing was taken. */
  const takeOf = (link: string): boolean => {
    const room = batches.room("queued", link);
    if (room === null) return false;
    const allowance = fleet.allow(link);
    const allowed = allowedBy(allowance);
    if (allowed === 0) return false;
    const items = queue.take(link, Math.min(room.messages, allowed), room.parts);
    // Whoever has a revoked partition now reads its records again.
    const taken = items.filter(({ handle }) => !offsets.isRevoked(handle));
    if (taken.length === 0) {
      fleet.report(link, NO_TALLIES);
      return items.length > 0;
    }
    const parts = taken.reduce((sum, { record }) => sum + record.parts, 0);
    batches.start("queued", { messages: taken.length, parts }, batchOf(link, taken, allowance), () =>
      offsets.end(taken.map(({ handle }) => handle)),
    );
    return true;
  };
  const batchOf = (link: string, taken: readonly QueuedRecord[], allowance: Allowance): BatchRequest => {
    const records = taken.map(({ record }) => record);
    return {
      lane,
      link,
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
    return first.length === 0 ? null : Math.min(...first.map(({ record }) => wantedAtMs(record)));
  };
  const waitMs = () => laneWait.waitMs(oldestAtMs());
  metrics.gauge("sluice_sender_lane_wait_seconds", () => waitMs() / 1_000);
  // Nothing is promised for normal messages.
  const laneReport = lane === "express" ? startLaneReport(deps, { lane, instance, waitMs }) : null;
  const reading = { queue, slowLinks: batches.slowLinks, onRead: batches.wake };
  const done = Promise.all([
    readLane({ ...deps, ...reading, persist, counts, isStopping }, lane),
    sendQueued(),
    sendHeld({ ...deps, batches, counts, isStopping }, lane),
  ]);
  return {
    databaseUp: persist.isUp,
    async stop() {
      stopping = true;
      deps.submitters.drain();
      batches.wake();
      await done;
      await batches.ended();
      await reaper.stop();
      await reports.stop();
      await laneReport?.stop();
    },
  };
}
