// Jobs that wait for room at an operator. Those that may still try the same operators are one queue; the
// queues take turns, so a job that can't start delays none that may use another operator. Within a queue the
// customers take turns too: who has a thousand jobs waiting delays nobody who has one. Usually nothing waits.
// Invariant: a job is in at most one queue, and in none while it is being started. Bound: the jobs that
// dispatch adds.

import { createFairQueue, type FairQueue } from "./fair-queue.ts";

type WaitingDeps<Job> = {
  start(job: Job): "started" | "waits" | "ended";
  /** Jobs of one key can start when any of them can. */
  keyOf(job: Job): string;
  customerOf(job: Job): number;
  partsOf(job: Job): number;
  /** Its time is over: `start` will end it. */
  isOver(job: Job): boolean;
  monotonicMs: () => number;
};
export type Waiting<Job> = {
  add(job: Job): void;
  /** Starts whatever can start. */
  startAll(): void;
  /** Calls startAll after this time at the latest. */
  wakeIn(ms: number): void;
  /** Empties the queues, in no particular order. */
  takeAll(): Job[];
};

/** Usually answers drive the queues; this ends jobs that wait past their time when no answer comes. */
const SWEEP_MS = 500;

export function createWaiting<Job>(deps: WaitingDeps<Job>): Waiting<Job> {
  const { start, keyOf, customerOf, partsOf, isOver, monotonicMs } = deps;
  const most = { customerMax: Number.POSITIVE_INFINITY, totalMax: Number.POSITIVE_INFINITY };
  const queues = new Map<string, FairQueue<Job>>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wakeAtMs = Number.POSITIVE_INFINITY;

  const startAll = () => {
    // A queue that could start a job goes to the end, where this loop comes to it again.
    for (const [key, queue] of queues) {
      // Taken out first: an answer may come at once and lead here again, and change the queues.
      const [job] = queue.take(1);
      if (job !== undefined && start(job) === "waits") {
        queue.giveBack(job);
        continue;
      }
      if (queues.get(key) !== queue) continue;
      queues.delete(key);
      if (queue.size() > 0) queues.set(key, queue);
    }
  };
  setInterval(() => {
    for (const queue of queues.values()) queue.remove(isOver).forEach(start);
  }, SWEEP_MS).unref();

  return {
    add(job) {
      const key = keyOf(job);
      let queue = queues.get(key);
      if (queue === undefined)
        queues.set(key, (queue = createFairQueue<Job>({ customerOf, partsOf, ...most })));
      queue.add(job);
    },
    startAll,
    wakeIn(ms) {
      const atMs = monotonicMs() + ms;
      if (atMs >= wakeAtMs) return;
      clearTimeout(timer);
      wakeAtMs = atMs;
      timer = setTimeout(() => {
        wakeAtMs = Number.POSITIVE_INFINITY;
        startAll();
      }, Math.ceil(ms));
    },
    takeAll() {
      const jobs = [...queues.values()].flatMap((queue) => queue.take(Number.POSITIVE_INFINITY));
      queues.clear();
      return jobs;
    },
  };
}
