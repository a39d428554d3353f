// Checks repeatedly that no money appears or disappears while everything is being killed: reads each
// customer's sums in one statement, which MySQL answers from one consistent read view. Leaves judging to
// checker.ts. Bound: one look at a time, and at most a fifth of the time, because each look reads every
// message and entry.

import type { Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import type { Lines, Snapshot } from "./evidence.ts";

export type Snapshots = { count(): number; stop(): Promise<void> };

const REST_MIN_MS = 300;
const REST_SHARE = 4;

const sum = (name: string, amount: string, from: string) =>
  `LEFT JOIN (SELECT customer_id, SUM(${amount}) AS amount FROM ${from} GROUP BY customer_id) AS ${name} ` +
  `ON ${name}.customer_id = w.customer_id `;
const cast = (name: string, as: string) => `CAST(COALESCE(${name}.amount, 0) AS SIGNED) AS ${as}`;
const SQL =
  `SELECT CAST(w.customer_id AS CHAR) AS customer, ${cast("t", "topups")}, w.balance AS balance, ` +
  `${cast("l", "leases")}, ${cast("o", "open")}, ${cast("c", "captured")} FROM wallet_accounts AS w ` +
  sum("t", "amount", "topups") +
  sum("l", "granted - spent", "credit_leases") +
  sum(
    "o",
    "cost",
    "messages WHERE status IN ('scheduled', 'queued', 'sending', 'unknown') AND NOT unreserved",
  ) +
  sum("c", "amount", "wallet_ledger WHERE op = 'capture'") +
  "ORDER BY w.customer_id";

export async function takeSnapshot(pool: Pool): Promise<Snapshot> {
  const customers = await pool.query<Snapshot["customers"]>(SQL);
  return { at: Date.now(), customers };
}

/** Takes snapshots until stopped; none while MySQL is away. */
export function startSnapshots(pool: Pool, lines: Lines<Snapshot>): Snapshots {
  let stopping = false;
  let count = 0;
  const loop = async () => {
    while (!stopping) {
      const startedAt = performance.now();
      try {
        lines.add(await takeSnapshot(pool));
        count++;
      } catch {
        // MySQL is being killed, or its disk is full; the next look comes soon
      }
      await sleep(Math.max(REST_MIN_MS, REST_SHARE * (performance.now() - startedAt)));
    }
  };
  const done = loop();
  return {
    count: () => count,
    async stop() {
      stopping = true;
      await done;
    },
  };
}
