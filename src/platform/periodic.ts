// A job that a process does again and again until it stops: one run at a time, each told when it takes too
// long, failures logged and counted, and a stop that waits for the run under way. Owns when; leaves what is
// done to the job, and doing it in one process only to named-lock.ts. Invariant: runs never overlap. Bound:
// a run that takes longer than `runMaxMs` has its signal aborted and is logged; the age of the last whole
// run is a metric, because one that never ends holds up all that follow.

import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { Timers } from "./timers.ts";

export type PeriodicDeps = { timers: Timers; metrics: Metrics; log: Log };
export type PeriodicOptions = {
  /** In logs, and the label `name` of its metrics. */
  name: string;
  /** From the end of a run to the start of the next, give or take JITTER. */
  everyMs: number;
  /** Before the first run; unless given there is no wait. */
  firstMs?: number;
  runMaxMs: number;
};
/**
 * One run. Resolves to how long to wait for the next one, where that is not `everyMs`. The signal is aborted
 * when the process stops or the run takes too long.
 */
export type Run = (signal: AbortSignal) => Promise<number | void>;
export type Periodic = { stop(): Promise<void> };

// Processes started together must not do the same thing at the same moment for ever.
const JITTER = 0.1;

export function startPeriodic(
  { timers, metrics, log }: PeriodicDeps,
  { name, everyMs, firstMs = 0, runMaxMs }: PeriodicOptions,
  run: Run,
): Periodic {
  const failed = metrics.counter("sluice_job_failed_total", { name });
  let endedMs = timers.monotonicMs();
  metrics.gauge("sluice_job_age_seconds", () => (timers.monotonicMs() - endedMs) / 1_000, { name });
  let isStopping = false;
  let failures = 0;
  let wake: () => void = () => undefined;
  let current = new AbortController();

  const rest = (ms: number) =>
    new Promise<void>((resolve) => {
      wake = resolve;
      timers.after(ms, resolve);
    });

  const once = async (): Promise<number> => {
    const controller = new AbortController();
    current = controller;
    let isRunning = true;
    timers.after(runMaxMs, () => {
      if (!isRunning) return;
      log.error({ job: name, runMaxMs }, "a job takes too long");
      controller.abort();
    });
    try {
      const waitMs = await run(controller.signal);
      failures = 0;
      endedMs = timers.monotonicMs();
      return waitMs ?? everyMs;
    } catch (err) {
      if (isStopping) return everyMs;
      failed(1);
      failures++;
      // The 1st, 2nd, 4th, 8th in a row: an engine that is away for an hour needs no thousand lines.
      if ((failures & (failures - 1)) === 0) log.warn({ err, job: name, failures }, "a job failed");
      return everyMs;
    } finally {
      isRunning = false;
    }
  };

  const loop = async () => {
    await rest(firstMs);
    while (!isStopping) {
      const waitMs = await once();
      if (!isStopping) await rest(waitMs * (1 + JITTER * (2 * timers.random() - 1)));
    }
  };
  const done = loop();
  return {
    async stop() {
      isStopping = true;
      current.abort();
      wake();
      await done;
    },
  };
}
