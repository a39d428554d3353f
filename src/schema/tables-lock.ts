// The lock between partition DDL and long snapshots: DDL under a snapshot would end it (1412), and DDL that
// waits for one holds up every statement behind it. Named locks of MySQL, which only know "exclusive", as
// SLOTS places: a snapshot takes one of them, DDL takes all. The places also bound how many snapshots there
// are at once, over all processes. Whoever loses the connection loses the lock with it.

import type { Connection } from "../platform/mysql.ts";
import { type NamedLock, takeLock } from "../platform/named-lock.ts";

/** Snapshots at once, over all processes: each keeps a core of MySQL busy and holds back its purge. */
export const SLOTS = 4;

/** One place, tried in any order; null when all are taken for `waitS` seconds (whole, 0: at once). */
export async function shareTables(conn: Connection, waitS: number): Promise<NamedLock | null> {
  const first = Math.floor(Math.random() * SLOTS);
  for (let i = 0; i < SLOTS; i++) {
    const lock = await takeLock(conn, nameOf((first + i) % SLOTS));
    if (lock !== null) return lock;
  }
  // The first to be free may be another, but a wait is on one name.
  return waitS > 0 ? takeLock(conn, nameOf(first), { waitS }) : null;
}

/** All places, in one order; null when one of them is taken for `waitS` seconds. */
export async function ownTables(conn: Connection, waitS: number): Promise<NamedLock | null> {
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
