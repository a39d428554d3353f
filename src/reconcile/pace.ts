// Limits how much of MySQL the background check may use: measures the time its own statements take, and rests
// a multiple of that afterwards, which grows with the work the database does for others.
// Invariant: at most a fifth of one connection's time while nothing else happens, a fortieth under traffic.

import type { Connection, Pool } from "../platform/mysql.ts";

const REST_QUIET = 4;
const REST_BUSY = 40;
/** From this many commits a second on, the database counts as busy; some 500 messages a second cause them. */
const BUSY_COMMITS_PER_S = 150;

export type CheckPace = {
  /** The pool, wrapped to measure its statements. */
  pool: Pool;
  /** The connection, wrapped to measure its statements. */
  counted(conn: Connection): Connection;
  /** How long to rest after the work since the last call, in milliseconds. */
  restMs(conn: Connection): Promise<number>;
};

export function createCheckPace(pool: Pool, monotonicMs: () => number): CheckPace {
  let workedMs = 0;
  let last: { commits: number; atMs: number } | null = null;
  const timed = async <T>(work: () => Promise<T>): Promise<T> => {
    const startedMs = monotonicMs();
    try {
      return await work();
    } finally {
      workedMs += monotonicMs() - startedMs;
    }
  };
  const counted = (conn: Connection): Connection => ({
    ...conn,
    query: (sql, values) => timed(() => conn.query(sql, values)),
    write: (sql, values) => timed(() => conn.write(sql, values)),
  });
  return {
    pool: {
      ...pool,
      query: (sql, values) => timed(() => pool.query(sql, values)),
      use: (body) => pool.use((conn) => body(counted(conn))),
    },
    counted,
    async restMs(conn) {
      const [row] = await conn.query<{ Value: string }[]>("SHOW GLOBAL STATUS LIKE 'Com_commit'");
      const now = { commits: Number(row?.Value), atMs: monotonicMs() };
      // The first time nothing is known yet, so it assumes a quiet database.
      const perS = last === null ? 0 : ((now.commits - last.commits) * 1_000) / (now.atMs - last.atMs || 1);
      last = now;
      const rest = restFactor(perS) * workedMs;
      workedMs = 0;
      return rest;
    },
  };
}

/** The rest as a multiple of the work, by the commits a second that others make. */
export const restFactor = (commitsPerS: number): number =>
  REST_QUIET + (REST_BUSY - REST_QUIET) * Math.min(1, Math.max(0, commitsPerS) / BUSY_COMMITS_PER_S);
