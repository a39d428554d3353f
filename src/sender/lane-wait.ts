// How long a message has to wait in this sender's lane, as it looks now, from acceptance to the operator's
// answer. The longest of these:
// - the 99th percentile of the messages that were taken at their first attempt within RECENT_MS;
// - the median of all that were tried within RECENT_MS. One that was refused for now counts with the time of
//   its next attempt, one that ran out of time or lost its answer with NOT_TAKEN_WAIT_MS. The median, because
//   refusals by the operators of some numbers say nothing about the others;
// - the age of the oldest that still waits here to be claimed.
// While none is taken, and there is something to take, it is NOT_TAKEN_WAIT_MS. With nothing left it is 0
// again: only a message shows whether operators take messages again, and if they refuse it, it is
// NOT_TAKEN_WAIT_MS at once. Held messages don't count: they are late because of their own customer or link,
// of which there are some here.
// Pure; clocks are passed in. Bound: 2 * SAMPLES_MAX messages.

import { wantedAtMs } from "../core/lane-record.ts";
import { NOT_TAKEN_WAIT_MS } from "../core/limits.ts";
import type { Change } from "../ledger/move.ts";

/** An attempt at a message, as it ended. */
export type Attempt = {
  id: string;
  isFirst: boolean;
  /** refused: for now, by all operators; missed: its time was over, or its answer was lost. */
  end: "taken" | "refused" | "missed";
  /** From the message's acceptance or its send_at until this end or, refused, until its next attempt. */
  ms: number;
};
export type LaneWait = {
  took(attempt: Attempt): void;
  /** `oldestAtMs`: since when the oldest message that waits here was to be sent; null if none waits. */
  waitMs(oldestAtMs: number | null): number;
};

// Short, so that promises are the usual ones again soon after something that made the lane slow has ended.
const RECENT_MS = 5_000;
/** Longer than a breaker's pause, after which a message shows whether its operator is back. */
const REMEMBERED_MS = 60_000;
/** Fewer messages show nothing: one lost answer in a quiet lane is no outage. */
const EVIDENCE_MIN = 3;
// At 400 express messages a second all of RECENT_MS; at higher rates the latest.
const SAMPLES_MAX = 2_000;
const SHARE = 0.99;

type Sample = { atMs: number; ms: number; isFirstTaken: boolean };

export function createLaneWait({
  monotonicMs,
  now,
}: {
  monotonicMs: () => number;
  now: () => number;
}): LaneWait {
  /** By message, its latest attempt; in the order of these. */
  const samples = new Map<string, Sample>();
  let takenAtMs = Number.NEGATIVE_INFINITY;
  let missedAtMs = Number.NEGATIVE_INFINITY;
  /** Since the last one was taken. */
  let missed = 0;

  const forget = (nowMs: number) => {
    for (const [id, { atMs }] of samples) {
      if (samples.size <= SAMPLES_MAX && atMs > nowMs - RECENT_MS) return;
      samples.delete(id);
    }
  };
  const isFailing = (nowMs: number) =>
    missed >= EVIDENCE_MIN && nowMs - takenAtMs >= RECENT_MS && nowMs - missedAtMs < REMEMBERED_MS;

  return {
    took({ id, isFirst, end, ms }) {
      const atMs = monotonicMs();
      if (end === "taken" || atMs - missedAtMs >= REMEMBERED_MS) missed = 0;
      if (end === "taken") takenAtMs = atMs;
      if (end === "missed") {
        missed++;
        missedAtMs = atMs;
      }
      const isFirstTaken = isFirst && end === "taken";
      samples.delete(id);
      samples.set(id, { atMs, ms: end === "missed" ? NOT_TAKEN_WAIT_MS : ms, isFirstTaken });
      if (samples.size >= 2 * SAMPLES_MAX) forget(atMs);
    },
    waitMs(oldestAtMs) {
      const nowMs = monotonicMs();
      forget(nowMs);
      if (isFailing(nowMs) && (samples.size > 0 || oldestAtMs !== null)) return NOT_TAKEN_WAIT_MS;
      const tried = [...samples.values()];
      const first = sortedMs(tried.filter(({ isFirstTaken }) => isFirstTaken));
      const taken = first[Math.min(first.length - 1, Math.floor(first.length * SHARE))] ?? 0;
      const all = tried.length < EVIDENCE_MIN ? [] : sortedMs(tried);
      const median = all[Math.floor((all.length - 1) / 2)] ?? 0;
      const waiting = oldestAtMs === null ? 0 : now() - oldestAtMs;
      return Math.max(0, taken, median, waiting);
    },
  };
}

const sortedMs = (samples: readonly Sample[]): number[] => samples.map(({ ms }) => ms).sort((a, b) => a - b);

/**
 * What the change says about the wait; null if nothing: a message that is refused for good has failed by
 * itself. `nowMs`: when it was settled.
 */
export function attemptOf({ record, to, takenAtMs, retryInMs = 0 }: Change, nowMs: number): Attempt | null {
  const { id, attempt } = record;
  const ended = (end: Attempt["end"], atMs: number): Attempt => ({
    id,
    isFirst: attempt === 0,
    end,
    ms: atMs - wantedAtMs(record),
  });
  if (takenAtMs !== null) return ended("taken", takenAtMs);
  if (to === "queued") return ended("refused", nowMs + retryInMs);
  return to === "expired" || to === "unknown" ? ended("missed", nowMs) : null;
}
