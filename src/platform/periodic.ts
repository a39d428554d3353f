// Runs a job periodically until the process stops: one run at a time, a warning when a run takes too long,
// failures logged and counted, and a stop that waits for the current run. Owns the timing; leaves the work to
// the job, and doing it in only one process to named-lock.ts. Invariant: runs never overlap. Bound: a run
// longer than `runMaxMs` is logged and its signal aborted; a metric shows the time since the last complete
// run, because a run that never ends prevents all later ones.

import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { Timers } from "./timers.ts";

export type PeriodicDeps = { timers: Timers; metrics: Metrics; log: Log };
export type PeriodicOptions = {
  /** Used in logs, and as the label `name` of the job's metrics. */
  name: string;
  /** From the end of a run to the start of the next, varied by JITTER. */
  everyMs: number;
  /** Delay before the first run; none by default. */
  firstMs?: number;
  runMaxMs: number;
};
/**
 * One run. Resolves to the delay before the next one in milliseconds, if that differs from `everyMs`. The
 * signal is aborted when the process stops or the run takes too long.
 */
export type Run = (signal: AbortSignal) => Promise<number | void>;
export type Periodic = { stop(): Promise<void> };

// Keeps processes that were started together from doing the same thing at the same time for ever.
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
      // Logs the 1st, 2nd, 4th, 8th failure in a row: an engine away for an hour must not cause a thousand
      // lines.
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
