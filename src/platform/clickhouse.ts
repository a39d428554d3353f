// The one file that imports @clickhouse/client. Owns its connections, time limits and which of its errors
// mean "not now"; leaves every statement to its callers. Values only ever travel as bound parameters. Bounds:
// connections, time and rows of a query, set on each request, since the engine behind it has no users with
// limits of their own.

import { ClickHouseError, ClickHouseLogLevel, createClient } from "@clickhouse/client";
import { SluiceError } from "../core/errors.ts";
import type { Config } from "./config.ts";

export type ClickhouseParams = Record<string, string | number | readonly string[] | readonly number[]>;

export type Clickhouse = {
  /**
   * Rows as objects; 64-bit integers come as strings. @throws SluiceError reports_unavailable when it can't
   * answer now
   */
  query<T>(sql: string, params?: ClickhouseParams): Promise<T[]>;
  /** DDL and the like. @throws as `query` */
  command(sql: string, params?: ClickhouseParams): Promise<void>;
  /** Rows into a table; for tests and repairs, the events come by Kafka. */
  insert(table: string, rows: readonly Record<string, unknown>[]): Promise<void>;
  ping(): Promise<boolean>;
  close(): Promise<void>;
};

export type ClickhouseOptions = {
  connections?: number;
  timeoutMs?: number;
  /** Another database than the config's, such as `default` before that one exists. */
  database?: string;
};

const RETRY_AFTER_S = 5;
// timeout, too many queries, too slow, network, no free connection, aborted, memory limit, all connections
// failed
const NOT_NOW = new Set(["159", "202", "160", "210", "203", "236", "241", "279", "209", "394"]);

export function createClickhouse(config: Config, options: ClickhouseOptions = {}): Clickhouse {
  const { connections = 4, timeoutMs = 10_000, database = config.clickhouseDatabase } = options;
  const client = createClient({
    url: `http://${config.clickhouseHost}:${config.clickhousePort}`,
    database,
    request_timeout: timeoutMs,
    max_open_connections: connections,
    // Its lines are not JSON, and hold the query; callers log what they handle.
    log: { level: ClickHouseLogLevel.OFF },
    compression: { request: false, response: false }, // it is the same machine, or the same rack
  });
  const guarded = async <T>(run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (cause) {
      throw isNotNow(cause)
        ? new SluiceError("reports_unavailable", { cause, retryAfterS: RETRY_AFTER_S })
        : cause;
    }
  };
  return {
    query: (sql, params = {}) =>
      guarded(async () => {
        const result = await client.query({ query: sql, query_params: params, format: "JSONEachRow" });
        return result.json();
      }),
    command: (sql, params = {}) =>
      guarded(async () => {
        await client.command({ query: sql, query_params: params });
      }),
    insert: (table, rows) =>
      guarded(async () => {
        await client.insert({ table, values: rows, format: "JSONEachRow" });
      }),
    ping: async () => (await client.ping()).success,
    close: () => client.close(),
  };
}

// What the server itself refused has a number; anything else (refused connection, reset, time-out) never
// reached a decision.
function isNotNow(error: unknown): boolean {
  return !(error instanceof ClickHouseError) || NOT_NOW.has(error.code);
}
