// MySQL's named locks, for work that only one process may do at a time, across all machines. A lock belongs
// to a connection and ends with it, so a process that dies releases its locks. If its machine vanished, the
// lock would be held until the server gives up on the silent connection, by default after 8 hours; while a
// lock is held this is SILENT_MAX_S, or less. Invariant: a body that throws loses its connection, and with it
// the lock.

import type { Connection, Pool } from "./mysql.ts";

export type NamedLock = { release(): Promise<void> };

/** Longer than a holder may be silent: a check of the books that is reading ClickHouse. */
export const SILENT_MAX_S = 900;

// Names include the database, if there is one yet. MySQL allows 64 characters.
const NAME = "LEFT(CONCAT('sluice-', ?, ':', COALESCE(DATABASE(), '')), 64)";

/** Null if another connection holds it for all of `waitS` seconds (a whole number; 0: don't wait). */
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

/** Runs `body` on the connection that holds the lock; returns "busy" if another connection holds it. */
export function withLock<T>(
  pool: Pool,
  what: string,
  body: (conn: Connection) => Promise<T>,
  options: { silentMaxS?: number } = {},
): Promise<T | "busy"> {
  return pool.use(async (conn) => {
    const lock = await takeLock(conn, what, options);
    if (lock === null) return "busy";
    const result = await body(conn);
    await lock.release();
    return result;
  });
}
