// When a group commit begins: how long the queue lingers before the next one. A commit costs MySQL and this
// process over a millisecond whatever it holds, so while messages keep coming they begin a certain time
// apart, which follows how long commits take at present: a busy database is given fewer, fuller ones.
// Decision 0004 has the measurements. Owns no queue and no timer.
// Invariants: a message that comes alone never waits; none waits longer than PACE_MAX_MS; callers that wait
// for their answers, however many, lose nothing: once as many are queued as commits held of late, all of
// them have asked again.

import { COMMIT_ROWS_MAX } from "../core/limits.ts";

/** Below this a commit of a few rows costs more CPU than it saves anybody time. */
const PACE_MIN_MS = 4;
const PACE_MAX_MS = 15;
/** Between the beginnings of two commits, in units of what one takes. */
const PACE_FACTOR = 1.5;
/** From so many rows on a batch gains little by growing. */
const ENOUGH_ROWS = COMMIT_ROWS_MAX / 2;
/** Commits looked back at. */
const RECENT = 8;
/** Weight of the last commit in how long they take. */
const SMOOTHING = 0.1;

export type CommitPace = {
  /** How long so many queued messages should wait for more, in milliseconds. */
  waitMs(queued: number): number;
  /** A commit of so many begins; call what it returns when it has ended. */
  begin(rows: number): () => void;
};

export function createCommitPace(monotonicMs: () => number): CommitPace {
  const recentRows: number[] = [];
  let begunMs = Number.NEGATIVE_INFINITY;
  let takesMs = 0;
  return {
    waitMs(queued) {
      const last = recentRows.at(-1) ?? 0;
      if (last < 2 || queued >= ENOUGH_ROWS || queued >= Math.max(...recentRows)) return 0;
      const paceMs = Math.min(PACE_MAX_MS, Math.max(PACE_MIN_MS, PACE_FACTOR * takesMs));
      return Math.max(0, begunMs + paceMs - monotonicMs());
    },
    begin(rows) {
      recentRows.push(rows);
      if (recentRows.length > RECENT) recentRows.shift();
      const startedMs = (begunMs = monotonicMs());
      return () => (takesMs += (monotonicMs() - startedMs - takesMs) * SMOOTHING);
    },
  };
}
