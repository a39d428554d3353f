// What the simulated database holds at a moment: credit in leases, and rows that wait. For simulate.ts, which
// waits until there are none.

import type { Server } from "../simulated-mysql/server.ts";
import type { Values } from "../simulated-mysql/tables.ts";
import type { Kernel } from "./kernel.ts";

export function* leasesOf(server: Server): Iterable<Values> {
  for (const { committed } of server.tables.get("credit_leases")?.rows.values() ?? [])
    if (committed !== null) yield committed;
}
export function unspentOf(server: Server, nodeId: string): number {
  let unspent = 0;
  for (const lease of leasesOf(server))
    if (lease.node_id === nodeId) unspent += Number(lease.granted) - Number(lease.spent);
  return unspent;
}

export function dueIn(server: Server, table: string, clock: { offsetMs: number }, kernel: Kernel): number {
  const nowMs = kernel.wallMs(null) + clock.offsetMs;
  let rows = 0;
  for (const row of server.tables.get(table)?.rows.values() ?? [])
    if (row.committed !== null && Number(row.committed.run_at) <= nowMs) rows++;
  return rows;
}

export const rowsLeft = (server: Server, table: string): number => server.tables.get(table)?.rows.size ?? 0;
