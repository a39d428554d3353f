// What the process of every role has: settings, a log, metrics, traces, the health port, and an orderly stop.
// `runRole` starts a role and calls a body that creates the role's parts in order; each part registers its
// check for /ready and how it stops when it is created, so that a stop at any moment finds exactly the
// existing parts.
// Owns signals, exit codes and the order of stopping: last created, first stopped. Leaves what the parts are
// to src/main/.
// Invariant: not ready before the body has ended, nor once stopping has begun.
// Bound: stopping takes at most DRAIN_MS, then the process exits 1.

import { DRAIN_MS } from "../core/limits.ts";
import { type Config, describeSettings, healthPortOf, loadRoleConfig, settings } from "./config.ts";
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
  /** Aborted when the role begins to stop. */
  stopping: AbortSignal;
  /** Registers a part of /ready: `down` makes the role not ready, `degraded` is only shown. */
  check(name: string, result: () => CheckResult): void;
  /** The results of all checks, as /ready shows them. */
  ready(): Readiness;
  /** Registers how a part stops. Parts stop one at a time, the last created first. */
  onStop(stop: () => unknown): void;
  /** Registers what is done on SIGHUP; without it the signal ends the process. */
  onReload(reload: () => void): void;
  /** Tries until it succeeds, logging what it waits for; gives up when the role stops. */
  waitFor<T>(engine: string, attempt: () => Promise<T>): Promise<T>;
  /** Ends the process, so that it is restarted; first waits for `settle`, at most DRAIN_MS. */
  restart(error: unknown, why: string, settle?: () => Promise<unknown>): void;
};

const EX_USAGE = 64;
const EX_SOFTWARE = 70; // the supervisor restarts it

/** `usage` is the first line of --help; `name` is null if the arguments were wrong. */
type RoleOptions = { name: string | null; usage: string; healthOffset: number };

/**
 * Runs a role until SIGTERM or SIGINT. Anything the body throws that isn't handled elsewhere ends the process
 * (exit 70).
 */
export function runRole(
  { name, usage, healthOffset }: RoleOptions,
  start: (role: Role) => Promise<void>,
): void {
  const isAsked = process.argv.includes("--help");
  if (isAsked || name === null) {
    const own = { healthPort: healthPortOf(settings.healthPort.fallback, healthOffset, 1) };
    console.log(`${usage}\nSettings, from the environment:\n${describeSettings(own)}`);
    process.exit(isAsked ? 0 : EX_USAGE);
  }
  const config = loadRoleConfig(process.env, healthOffset);
  const log = createLog(name, config.logLevel);
  void run(name, config, log, start); // an unhandled rejection ends the process (lifecycle.ts)
}

async function run(
  name: string,
  config: Config,
  log: Log,
  start: (role: Role) => Promise<void>,
): Promise<void> {
  const metrics = createMetrics(name, log);
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
    onReload: (reload) => void process.on("SIGHUP", reload),
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
    { host: config.healthHost, port: config.healthPort },
  );
  stops.push(() => health.close());
  try {
    await start(role);
    isStarted = true;
  } catch (error) {
    // The role is stopping, so what it waited for no longer matters.
    if (!stopping.signal.aborted) throw error;
  }
}
