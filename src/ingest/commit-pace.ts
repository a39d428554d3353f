// Decides how long the queue lingers before the next group commit. A commit costs MySQL and this process more
// than a millisecond however few rows it holds, so while messages keep coming, commits begin a certain time
// apart. That time follows how long commits take at present: a busy machine gets fewer, fuller commits.
// Decision 0004 has the measurements. Owns neither the queue nor a timer.
// Invariants: a message that comes alone never waits; none waits longer than PACE_MAX_MS; clients that send
// their next message only after the last answer lose nothing: once as many messages are queued as recent
// commits held, all of these clients have sent again, so the commit begins.

import { COMMIT_ROWS_MAX } from "../core/limits.ts";

/** Commits closer together than this cost more CPU than the latency they save is worth. */
const PACE_MIN_MS = 2.5;
const PACE_MAX_MS = 15;
/** What a commit takes on a machine with little to do, most of it for its flushes, which need no CPU. */
const IDLE_MS = 3;
/** Time between the beginnings of two commits, as a multiple of what one takes beyond that. */
const PACE_FACTOR = 3;
/** From this many rows on, a larger batch saves little. */
const ENOUGH_ROWS = COMMIT_ROWS_MAX / 2;
/** How many recent commits to look back at. */
const RECENT = 8;
/** Weight of the latest commit in the moving average of their duration. */
const SMOOTHING = 0.1;

export type CommitPace = {
  /** How long this many queued messages should wait for more, in milliseconds. */
  waitMs(queued: number): number;
  /** Call when a commit of `rows` begins; call the returned function when it has ended. */
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
      const paceMs = Math.min(PACE_MAX_MS, Math.max(PACE_MIN_MS, PACE_FACTOR * (takesMs - IDLE_MS)));
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
