// Settles the work on several endpoints in one transaction: what became of their deliveries, then their
// leases, so that an endpoint is due again exactly while something is pending, then the events of those that
// stopped. Leaves SQL to src/ledger/.
// Bound: the caller's work.

import { WEBHOOK_PROBE_FAILURES_MIN } from "../core/webhook-limits.ts";
import { buryPendingSql, type CallOutcome, outcomesSql } from "../ledger/webhook-deliveries.ts";
import { endLeases, type Stopped, type Worked } from "../ledger/webhook-endpoints.ts";
import { tellPauses } from "../ledger/webhook-pauses.ts";
import { type Pool, withRetries } from "../platform/mysql.ts";
import { probeDelayMs } from "./outcome.ts";

/** The work on one endpoint, and what has come of it. */
export type Work = { worked: Worked; outcomes: CallOutcome[] };

const STOPPED = "the endpoint takes no calls: replay it once it does";

/** May be repeated: deliveries that were settled, and leases that ended, stay so. */
export function settleWork(
  pool: Pick<Pool, "use">,
  works: readonly Work[],
  random: () => number,
): Promise<Stopped[]> {
  const worked = works.map((work) => work.worked);
  const deliveries = works.flatMap(({ worked: of, outcomes }) =>
    outcomes.length > 0 ? [outcomesSql(of.customerId, outcomes)] : [],
  );
  return withRetries(pool, async (conn) => {
    await conn.query(["BEGIN", ...deliveries].join(";"));
    const stopped = await endLeases(conn, worked, {
      probeDelayMs: (failures) => probeDelayMs(failures, WEBHOOK_PROBE_FAILURES_MIN, random),
      burySql: (key) => buryPendingSql(key, STOPPED),
    });
    await tellPauses(conn, stopped);
    await conn.query("COMMIT");
    return stopped;
  });
}
