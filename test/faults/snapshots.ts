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
  `LEFT JOIN (SELECT customer_id, ${amount} FROM ${from} GROUP BY customer_id) AS ${name} ` +
  `ON ${name}.customer_id = w.customer_id `;
const ofOps = (ops: string, as: string) => `SUM(CASE op ${ops} ELSE 0 END) AS ${as}`;
const cast = (of: string, as: string) => `CAST(COALESCE(${of}, 0) AS SIGNED) AS ${as}`;
const SQL =
  `SELECT CAST(w.customer_id AS CHAR) AS customer, ${cast("t.amount", "topups")}, w.balance AS balance, ` +
  `${cast("l.amount", "leases")}, ${cast("o.amount", "open")}, ${cast("e.captured", "captured")}, ` +
  `${cast("e.adjusted", "adjusted")}, ${cast("e.spent", "spent")} FROM wallet_accounts AS w ` +
  sum("t", "SUM(amount) AS amount", "topups") +
  sum("l", "SUM(granted - spent) AS amount", "credit_leases") +
  sum(
    "o",
    "SUM(cost) AS amount",
    "messages WHERE status IN ('scheduled', 'queued', 'sending', 'unknown') AND NOT unreserved",
  ) +
  sum(
    "e",
    `${ofOps("WHEN 'capture' THEN amount", "captured")}, ${ofOps("WHEN 'reserve' THEN amount", "spent")}, ` +
      ofOps("WHEN 'adjust_up' THEN amount WHEN 'adjust_down' THEN -amount", "adjusted"),
    "wallet_ledger WHERE op IN ('capture', 'reserve', 'adjust_up', 'adjust_down')",
  ) +
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
