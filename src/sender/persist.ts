// Repeats a transaction while the database is away. Owns how often and for how long; `body` must be safe to
// repeat.

import { monotonicMs } from "./monotonic.ts";
import type { Log } from "../platform/log.ts";
import { backoffMs, sleep } from "../platform/retry.ts";
import { AssertionError } from "node:assert";

/** Abandoned because the process is stopping: the next reader gets the records again. */
export class StoppedError extends Error {
  override readonly name = "StoppedError";
}

export type Persist = {
  run<T>(what: string, body: (isRepeated: boolean) => Promise<T>): Promise<T>;
  /** Whether the last transaction succeeded. */
  isUp(): boolean;
};

const RETRY = { firstMs: 50, mostMs: 1_000 };
// After this time the process restarts; what it held becomes `unknown` when its claims expire.
const WAIT_MAX_MS = 10 * 60_000;

export function createPersist(log: Log): Persist {
  let failures = 0;
  return {
    async run(what, body) {
      const startedMs = monotonicMs();
      for (let attempt = 1; ; attempt++) {
        try {
          const result = await body(attempt > 1);
          failures = 0;
          return result;
        } catch (err) {
          const isHopeless = err instanceof AssertionError || err instanceof StoppedError;
          if (isHopeless || monotonicMs() - startedMs > WAIT_MAX_MS) throw err;
          failures++;
          log.warn({ err, attempt }, `could not ${what}: the database failed; trying again`);
          await sleep(backoffMs(RETRY, attempt));
        }
      }
    },
    isUp: () => failures === 0,
  };
}
