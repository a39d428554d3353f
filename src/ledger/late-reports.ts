// What operators reported about messages that had ended, or otherwise than they ended. It changes nothing,
// and is shown on the message's timeline (src/reports/timeline.ts). Leaves what counts as late to
// settle-reports.ts and src/dlr/order.ts.
// Invariant: each thing said of a submit has one row, of the first time that it was said. Bound: rows go with
// their partition (src/schema/partitions.ts).

import type { Connection, Pool } from "../platform/mysql.ts";
import { dateTime, quote } from "./sql-text.ts";
import type { PartEnd } from "./submissions.ts";

export type LateReport = Pick<PartEnd, "status" | "error"> & {
  messageId: string;
  part: number;
  operator: string;
  receivedAtMs: number;
};

/** Within the caller's transaction. */
export async function keepLateReports(conn: Connection, reports: readonly LateReport[]): Promise<void> {
  if (reports.length === 0) return;
  const values = reports.map(
    ({ messageId, operator, part, status, error, receivedAtMs }) =>
      `('${messageId}',${quote(operator)},${part},'${status}',${quote(error)},${dateTime(receivedAtMs)})`,
  );
  await conn.write(
    "INSERT INTO late_reports (message_id,operator,part,status,error,received_at) VALUES " +
      `${values.join(",")} ON DUPLICATE KEY UPDATE part=late_reports.part`,
  );
}

/** What was reported too late about one message, in the order in which it came. */
export async function findLateReports(pool: Pick<Pool, "query">, messageId: string): Promise<LateReport[]> {
  const rows = await pool.query<
    (Pick<LateReport, "operator" | "part" | "status" | "error"> & { received_at: Date })[]
  >(
    "SELECT operator, part, status, error, received_at FROM late_reports WHERE message_id = ? " +
      "ORDER BY received_at, operator, part, status",
    [messageId],
  );
  return rows.map(({ received_at, ...row }) => ({ ...row, messageId, receivedAtMs: received_at.getTime() }));
}
