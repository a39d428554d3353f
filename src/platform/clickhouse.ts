// The only file that imports @clickhouse/client. Owns its connections, time limits, and which of its errors
// mean "not now"; leaves every statement to its callers. Values are only passed as bound parameters. Bounds:
// connections, and the time and rows of a query. They are set on each request, because the local engine has
// no users with limits of their own.

import { ClickHouseError, ClickHouseLogLevel, createClient } from "@clickhouse/client";
import { SluiceError } from "../core/errors.ts";
import type { Config } from "./config.ts";

export type ClickhouseParams = Record<string, string | number | readonly string[] | readonly number[]>;

export type Clickhouse = {
  /**
   * Returns rows as objects; 64-bit integers are strings. @throws SluiceError reports_unavailable when it
   * can't answer now
   */
  query<T>(sql: string, params?: ClickhouseParams): Promise<T[]>;
  /** DDL and similar statements. @throws as `query` */
  command(sql: string, params?: ClickhouseParams): Promise<void>;
  /** Inserts rows into a table; for tests and repairs only, because events arrive through Kafka. */
  insert(table: string, rows: readonly Record<string, unknown>[]): Promise<void>;
  ping(): Promise<boolean>;
  close(): Promise<void>;
};

export type ClickhouseOptions = {
  connections?: number;
  timeoutMs?: number;
  /** A database other than the config's, such as `default` before that one exists. */
  database?: string;
};

/** For asking it now and then whether it is there, beside those that wait for reports. */
export const PROBE_OPTIONS: ClickhouseOptions = { connections: 1, timeoutMs: 5_000 };

const RETRY_AFTER_S = 5;
// timeout, too many queries, too slow, network, no free connection, aborted, memory limit, all connections
// failed
const NOT_NOW = new Set(["159", "202", "160", "210", "203", "236", "241", "279", "209", "394"]);
// unknown table, unknown database: its disk was lost, or it isn't migrated yet
const NO_TABLES = new Set(["60", "81"]);

export function createClickhouse(config: Config, options: ClickhouseOptions = {}): Clickhouse {
  const { connections = 4, timeoutMs = 10_000, database = config.clickhouseDatabase } = options;
  const client = createClient({
    url: `http://${config.clickhouseHost}:${config.clickhousePort}`,
    username: config.clickhouseUser,
    password: config.clickhousePassword,
    database,
    request_timeout: timeoutMs,
    max_open_connections: connections,
    // Its log lines are not JSON and contain the query; callers log the errors they handle.
    log: { level: ClickHouseLogLevel.OFF },
    compression: { request: false, response: false }, // it runs on the same machine, or in the same rack
  });
  // What nobody waits for any more ends in the server, too; a statement's own SETTINGS may say less.
  const clickhouse_settings = { max_execution_time: Math.ceil(timeoutMs / 1_000) };
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
        const asked = { query: sql, query_params: params, format: "JSONEachRow" } as const;
        const result = await client.query({ ...asked, clickhouse_settings });
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

// An error that the server itself decided on has a number; without one (refused connection, reset, time-out)
// the request never reached a decision.
function isNotNow(error: unknown): boolean {
  return !(error instanceof ClickHouseError) || NOT_NOW.has(error.code) || NO_TABLES.has(error.code);
}

/** Whether this `reports_unavailable` is of a ClickHouse that answers, but doesn't have our tables. */
export const hasNoTables = (error: unknown): boolean =>
  error instanceof SluiceError && error.cause instanceof ClickHouseError && NO_TABLES.has(error.cause.code);
