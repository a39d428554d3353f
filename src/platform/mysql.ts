// The only file that imports mysql2. Owns connections, transactions and escaping; leaves every statement to
// its callers, and the meaning of errors to mysql-errors.ts. Sessions are READ COMMITTED and UTC. Bound: each
// pool has a fixed size and a bounded queue; that of a shared one is bounded by pool-shares.ts.

import mysql from "mysql2";
import { SluiceError } from "../core/errors.ts";
import { MYSQL_LOCK_WAIT_MS, TRANSACTION_ATTEMPTS_MAX } from "../core/limits.ts";
import type { Config } from "./config.ts";
import { isConnectionLost, isError, isRetryable } from "./mysql-errors.ts";
import type { PoolMeter, QueryFailure } from "./pool-meter.ts";
import { sleep } from "./retry.ts";

export type Row = Record<string, unknown>;
export type WriteResult = { affectedRows: number; insertId: number | string; info: string };
export type Connection = {
  /** Returns the rows of a SELECT; for several statements in one text, an array of their results. */
  query<T = Row[]>(sql: string, values?: unknown[]): Promise<T>;
  /** Runs a statement that writes. */
  write(sql: string, values?: unknown[]): Promise<WriteResult>;
  destroy(): void;
};
export type Pool = {
  /** Runs one statement on any connection. */
  query<T = Row[]>(sql: string, values?: unknown[]): Promise<T>;
  write(sql: string, values?: unknown[]): Promise<WriteResult>;
  /** Lends a connection; destroys it if `use` throws anything but a retryable error. */
  use<T>(use: (conn: Connection) => Promise<T>): Promise<T>;
  /**
   * Runs one transaction: BEGIN, body, COMMIT. A deadlock or lock wait repeats all of it, at most
   * `attemptsMax` times.
   */
  transaction<T>(
    body: (conn: Connection) => Promise<T>,
    options?: { attemptsMax?: number; snapshot?: boolean },
  ): Promise<T>;
  end(): Promise<void>;
};

export const escapeSql: (value: unknown) => string = (value) => mysql.escape(value as string);

// mysql2 gives no code to the errors of its own pool: only their text distinguishes them.
function refusalOf(error: Error): Error {
  if (error.message === "Queue limit reached.") return new SluiceError("overloaded", { cause: error });
  if (error.message === "Pool is closed.") return new SluiceError("unavailable", { cause: error });
  return error;
}

const sessionSql =
  "SET SESSION transaction_isolation='READ-COMMITTED', time_zone='+00:00', " +
  `innodb_lock_wait_timeout=${MYSQL_LOCK_WAIT_MS / 1_000}`;

/** What a pool needs of a driver's connection. */
export type RawConnection = {
  /** `timeout`: how long to wait for the answer, in milliseconds; without it the wait is unbounded. */
  query(
    query: { sql: string; values?: unknown[]; timeout?: number },
    done: (error: Error | null, result: unknown) => void,
  ): unknown;
  release(): void;
  destroy(): void;
};

function wrap(raw: RawConnection, answerMaxMs: number): Connection {
  const query = <T>(sql: string, values?: unknown[]) =>
    new Promise<T>((resolve, reject) => {
      const options = {
        sql,
        ...(values === undefined ? {} : { values }),
        ...(answerMaxMs === 0 ? {} : { timeout: answerMaxMs }),
      };
      raw.query(options, (error, rows) => (error ? reject(error) : resolve(rows as T)));
    });
  return { query, write: (sql, values) => query<WriteResult>(sql, values), destroy: () => raw.destroy() };
}

export type PoolOptions = {
  connections: number;
  /** Callers that wait for a connection; one more gets SluiceError overloaded. 0: no bound. */
  queueMax?: number;
  /**
   * Allows several statements in one round trip: only for callers that build their SQL from numbers, ULIDs
   * and escapeSql.
   */
  multipleStatements?: boolean;
  /**
   * If an answer takes longer, the connection counts as lost: a server that hangs, or a network that drops
   * packets, must not block callers for ever. Unbounded by default.
   */
  answerMaxMs?: number;
  database?: string | null;
  meter?: PoolMeter;
};

