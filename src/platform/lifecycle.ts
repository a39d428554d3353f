// One process's life: stop on SIGTERM or SIGINT once, within a bound, exit 0; crash on what nobody handled.
// Owns signals and exit codes. `stop` steps run in the order given; the process exits 1 when they take longer
// than drainMaxMs.

import type { Log } from "./log.ts";

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
    process.exit(70); // EX_SOFTWARE: the supervisor starts it again
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
}
