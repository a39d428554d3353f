// The batches that a sender has under way, of two kinds: from the fair queue, and of held rows (held.ts).
// Owns how many may run and how many messages may be unsettled; leaves one batch to batch.ts. A hanging
// call only delays the end of its own batch.
// Invariant: what a batch was made of counts as done only when all of it is settled. Bound: KINDS, and
// UNSETTLED_MAX messages in all.

import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { type BatchDeps, type BatchRequest, runBatch } from "./batch.ts";
import type { Fleet } from "./fleet.ts";
import { monotonicMs } from "./monotonic.ts";

type BatchKind = keyof typeof KINDS;
export type Batches = {
  /** How many messages another batch of this kind may have now; 0: none. */
  room(kind: BatchKind): number;
  /** `size`: at most how many messages it will have. Calls `settled` when all of them are. */
  start(kind: BatchKind, size: number, request: BatchRequest, settled: () => void): void;
  /** Resolves when there may be more room, or after `wake`, and in any case soon. */
  changed(): Promise<void>;
  wake(): void;
  unsettled(): number;
  /** Resolves when none is under way. */
  ended(): Promise<void>;
};
export type BatchesDeps = Omit<BatchDeps, "fleet"> & {
  fleet: Pick<Fleet, "report" | "perSecond">;
  metrics: Metrics;
  log: Log;
};

// `share`: of the room. Neither may have all of it: where operators' rates make it small, whoever had it
// would take it again each time it is free, and the other one would wait for ever.
const KINDS = {
  // Enough to use the database and slow operators fully, while a kill makes at most some 1,000 messages
  // `unknown`.
  queued: { batchesMax: 6, share: 0.75 },
  // A batch takes some 100 ms, so these send 4,000 messages a second.
  held: { batchesMax: 2, share: 0.5 },
} as const;
const UNSETTLED_MAX = 20 * CLAIM_ROWS_MAX;
// When all operators have a rate, no more is claimed than they take within this time: what is claimed waits
// for them, and would lose an attempt when its time is over.
const RATED_WAIT_S = 8;
/** The routes file may change, and with it the room, without a word from anyone. */
const CHANGE_MAX_MS = 200;

export function createBatches(deps: BatchesDeps): Batches {
  const { fleet, metrics, log } = deps;
  const observe = metrics.histogram("sluice_sender_batch_duration_seconds", {});
  const under = { queued: { batches: 0, unsettled: 0 }, held: { batches: 0, unsettled: 0 } };
  const open = new Set<Promise<void>>();
  const waiters = new Set<() => void>();
  const unsettled = () => under.queued.unsettled + under.held.unsettled;
  const wake = () => {
    for (const go of waiters) go();
  };

  const run = async (kind: BatchKind, size: number, request: BatchRequest, settled: () => void) => {
    const startedMs = monotonicMs();
    const own = under[kind];
    own.unsettled += size;
    own.batches++;
    let isFirst = true;
    const onPart = () => {
      if (isFirst) own.batches--;
      isFirst = false;
      wake();
    };
    try {
      await runBatch(deps, request, onPart);
      settled();
      observe((monotonicMs() - startedMs) / 1_000);
    } catch (err) {
      // A broken invariant, or the database was away for too long: the process ends and is restarted.
      if (!deps.isStopping()) throw err;
      log.warn({ err }, "stopped before a batch was settled; its claim will expire");
    } finally {
      own.unsettled -= size;
      onPart();
    }
  };

  return {
    room(kind) {
      const { batchesMax, share } = KINDS[kind];
      if (under[kind].batches >= batchesMax) return 0;
      // At least one for each kind.
      const limit = Math.max(2, Math.min(UNSETTLED_MAX, Math.ceil(fleet.perSecond() * RATED_WAIT_S)));
      const left = Math.min(limit - unsettled(), Math.floor(limit * share) - under[kind].unsettled);
      return Math.max(0, Math.min(CLAIM_ROWS_MAX, left));
    },
    start(kind, size, request, settled) {
      const work = run(kind, size, request, settled).finally(() => open.delete(work));
      open.add(work);
    },
    changed: () =>
      new Promise((resolve) => {
        const go = () => {
          clearTimeout(timer);
          waiters.delete(go);
          resolve();
        };
        const timer = setTimeout(go, CHANGE_MAX_MS);
        waiters.add(go);
      }),
    wake,
    unsettled,
    async ended() {
      await Promise.all(open);
    },
  };
}