export function createPool(config: Config, options: PoolOptions): Pool {
  const database = options.database === undefined ? config.mysqlDatabase : options.database;
  const pool = mysql.createPool({
    host: config.mysqlHost,
    port: config.mysqlPort,
    user: config.mysqlUser,
    password: config.mysqlPassword,
    ...(database === null ? {} : { database }),
    connectionLimit: options.connections,
    maxIdle: options.connections,
    queueLimit: options.queueMax ?? 1_000,
    multipleStatements: options.multipleStatements ?? false,
    connectTimeout: 5_000,
    supportBigNumbers: true,
    bigNumberStrings: false, // strings only above 2^53; money is asserted to be below
    timezone: "Z",
    charset: "utf8mb4",
    // mysql2 would search every text for placeholders, 250 KB for a group commit, even if there are no
    // values.
    queryFormat: (sql: string, values: unknown) =>
      values === undefined || (values as unknown[]).length === 0
        ? sql
        : mysql.format(sql, values as never, false, "Z"),
    enableKeepAlive: true,
  });
  pool.on("connection", (raw: { query(sql: string): void }) => raw.query(sessionSql));

  const take = () =>
    new Promise<RawConnection>((resolve, reject) => {
      pool.getConnection((error, conn) =>
        error ? reject(refusalOf(error)) : resolve(conn as unknown as RawConnection),
      );
    });
  const end = () => new Promise<void>((resolve) => pool.end(() => resolve()));
  const { meter } = options;
  return poolOf({ take: meter === undefined ? take : metered(take, meter), end }, options.answerMaxMs);
}

/** Whether MySQL accepts a login within `maxMs`. */
export function canLogIn(config: Config, maxMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const conn = mysql.createConnection({
      host: config.mysqlHost,
      port: config.mysqlPort,
      user: config.mysqlUser,
      password: config.mysqlPassword,
      connectTimeout: maxMs,
    });
    conn.on("error", () => resolve(false));
    conn.on("connect", () => {
      resolve(true);
      conn.end();
    });
  });
}

function failureOf(error: unknown): QueryFailure {
  if (isError(error, "deadlock")) return "deadlock";
  if (isError(error, "lockWait")) return "lock_wait";
  return isConnectionLost(error) ? "lost" : "other";
}

function metered(take: () => Promise<RawConnection>, meter: PoolMeter): () => Promise<RawConnection> {
  return async () => {
    const waited = meter.asked();
    let raw: RawConnection;
    try {
      raw = await take();
    } catch (error) {
      waited(false);
      throw error;
    }
    waited(true);
    let isLent = true; // because a connection may be destroyed twice
    const back = (lost: boolean) => {
      if (isLent) meter.back(lost);
      isLent = false;
    };
    return {
      query: (query, done) =>
        raw.query(query, (error, result) => {
          if (error !== null) meter.failed(failureOf(error));
          done(error, result);
        }),
      release() {
        back(false);
        raw.release();
      },
      destroy() {
        back(true);
        raw.destroy();
      },
    };
  };
}

/** A pool over any driver's connections: lends them, and runs and repeats transactions. */
export function poolOf(
  { take, end }: { take: () => Promise<RawConnection>; end: () => Promise<void> },
  answerMaxMs = 0,
): Pool {
  const use = async <T>(body: (conn: Connection) => Promise<T>): Promise<T> => {
    const raw = await take();
    try {
      const result = await body(wrap(raw, answerMaxMs));
      raw.release();
      return result;
    } catch (error) {
      raw.destroy(); // the server rolls back whatever was open on it
      throw error;
    }
  };
  const query = <T = Row[]>(sql: string, values?: unknown[]) => use((conn) => conn.query<T>(sql, values));
  return {
    query,
    write: (sql, values) => query<WriteResult>(sql, values),
    use,
    transaction: (body, { attemptsMax = TRANSACTION_ATTEMPTS_MAX, snapshot = false } = {}) =>
      withRetries(
        { use },
        async (conn) => {
          if (snapshot) await conn.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
          await conn.query(snapshot ? "START TRANSACTION WITH CONSISTENT SNAPSHOT" : "BEGIN");
          const result = await body(conn);
          await conn.query("COMMIT");
          return result;
        },
        attemptsMax,
      ),
    end,
  };
}

/**
 * Repeats a whole transaction after a deadlock or a lock wait: for bodies that send BEGIN together with their
 * first statements, and COMMIT themselves.
 */
export async function withRetries<T>(
  pool: Pick<Pool, "use">,
  body: (conn: Connection) => Promise<T>,
  attemptsMax = TRANSACTION_ATTEMPTS_MAX,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await pool.use(body);
    } catch (error) {
      if (!isRetryable(error) || attempt >= attemptsMax) throw error;
      await sleep(attempt * 5 * Math.random());
    }
  }
}
