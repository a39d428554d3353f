// MySQL's named locks: what only one process may do at a time, over all machines. They belong to a
// connection and end with it, so a process that dies gives up what it holds. One whose machine is gone
// would hold it for as long as the server waits for a silent connection, 8 hours by default: SILENT_MAX_S
// while a lock is held. Invariant: a body that throws costs its connection, and with it the lock.

import type { Connection, Pool } from "./mysql.ts";

export type NamedLock = { release(): Promise<void> };

/** Longer than a holder says nothing: a check of the books that reads ClickHouse meanwhile. */
export const SILENT_MAX_S = 900;

// The database's own, if there is one yet. MySQL takes 64 characters.
const NAME = "LEFT(CONCAT('sluice-', ?, ':', COALESCE(DATABASE(), '')), 64)";

/** Null when another connection holds it for all of `waitS` seconds (whole; 0: at once). */
export async function takeLock(
  conn: Connection,
  what: string,
  { waitS = 0, silentMaxS = SILENT_MAX_S }: { waitS?: number; silentMaxS?: number } = {},
): Promise<NamedLock | null> {
  const [row] = await conn.query<{ name: string; got: number | null }[]>(
    `SELECT ${NAME} AS name, GET_LOCK(${NAME}, ?) AS got`,
    [what, what, waitS],
  );
  if (row?.got !== 1) return null;
  await conn.query(`SET SESSION wait_timeout=${silentMaxS}`);
  return {
    async release() {
      await conn.query("DO RELEASE_LOCK(?)", [row.name]);
      await conn.query("SET SESSION wait_timeout=DEFAULT");
    },
  };
}

/** Runs `body` on the connection that alone holds the lock; "busy" when another one does. */
export function withLock<T>(
  pool: Pool,
  what: string,
  body: (conn: Connection) => Promise<T>,
): Promise<T | "busy"> {
  return pool.use(async (conn) => {
    const lock = await takeLock(conn, what);
    if (lock === null) return "busy";
    const result = await body(conn);
    await lock.release();
    return result;
  });
}
