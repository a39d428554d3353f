// How much of MySQL the background check may take: it counts the time that its own statements take, and rests
// a multiple of that afterwards, which grows with what the database has to do for others.
// Invariant: at most a fifth of one connection's time while nothing else happens, a fortieth under traffic.

import type { Connection, Pool } from "../platform/mysql.ts";

const REST_QUIET = 4;
const REST_BUSY = 40;
/** From so many commits a second on the database counts as busy: some 500 messages a second make them. */
const BUSY_COMMITS_PER_S = 150;

export type CheckPace = {
  /** The pool, counting. */
  pool: Pool;
  /** The connection, counting. */
  counted(conn: Connection): Connection;
  /** How long to rest after what was done since the last call. */
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
      // The first time nothing is known yet: as if it were quiet.
      const perS = last === null ? 0 : ((now.commits - last.commits) * 1_000) / (now.atMs - last.atMs || 1);
      last = now;
      const rest = restFactor(perS) * workedMs;
      workedMs = 0;
      return rest;
    },
  };
}

/** How many times as long as it worked the check rests, by what others commit a second. */
export const restFactor = (commitsPerS: number): number =>
  REST_QUIET + (REST_BUSY - REST_QUIET) * Math.min(1, Math.max(0, commitsPerS) / BUSY_COMMITS_PER_S);
