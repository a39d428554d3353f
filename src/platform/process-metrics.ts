// Metrics that every process has. They are read at each scrape, except for the event loop, whose lateness is
// measured ten times a second, because callers feel a stall between two scrapes. prom-client's default
// metrics sample the event loop every 10 ms, and promtool rejects three of their names. A long stall is also
// logged, with the CPU time that the process used in it.

import { readdirSync, readFileSync } from "node:fs";
import { COMMIT } from "./commit.ts";
import { COUNTED_LEVELS, type Log, linesLogged } from "./log.ts";
import type { Metrics } from "./metrics.ts";

const LOOP_EVERY_MS = 100;
const STALL_MS = 2_000;

export function watchProcess(metrics: Metrics, log: Log | undefined): void {
  metrics.counted("process_cpu_seconds_total", {}, () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  metrics.gauge("process_resident_memory_bytes", () => process.memoryUsage.rss());
  const startedAtS = Date.now() / 1_000 - process.uptime();
  metrics.gauge("process_start_time_seconds", () => startedAtS);
  metrics.gauge("process_open_fds", openFiles);
  const openMax = openFilesMax();
  metrics.gauge("process_max_fds", () => openMax);
  const runtime = process.versions.bun === undefined ? "node" : "bun";
  metrics.gauge("sluice_build_info", () => 1, { version: VERSION, commit: COMMIT, runtime });
  for (const level of COUNTED_LEVELS)
    metrics.counted("sluice_log_lines_total", { level }, () => linesLogged(level));
  watchLoop(metrics.histogram("sluice_event_loop_lag_seconds", {}), log);
}

const { version: VERSION } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
) as { version: string };

function watchLoop(observe: (seconds: number) => void, log: Log | undefined): void {
  let dueMs = performance.now() + LOOP_EVERY_MS;
  let used = process.cpuUsage();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const lateMs = Math.max(0, nowMs - dueMs);
    observe(lateMs / 1_000);
    dueMs = nowMs + LOOP_EVERY_MS;
    const { user, system } = process.cpuUsage(used);
    used = process.cpuUsage();
    if (lateMs >= STALL_MS)
      log?.warn(
        { late_ms: Math.round(lateMs), cpu_ms: Math.round((user + system) / 1e3) },
        "this process stood still; if it used little CPU time, it was suspended, blocked or got no CPU",
      );
  }, LOOP_EVERY_MS);
  timer.unref(); // must not keep the process alive
}

function openFiles(): number | null {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return null; // not Linux, or no file descriptor left to read the folder
  }
}

/** The soft limit on open files; null where it can't be read. */
function openFilesMax(): number | null {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return limit === undefined ? null : Number(limit);
  } catch {
    return null;
  }
}
