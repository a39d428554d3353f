// Administration of spend caps: setting, removing and showing them. A cap holds once the leases that were
// granted without it are back (lease-admin.ts), as with a change of mode.
// Order of locks: wallet, leases, caps, as in spend-caps.ts.

import { CAP_PERIODS, type CapLeft, type CapPeriod } from "../core/spend-cap.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { lockWallet, recallAll } from "./lease-admin.ts";
import { capsSql, readCaps, roomsOf } from "./spend-caps.ts";

/** Minor units; null: no cap; left out: as it is. */
export type CapChange = Partial<Record<CapPeriod, number | null>>;

/**
 * Sets caps of a customer, which count what it has spent in the present day and month already, and recalls
 * all its leases. Then call `drainsLeft` until it returns 0: from then on they hold.
 * @throws SluiceError not_found
 */
export function setCaps(pool: Pool, customerId: number, change: CapChange): Promise<void> {
  return pool.transaction(async (conn) => {
    await lockWallet(conn, customerId);
    await conn.write(
      "INSERT INTO spend_caps (customer_id) VALUES (?) ON DUPLICATE KEY UPDATE taken=spend_caps.taken",
      [customerId],
    );
    for (const cap of CAP_PERIODS) {
      const limit = change[cap];
      if (limit !== undefined)
        await conn.write(`UPDATE spend_caps SET ${cap}=? WHERE customer_id=?`, [limit, customerId]);
    }
    await conn.write("DELETE FROM spend_caps WHERE customer_id=? AND daily IS NULL AND monthly IS NULL", [
      customerId,
    ]);
    const [sql] = capsSql(await readCaps(conn, [customerId]), new Map());
    if (sql !== undefined) await conn.write(sql);
    await recallAll(conn, customerId);
  });
}

/** The caps of a customer as of now. @throws SluiceError not_found */
export function showCaps(pool: Pool, customerId: number): Promise<CapLeft[]> {
  return pool.transaction(async (conn) => {
    await lockWallet(conn, customerId);
    return capsLeft(conn, customerId);
  });
}

/** The same without a lock, for who only looks: of one moment, which may be over. */
export const lookAtCaps = (pool: Pool, customerId: number): Promise<CapLeft[]> =>
  pool.transaction((conn) => capsLeft(conn, customerId), { snapshot: true });

async function capsLeft(conn: Pick<Connection, "query">, customerId: number): Promise<CapLeft[]> {
  const { caps = [] } = roomsOf(await readCaps(conn, [customerId]), customerId);
  if (caps.length === 0) return [];
  const [row] = await conn.query<{ unspent: number | string }[]>(
    "SELECT COALESCE(SUM(granted - spent), 0) AS unspent FROM credit_leases WHERE customer_id=?",
    [customerId],
  );
  return caps.map(({ cap, limit, room, resetsAtMs }) => ({
    cap,
    limit,
    left: room + Number(row?.unspent),
    resetsAtMs,
  }));
}
