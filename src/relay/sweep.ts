// Requeues messages that stay `queued` although nothing of them is left in the outbox or in Kafka: a broker
// does not fsync each record, so a failing disk or power supply can lose records it had acknowledged. One
// loop per lane.
// Owns the order of the steps; leaves the proof of a loss to proof.ts, which ids to look through to
// open-ids.ts, messages to the ledger, topics to platform/kafka/admin.ts.
// States of a lane: see proof.ts; proven → looks through ids up to the moment, then through those that were
// scheduled, whose ids may be much older → pause → a new moment.
// Invariants: a message is requeued only when its loss is proven and its row, under lock, is still queued at
// that attempt; one relay at a time looks. Bound: LOOK_MS of looking and REQUEUE_MAX messages a tick; then a
// rest of PAUSE_FACTOR times the time it took, between a ninth of `afterMs` and all of it.

import { ulidBound } from "../core/id.ts";
import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import type { Lane } from "../core/message.ts";
import { hasHeldRows, lastHeldRow } from "../ledger/held.ts";
import {
  forgetOpenFrom,
  type IdRange,
  lookForMoved,
  lookForQueued,
  openFrom,
  type Queued,
  requeue,
  setOpenFrom,
} from "../ledger/requeue.ts";
import type { MovedPlace } from "../ledger/schedule-rows.ts";
import type { TopicAdmin, TopicOffsets } from "../platform/kafka/topics.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { withLock } from "../platform/named-lock.ts";
import { type Periodic, type PeriodicDeps, startPeriodic } from "../platform/periodic.ts";
import { addOpen, isAhead, isForgotten, markOf, rangesToLook, type Swept } from "./open-ids.ts";
import { hasRowsOf, momentOf } from "./outbox.ts";
import { judge } from "./proof.ts";

export type SweepDeps = PeriodicDeps & { pool: Pool; topics: TopicAdmin; now: () => number };
export type SweepOptions = {
  lanes: readonly { lane: Lane; topic: string; group: string }[];
  /** Messages queued for less than this are not looked at: their transaction may still be open. */
  afterMs: number;
};

const TICK_MS = 1_000;
const RUN_MAX_MS = 60_000;
const PAUSE_SHARE = 1 / 9;
const PAUSE_FACTOR = 20;
const LOOK_MS = 300;
const REQUEUE_MAX = 10 * CLAIM_ROWS_MAX;
// Allowance for the time between a message's updated_at and its commit, on top of `afterMs`; and for the time
// between a moment and what another relay stores meanwhile.
const SLACK_MS = 2_000;
const FIRST_ID = ulidBound(0);

type State =
  | { at: "outbox"; momentMs: number; lastRow: number }
  | { at: "kafka"; momentMs: number; seen: TopicOffsets }
  | { at: "held"; momentMs: number; lastHeld: number }
  | { at: "proven"; momentMs: number; search: Search | null; tookMs: number };
/**
 * What is still to be looked through, up to `to`, and what was found open; null: it has yet to begin.
 * `moved`: how far it has looked through those that were scheduled, which comes last; null: not at all.
 */
type Search = {
  todo: readonly IdRange[];
  open: readonly IdRange[];
  to: string;
  moved: MovedPlace | "all" | null;
};
type Counts = Record<"swept_total" | "sweep_failed_total" | "sweeps_total", number>;
type LaneSweep = SweepDeps &
  Omit<SweepOptions, "lanes"> &
  SweepOptions["lanes"][number] & {
    counts: Counts;
    /** What this process's last sweep left; null before it. */
    swept: Swept | null;
  };

export function startSweep(deps: SweepDeps, { lanes, afterMs }: SweepOptions): Periodic {
  const counts = deps.metrics.counts("sluice_relay", ["swept_total", "sweep_failed_total", "sweeps_total"]);
  const sweptToMs = new Map(lanes.map(({ lane }) => [lane, deps.now()]));
  deps.metrics.gauges("sluice_relay_sweep_age_seconds", () =>
    [...sweptToMs].map(([lane, ms]) => [{ lane }, (deps.now() - ms) / 1_000] as const),
  );
  const jobs = lanes.map((of) => {
    const lane: LaneSweep = { ...deps, ...of, afterMs, counts, swept: null };
    let state: State | null = null;
    const options = { name: `sweep-${of.lane}`, everyMs: TICK_MS, runMaxMs: RUN_MAX_MS };
    // When an engine fails, the state is kept: offsets are judged again with the next answer.
    return startPeriodic(deps, options, async () => {
      const before: State | null = state;
      state = await step(lane, state);
      if (state !== null || before?.at !== "proven") return TICK_MS;
      counts.sweeps_total++;
      sweptToMs.set(of.lane, before.momentMs);
      return Math.max(afterMs * PAUSE_SHARE, Math.min(afterMs, before.tookMs * PAUSE_FACTOR));
    });
  });
  return {
    async stop() {
      await Promise.all(jobs.map((job) => job.stop()));
    },
  };
}

