// Waits until the credit that processes hold of a customer is back in its wallet, after a recall of all of it
// (src/ledger/lease-admin.ts): by then, what was changed with the recall holds everywhere.

import { drainsLeft } from "../ledger/lease-admin.ts";
import type { Pool } from "../platform/mysql.ts";
import { sleep } from "../platform/retry.ts";

// Twice the longest lifetime of a dead process's lease: draining takes no longer than that.
const DRAIN_WAIT_MAX_MS = 60_000;
const PROGRESS_MS = 2_000;
const LOOK_MS = 100;

/** `changed`: what is stored already, for the error. @throws Error after DRAIN_WAIT_MAX_MS */
export async function drain(pool: Pool, customerId: number, changed: string): Promise<void> {
  const startedMs = performance.now();
  let toldMs = startedMs;
  for (let left = 1; left > 0; ) {
    left = await drainsLeft(pool, customerId);
    const nowMs = performance.now();
    if (left > 0 && nowMs - startedMs > DRAIN_WAIT_MAX_MS)
      throw new Error(`${changed}, but leases still hold ${left}; see: ./sluice lease list`);
    if (left > 0 && nowMs - toldMs > PROGRESS_MS) {
      toldMs = nowMs;
      process.stderr.write(`waiting for processes to return ${left} …\n`);
    }
    if (left > 0) await sleep(LOOK_MS);
  }
}
