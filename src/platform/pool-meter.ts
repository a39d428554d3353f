// Measures the use of one pool of MySQL connections: how many are lent, how many callers wait and for how
// long, how many connections were discarded. A pool that is always full is the first sign that the database
// has become slow.

import type { Config } from "./config.ts";
import type { Metrics } from "./metrics.ts";
import { type POOLS, QUERY_FAILURES } from "./metrics-table.ts";
import { createPool, type Pool, type PoolOptions } from "./mysql.ts";

export type QueryFailure = (typeof QUERY_FAILURES)[number];
export type PoolMeter = {
  /** A caller asks for a connection; call the returned function when its wait is over. */
  asked(): (got: boolean) => void;
  /** A lent connection was returned; `lost` if it was discarded. */
  back(lost: boolean): void;
  failed(why: QueryFailure): void;
};

function meterPool(metrics: Metrics, pool: (typeof POOLS)[number], size: number): PoolMeter {
  let waiting = 0;
  let used = 0;
  const wait = metrics.histogram("sluice_mysql_pool_wait_seconds", { pool });
  const lose = metrics.counter("sluice_mysql_pool_lost_total", { pool });
  const errors = new Map(
    QUERY_FAILURES.map((error) => [error, metrics.counter("sluice_mysql_errors_total", { pool, error })]),
  );
  metrics.gauge("sluice_mysql_pool_connections", () => size, { pool });
  metrics.gauge("sluice_mysql_pool_used", () => used, { pool });
  metrics.gauge("sluice_mysql_pool_waiting", () => waiting, { pool });
  return {
    asked() {
      const startedMs = performance.now();
      waiting++;
      return (got) => {
        waiting--;
        if (got) used++;
        wait((performance.now() - startedMs) / 1_000);
      };
    },
    back(lost) {
      used--;
      if (lost) lose(1);
    },
    failed: (why) => errors.get(why)?.(1),
  };
}

/** Creates a pool that appears in the metrics under its own name. */
export function createMeteredPool(
  { config, metrics }: { config: Config; metrics: Metrics },
  name: (typeof POOLS)[number],
  options: PoolOptions,
): Pool {
  return createPool(config, { ...options, meter: meterPool(metrics, name, options.connections) });
}
