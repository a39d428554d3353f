// `reconcile`: runs src/reconcile/reconcile.ts and prints the result. Exit code 0: clean, 1: drift, 2: could
// not check.

import { exitCodeOf, reconcile } from "../reconcile/reconcile.ts";
import type { ReconcileResult } from "../reconcile/result.ts";
import { createClickhouse } from "../platform/clickhouse.ts";
import type { Config } from "../platform/config.ts";
import { createPool } from "../platform/mysql.ts";
import { say } from "../platform/output.ts";

export type ReconcileCommandOptions = {
  customerId: number | null;
  settled: boolean;
  resend: boolean;
  json: boolean;
  /** How long the snapshot may take. */
  maxMs: number;
};

/** For a statement that reads one day of all customers' messages. */
const CLICKHOUSE_TIMEOUT_MS = 120_000;

export async function reconcileCommand(config: Config, options: ReconcileCommandOptions): Promise<0 | 1 | 2> {
  const pool = createPool(config, { connections: 2 });
  const clickhouse = createClickhouse(config, { timeoutMs: CLICKHOUSE_TIMEOUT_MS });
  try {
    const { customerId, settled, resend, maxMs } = options;
    const result = await reconcile(
      { pool, clickhouse },
      { ...(customerId !== null && { customerId }), settled, resend, maxMs },
    );
    say(options.json ? JSON.stringify(result) : asText(result));
    return exitCodeOf(result);
  } finally {
    await Promise.all([pool.end(), clickhouse.close()]);
  }
}

function asText(result: ReconcileResult): string {
  if (result.kind === "could_not_check") return `could not check: ${result.reason}`;
  const { checked, pending, resent } = result;
  const counts = [
    `${checked.customers} customers, ${checked.messages} messages, ${checked.entries} entries checked ` +
      `at ${checked.at}`,
    `pending: ${pending.messages} messages, ${pending.events} event rows, ${pending.entries} entries, ` +
      `${pending.statuses} statuses on their way`,
    ...(resent > 0 ? [`sent again: ${resent} events`] : []),
  ];
  if (result.kind === "clean")
    return ["clean: every wallet, entry and message adds up", ...counts].join("\n");
  const drifts = result.drifts.map(
    ({ invariant, customer_id, detail, expected, found }) =>
      `  customer ${customer_id}: ${invariant}: expected ${expected}, found ${found}: ${detail}`,
  );
  return [`DRIFT: ${result.drifts.length} found (--json names the entries)`, ...counts, ...drifts].join("\n");
}