async function step(lane: LaneSweep, state: State | null): Promise<State | null> {
  const { pool, topics, topic, group } = lane;
  if (state === null) {
    const moment = await momentOf(pool);
    await forgetAhead(lane, moment.momentMs);
    return { at: "outbox", ...moment };
  }
  switch (state.at) {
    case "outbox": {
      // The row of a retry may be due much later; its message counts as due only then, and is not looked for.
      const dueMs = state.momentMs + SLACK_MS;
      if (await hasRowsOf(pool, lane.lane, { lastRow: state.lastRow, dueMs })) return state;
      const seen = await topics.offsets(topic, group);
      return seen === null ? null : { at: "kafka", momentMs: state.momentMs, seen };
    }
    case "kafka": {
      const now = await topics.offsets(topic, group);
      if (now === null) return null;
      const verdict = judge(state.seen, now);
      if (verdict === "waiting") return state;
      if (verdict === "passed")
        return { at: "held", momentMs: state.momentMs, lastHeld: await lastHeldRow(pool) };
      lane.log.warn(
        { topic, seen: state.seen, now },
        "records of this topic were lost; the sweep starts over",
      );
      return null;
    }
    case "held":
      if (await hasHeldRows(pool, lane.lane, state.lastHeld)) return state;
      return { at: "proven", momentMs: state.momentMs, search: null, tookMs: 0 };
    case "proven":
      return withLock(pool, `sweep-${lane.lane}`, (conn) => look(lane, conn, state)).then((next) =>
        next === "busy" ? state : next,
      );
  }
}

/**
 * No sweep comes nearer to the present than `afterMs`. What went further went by a clock that has been set
 * back since, and new ids are below it: they are looked through as if nothing had been.
 */
async function forgetAhead(lane: LaneSweep, momentMs: number): Promise<void> {
  const latest = ulidBound(momentMs - lane.afterMs + SLACK_MS);
  const wasStored = await forgetOpenFrom(lane.pool, lane.lane, latest);
  if (!wasStored && !isAhead(lane.swept, latest)) return;
  lane.swept = null;
  lane.log.warn({ lane: lane.lane }, "MySQL's clock was set back; the sweep looks through all ids again");
}

type Proven = Extract<State, { at: "proven" }>;

async function look(lane: LaneSweep, conn: Connection, state: Proven): Promise<Proven | null> {
  const startedMs = performance.now();
  const cutoffMs = state.momentMs - lane.afterMs;
  const search = await searchOf(lane, conn, state.search, ulidBound(cutoffMs));
  const [todo, open] = [[...search.todo], [...search.open]];
  let [next, put] = [0, 0];
  let { moved } = search;
  const isEnough = () => put >= REQUEUE_MAX || performance.now() - startedMs >= LOOK_MS;
  const requeueAll = async (lost: Queued[]) => {
    for (let at = 0; at < lost.length; at += CLAIM_ROWS_MAX)
      await requeueSome(lane, lost.slice(at, at + CLAIM_ROWS_MAX));
    put += lost.length;
  };
  for (let range = todo[0]; range !== undefined; range = todo[next]) {
    if (isEnough()) break;
    const found = await lookForQueued(conn, lane.lane, range, cutoffMs);
    await requeueAll(found.queued);
    if (found.open !== null) addOpen(open, found.open, range.from);
    if (found.next < range.to) todo[next] = { from: found.next, to: range.to };
    else next++;
  }
  while (next === todo.length && moved !== "all" && !isEnough()) {
    const found = await lookForMoved(conn, lane.lane, moved, cutoffMs);
    await requeueAll(found.queued);
    moved = found.next ?? "all";
  }
  const tookMs = state.tookMs + performance.now() - startedMs;
  if (moved !== "all")
    return { ...state, search: { todo: todo.slice(next), open, to: search.to, moved }, tookMs };
  const swept = { open, to: search.to };
  await setOpenFrom(conn, lane.lane, markOf(swept));
  lane.swept = swept;
  return null;
}

async function searchOf(
  lane: LaneSweep,
  conn: Connection,
  begun: Search | null,
  before: string,
): Promise<Search> {
  const stored = await openFrom(conn, lane.lane);
  const mark = stored ?? FIRST_ID;
  // Stored at once: if it is deleted while the first search runs, that one is over, too.
  if (stored === null) await setOpenFrom(conn, lane.lane, mark);
  const isOver = stored === null || isForgotten(lane.swept, mark);
  if (isOver) lane.swept = null;
  if (begun !== null && !isOver) return begun;
  const { swept } = lane;
  const to = swept !== null && swept.to > before ? swept.to : before;
  return { todo: rangesToLook(swept, mark, before), open: [], to, moved: null };
}

async function requeueSome({ pool, lane, counts, log, now }: LaneSweep, lost: Queued[]): Promise<void> {
  const { ids, ended } = await requeue(pool, lost, now());
  counts.swept_total += ids.length;
  counts.sweep_failed_total += ended.length;
  if (ids.length + ended.length > 0)
    log.warn({ lane, ids, ended }, "requeued messages whose records were lost");
}
