// Idempotency keys leave after 24 h, in bounded deletes with pauses between them, so that nobody waits for
// their locks. Every ingest process does it; what one has deleted the others don't find.

import { KEY_PURGE_ROWS_MAX } from "../core/limits.ts";
import { purgeKeys } from "../ledger/idempotency.ts";
import type { Log } from "../platform/log.ts";
import type { Pool } from "../platform/mysql.ts";
import { sleep } from "../platform/retry.ts";

/** At 3,500 keys a second, a minute leaves 210,000 to delete: 42 s of the next one, at these pauses. */
const PERIOD_MS = 60_000;
const PAUSE_MS = 200;

export function startKeyUpkeep(pool: Pool, log: Log): { stop(): Promise<void> } {
  let stopped = false;
  let running: Promise<void> | null = null;
  const purge = async () => {
    while (!stopped && (await purgeKeys(pool)) === KEY_PURGE_ROWS_MAX) await sleep(PAUSE_MS);
  };
  const start = () => {
    if (running !== null) return;
    running = purge()
      .catch((err: unknown) => log.warn({ err }, "old idempotency keys stay for now; tried again later"))
      .finally(() => {
        running = null;
      });
  };
  const timer = setInterval(start, PERIOD_MS);
  start();
  return {
    async stop() {
      stopped = true;
      clearInterval(timer);
      await running;
    },
  };
}
