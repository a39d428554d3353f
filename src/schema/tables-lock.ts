// The lock between partition DDL and long snapshots: DDL under a snapshot would end it (1412), and DDL that
// waits for one holds up every statement behind it. Named locks of MySQL, which only know "exclusive", as
// SLOTS places: a snapshot takes one of them, DDL takes all. The places also bound how many snapshots there
// are at once, over all processes. Whoever loses the connection loses the lock with it.

import type { Connection } from "../platform/mysql.ts";

/** Snapshots at once, over all processes: each keeps a core of MySQL busy and holds back its purge. */
export const SLOTS = 4;

export type TablesLock = { release(): Promise<void> };

/** One place, tried in any order; null when all are taken for `waitS` seconds (whole, 0: at once). */
export async function shareTables(conn: Connection, waitS: number): Promise<TablesLock | null> {
  const names = await slotNames(conn);
  const first = Math.floor(Math.random() * names.length);
  const order = names.map((_, i) => names[(first + i) % names.length] as string);
  for (const name of order) if (await take(conn, name, 0)) return lockOf(conn, [name]);
  // The first to be free may be another, but a wait is on one name.
  if (waitS > 0 && (await take(conn, order[0] as string, waitS))) return lockOf(conn, [order[0] as string]);
  return null;
}

/** All places, in one order; null when one of them is taken for `waitS` seconds. */
export async function ownTables(conn: Connection, waitS: number): Promise<TablesLock | null> {
  const names = await slotNames(conn);
  for (const [i, name] of names.entries()) {
    if (await take(conn, name, waitS)) continue;
    await lockOf(conn, names.slice(0, i)).release();
    return null;
  }
  return lockOf(conn, names);
}

/** A named lock, for `waitS` seconds at most. */
export async function take(conn: Connection, name: string, waitS: number): Promise<boolean> {
  const [row] = await conn.query<{ got: number | null }[]>("SELECT GET_LOCK(?, ?) AS got", [name, waitS]);
  return row?.got === 1;
}

/** The name of a lock that belongs to this connection's database; MySQL allows 64 characters. */
export async function lockName(conn: Connection, what: string): Promise<string> {
  const [row] = await conn.query<{ name: string }[]>("SELECT DATABASE() AS name");
  return `sluice-${what}:${row?.name ?? ""}`.slice(0, 64);
}

const lockOf = (conn: Connection, names: readonly string[]): TablesLock => ({
  async release() {
    for (const name of names) await conn.query("SELECT RELEASE_LOCK(?)", [name]);
  },
});

async function slotNames(conn: Connection): Promise<string[]> {
  const name = await lockName(conn, "tables");
  return Array.from({ length: SLOTS }, (_, i) => name.replace("-tables", `-tables-${i}`).slice(0, 64));
}
