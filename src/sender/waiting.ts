// Jobs that wait for room at an operator. Those that may still try the same operators are one queue, first
// come, first served; the queues take turns, so a job that can't start delays none that may use another
// operator. Usually nothing waits.
// Invariant: a job is in at most one queue, and in none while it is being started. Bound: the jobs that
// dispatch adds.

type WaitingDeps<Job> = {
  start(job: Job): "started" | "waits" | "ended";
  /** Jobs of one key can start when any of them can. */
  keyOf(job: Job): string;
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
  const { start, keyOf, isOver, monotonicMs } = deps;
  const queues = new Map<string, Job[]>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wakeAtMs = Number.POSITIVE_INFINITY;

  const startAll = () => {
    // A queue that could start a job goes to the end, where this loop comes to it again.
    for (const [key, queue] of queues) {
      // Taken out first: an answer may come at once and lead here again, and change the queues.
      const job = queue.shift();
      if (job !== undefined && start(job) === "waits") {
        queue.unshift(job);
        continue;
      }
      if (queues.get(key) !== queue) continue;
      queues.delete(key);
      if (queue.length > 0) queues.set(key, queue);
    }
  };
  const endOver = () => {
    for (const queue of queues.values()) {
      const over = queue.filter(isOver);
      if (over.length === 0) continue;
      queue.splice(0, queue.length, ...queue.filter((job) => !over.includes(job)));
      over.forEach(start);
    }
  };
  setInterval(endOver, SWEEP_MS).unref();

  return {
    add(job) {
      const key = keyOf(job);
      const queue = queues.get(key);
      if (queue === undefined) queues.set(key, [job]);
      else queue.push(job);
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
      const jobs = [...queues.values()].flat();
      queues.clear();
      return jobs;
    },
  };
}
