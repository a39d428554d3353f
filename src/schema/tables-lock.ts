// The lock between partition DDL and long snapshots: DDL would end a snapshot of its table (1412), and DDL
// that waits for a snapshot holds up every statement behind it. MySQL's named locks are only exclusive, so
// the lock consists of SLOTS places: a snapshot takes one of them, DDL takes all. The places also bound how
// many snapshots run at once, over all processes. A connection that is lost loses its lock.

import type { Connection } from "../platform/mysql.ts";
import { type NamedLock, takeLock } from "../platform/named-lock.ts";

/** Snapshots at once, over all processes: each keeps a core of MySQL busy and holds up its purge. */
export const SLOTS = 4;

/**
 * Takes one place, any of them; null if all are taken for `waitS` seconds (a whole number; 0: don't wait).
 */
export async function shareTables(conn: Connection, waitS: number): Promise<NamedLock | null> {
  const first = Math.floor(Math.random() * SLOTS);
  for (let i = 0; i < SLOTS; i++) {
    const lock = await takeLock(conn, nameOf((first + i) % SLOTS));
    if (lock !== null) return lock;
  }
  // Another place may become free first, but one can only wait for one name.
  return waitS > 0 ? takeLock(conn, nameOf(first), { waitS }) : null;
}

/** Takes all places, always in the same order; null if one of them is taken for `waitS` seconds. */
export async function lockAllTables(conn: Connection, waitS: number): Promise<NamedLock | null> {
  const locks: NamedLock[] = [];
  const release = async () => {
    for (const lock of locks) await lock.release();
  };
  for (let slot = 0; slot < SLOTS; slot++) {
    const lock = await takeLock(conn, nameOf(slot), { waitS });
    if (lock === null) {
      await release();
      return null;
    }
    locks.push(lock);
  }
  return { release };
}

const nameOf = (slot: number): string => `tables-${slot}`;
