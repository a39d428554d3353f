// The progress of the background check, in one row, so that it survives a restart. Written by the lock's
// holder.

import type { Connection } from "../platform/mysql.ts";
import { quote } from "../ledger/sql-text.ts";

export type CycleState = {
  /** 0: a cycle is about to begin. */
  nextCustomer: number;
  /** '': start with the first message. */
  nextMessage: string;
  /** Found so far in this cycle. */
  drifts: number;
  startedMs: number | null;
  /** These describe the last complete cycle. */
  endedMs: number | null;
  tookMs: number;
  driftsLast: number;
};

export const createCycleState = (): CycleState => ({
  nextCustomer: 0,
  nextMessage: "",
  drifts: 0,
  startedMs: null,
  endedMs: null,
  tookMs: 0,
  driftsLast: 0,
});

export async function readCycle(conn: Connection): Promise<CycleState> {
  const [row] = await conn.query<
    {
      next_customer: number;
      next_message: string;
      drifts: number;
      started_at: Date | null;
      ended_at: Date | null;
      took_ms: number;
      drifts_last: number;
    }[]
  >("SELECT * FROM reconcile_turn");
  if (row === undefined) return createCycleState();
  return {
    nextCustomer: Number(row.next_customer),
    nextMessage: row.next_message,
    drifts: row.drifts,
    startedMs: row.started_at?.getTime() ?? null,
    endedMs: row.ended_at?.getTime() ?? null,
    tookMs: Number(row.took_ms),
    driftsLast: row.drifts_last,
  };
}

export async function writeCycle(conn: Connection, state: CycleState): Promise<void> {
  const time = (ms: number | null) => (ms === null ? "NULL" : `FROM_UNIXTIME(${ms / 1_000})`);
  await conn.write(
    "REPLACE INTO reconcile_turn (turn,next_customer,next_message,drifts,started_at,ended_at,took_ms," +
      `drifts_last) VALUES (1,${state.nextCustomer},${quote(state.nextMessage)},${state.drifts},` +
      `${time(state.startedMs)},${time(state.endedMs)},${Math.max(0, Math.round(state.tookMs))},` +
      `${state.driftsLast})`,
  );
}
