// What every role's process has: settings, a log, metrics, traces, the health port, and its end. A role is
// started by `runRole`, which hands it to a body that makes the role's parts in order; each part names its
// check for /ready and how it stops as it is made, so that a stop at any moment finds what there is.
// Owns signals, exit codes and the order of stopping: last made, first stopped. Leaves what the parts are to
// src/main/.
// Invariant: not ready before the body has ended, nor once a stop began.
// Bound: a stop takes DRAIN_MS at most, then the process exits 1.

import { DRAIN_MS } from "../core/limits.ts";
import { type Config, describeSettings, loadConfig } from "./config.ts";
import { type CheckResult, type Readiness, serveHealth } from "./health.ts";
import { runUntilStopped } from "./lifecycle.ts";
import { createLog, type Log } from "./log.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { createTracing, type Tracing } from "./otlp.ts";
import { untilUp } from "./retry.ts";

export type Role = {
  config: Config;
  log: Log;
  metrics: Metrics;
  tracing: Tracing;
  /** Aborted when the role stops. */
  stopping: AbortSignal;
  /** A part of /ready: `down` makes the role not ready, `degraded` is only shown. */
  check(name: string, result: () => CheckResult): void;
  /** All checks, as /ready has them. */
  ready(): Readiness;
  /** How a part stops. Parts stop one after the other, the last one made first. */
  onStop(stop: () => unknown): void;
  /** Tries until it succeeds, saying what is waited for; ends when the role stops. */
  waitFor<T>(engine: string, attempt: () => Promise<T>): Promise<T>;
  /** Ends the process so that the supervisor starts it anew; `settle` is waited for, DRAIN_MS at most. */
  restart(error: unknown, why: string, settle?: () => Promise<unknown>): void;
};

const EX_USAGE = 64;
const EX_SOFTWARE = 70; // the supervisor starts it again

/**
 * Runs a role until SIGTERM or SIGINT. `usage`: the first line of --help; `name` null: the arguments were
 * wrong. Whatever the body throws, and nobody else handled, ends the process (exit 70).
 */
export function runRole(
  { name, usage }: { name: string | null; usage: string },
  start: (role: Role) => Promise<void>,
): void {
  const isAsked = process.argv.includes("--help");
  if (isAsked || name === null) {
    console.log(`${usage}\nSettings, from the environment:\n${describeSettings()}`);
    process.exit(isAsked ? 0 : EX_USAGE);
  }
  const config = loadConfig(process.env);
  const log = createLog(name, config.logLevel);
  void run(name, config, log, start); // a rejection nobody handles ends the process (lifecycle.ts)
}

async function run(
  name: string,
  config: Config,
  log: Log,
  start: (role: Role) => Promise<void>,
): Promise<void> {
  const metrics = createMetrics(name);
  const tracing = await createTracing({
    url: config.otlpUrl,
    role: name,
    sampleEvery: config.otlpSampleEvery,
  });
  const stopping = new AbortController();
  const checks: { name: string; result: () => CheckResult }[] = [];
  const stops: (() => unknown)[] = [() => tracing.close()];
  let isStarted = false;
  let isEnding = false;

  const ready = (): Readiness => {
    const results: Record<string, CheckResult> = {};
    for (const { name: check, result } of checks) results[check] = result();
    const works = isStarted && !stopping.signal.aborted;
    if (!works) results.process = "down";
    return { ready: Object.values(results).every((result) => result !== "down"), checks: results };
  };
  const role: Role = {
    config,
    log,
    metrics,
    tracing,
    stopping: stopping.signal,
    check: (check, result) => void checks.push({ name: check, result }),
    ready,
    onStop: (stop) => void stops.push(stop),
    waitFor: (engine, attempt) =>
      untilUp(
        attempt,
        (err, waitMs) => log.info({ err, wait_ms: Math.round(waitMs) }, `waiting for ${engine}`),
        stopping.signal,
      ),
    restart(err, why, settle = () => Promise.resolve()) {
      if (isEnding) return;
      isEnding = true;
      log.fatal({ err }, why);
      const end = () => process.exit(EX_SOFTWARE);
      setTimeout(end, DRAIN_MS);
      settle().then(end, end);
    },
  };
  runUntilStopped(log, DRAIN_MS, async () => {
    stopping.abort();
    for (const stop of stops.reverse()) await stop();
  });
  const health = await serveHealth(
    { log, metrics, ready },
    { host: config.apiHost, port: config.healthPort },
  );
  stops.push(() => health.close());
  try {
    await start(role);
    isStarted = true;
  } catch (error) {
    // What was waited for is not waited for any more.
    if (!stopping.signal.aborted) throw error;
  }
}
