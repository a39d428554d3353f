// The batches that a sender has under way, of two kinds: from the fair queue, and of held rows (held.ts).
// Owns how many may run, how many messages of a link may be unsettled, and which links are slow; leaves one
// batch to batch.ts. A hanging call only delays the end of its own batch.
// Invariants: what a batch was made of counts as done only when all of it is settled; a link and kind gets no
// batch while it has as many as are still free, so slow links leave some to the others, and when all are
// taken the next one that ends goes to a link that has none. Bound: SENDER_BATCHES_MAX batches, and KINDS.

import { CLAIM_ROWS_MAX, SENDER_BATCHES_MAX, SUBMIT_TIMEOUT_MS } from "../core/limits.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { type BatchDeps, type BatchProgress, type BatchRequest, runBatch } from "./batch.ts";
import type { Fleet } from "./fleet.ts";
import { monotonicMs } from "./monotonic.ts";

type BatchKind = keyof typeof KINDS;
/** `parts`: what operators' rates count. The last message may go beyond them. */
export type BatchSize = { messages: number; parts: number };
type Batch = {
  kind: BatchKind;
  link: string;
  size: BatchSize;
  /** When its messages were submitted; null: not yet. */
  submittedMs: number | null;
  isAnswered: boolean;
  isPartSettled: boolean;
};
export type Batches = {
  /** How much another batch of this kind and link may have now; null: nothing. */
  room(kind: BatchKind, link: string): BatchSize | null;
  /** `size`: how much it may have at most. Calls `settled` when all of it is. */
  start(kind: BatchKind, size: BatchSize, request: BatchRequest, settled: () => void): void;
  /** The links whose operators have more than they take at once, or all that their rates allow. */
  slowLinks(): ReadonlySet<string>;
  /** Resolves when there may be more room, or after `wake`, and in any case soon. */
  changed(): Promise<void>;
  wake(): void;
  /** In messages. */
  unsettled(): number;
  /** Resolves when none is under way. */
  ended(): Promise<void>;
};
export type BatchesDeps = Omit<BatchDeps, "fleet"> & {
  fleet: Pick<Fleet, "report" | "perSecond">;
  metrics: Metrics;
  log: Log;
};

// `firstMax`: batches of a link of which nothing is settled yet. `share`: of the room where operators' rates
// make it small. Neither kind may have all of that: whoever had it would take it again each time it is free,
// and the other one would wait for ever.
const KINDS = {
  // Enough to use the database and slow operators fully, while a kill makes at most some 1,000 messages of a
  // link `unknown`.
  queued: { firstMax: 6, share: 0.75 },
  // A batch takes some 100 ms, so these send 4,000 messages a second.
  held: { firstMax: 2, share: 0.5 },
} as const;
// When all operators of a link have a rate, no more parts are claimed than they take within this time: what
// is claimed waits for them, and would lose an attempt when its time is over.
const RATED_WAIT_S = 8;
// A batch that gets its first answer later than this, or its last one later than that, has waited for room at
// its operators: in a second they take less than what a link has there, some 1,200 messages, or a message has
// waited longer than a submit that times out, first while it connects and again while it is answered.
const FIRST_ANSWER_MS = 1_000;
const LAST_ANSWER_MS = 2 * SUBMIT_TIMEOUT_MS + 1_000;
/** The routes file may change, and with it the room, without a word from anyone. */
const CHANGE_MAX_MS = 200;

export function createBatches(deps: BatchesDeps): Batches {
  const { fleet, metrics, log } = deps;
  const observe = metrics.histogram("sluice_sender_batch_duration_seconds", {});
  const open = new Map<Batch, Promise<void>>();
  const waiters = new Set<() => void>();
  const unsettled = () => [...open.keys()].reduce((sum, { size }) => sum + size.messages, 0);
  const wake = () => {
    for (const go of waiters) go();
  };
  // At least one for each kind.
  const ratedMax = (link?: string) => Math.max(2, Math.ceil(fleet.perSecond(link) * RATED_WAIT_S));

  /** How many more parts a link may have by the rates of its operators; infinite if one of these has none. */
  const ratedRoom = (kind: BatchKind, link: string) => {
    const ofLink = [...open.keys()].filter((batch) => batch.link === link);
    const own = ofLink.filter((batch) => batch.kind === kind);
    const limit = ratedMax(link);
    return Math.min(limit - partsOf(ofLink), Math.floor(limit * KINDS[kind].share) - partsOf(own));
  };

  const run = async (batch: Batch, request: BatchRequest, settled: () => void) => {
    const startedMs = monotonicMs();
    const progress: BatchProgress = {
      onSubmit(parts) {
        batch.submittedMs = monotonicMs();
        batch.size.parts = parts;
      },
      onAnswer: () => void (batch.isAnswered = true),
      onPart() {
        batch.isPartSettled = true;
        wake();
      },
    };
    try {
      await runBatch(deps, request, progress);
      settled();
      observe((monotonicMs() - startedMs) / 1_000);
    } catch (err) {
      // A broken invariant, or the database was away for too long: the process ends and is restarted.
      if (!deps.isStopping()) throw err;
      log.warn({ err }, "stopped before a batch was settled; its claim will expire");
    } finally {
      open.delete(batch);
      wake();
    }
  };

  return {
    room(kind, link) {
      const { firstMax } = KINDS[kind];
      const own = [...open.keys()].filter((batch) => batch.link === link && batch.kind === kind);
      if (own.filter(({ isPartSettled }) => !isPartSettled).length >= firstMax) return null;
      if (own.length >= SENDER_BATCHES_MAX - open.size) return null;
      const parts = Math.min(ratedMax() - partsOf([...open.keys()]), ratedRoom(kind, link));
      return parts <= 0 ? null : { messages: CLAIM_ROWS_MAX, parts };
    },
    start(kind, size, request, settled) {
      const { link } = request;
      const begun = { submittedMs: null, isAnswered: false, isPartSettled: false };
      const batch: Batch = { kind, link, size: { ...size }, ...begun };
      open.set(batch, run(batch, request, settled));
    },
    slowLinks() {
      const nowMs = monotonicMs();
      const isSlow = ({ link, submittedMs, isAnswered }: Batch) =>
        ratedRoom("queued", link) <= 0 ||
        (submittedMs !== null && nowMs - submittedMs > (isAnswered ? LAST_ANSWER_MS : FIRST_ANSWER_MS));
      return new Set([...open.keys()].filter(isSlow).map(({ link }) => link));
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
      await Promise.all(open.values());
    },
  };
}

const partsOf = (batches: readonly Batch[]): number => batches.reduce((sum, { size }) => sum + size.parts, 0);
