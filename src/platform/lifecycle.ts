// The life of a process: stops once on SIGTERM or SIGINT, within a bound, and exits 0; crashes on any
// unhandled error.
// Owns signals and exit codes. The process exits 1 if `stop` takes longer than drainMaxMs.

import type { Log } from "./log.ts";

/** Call it once per process. `stop` is run once, on the first signal. */
export function runUntilStopped(log: Log, drainMaxMs: number, stop: () => Promise<void>): void {
  let stopping = false;
  const onSignal = (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, "stopping");
    setTimeout(() => {
      log.error({ drainMaxMs }, "did not stop in time");
      process.exit(1);
    }, drainMaxMs).unref();
    stop().then(
      () => {
        log.info("stopped");
        process.exit(0);
      },
      (err: unknown) => {
        log.error({ err }, "stopping failed");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  const crash = (err: unknown) => {
    log.fatal({ err }, "crashed");
    process.exit(70); // EX_SOFTWARE: the supervisor restarts it
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
}
