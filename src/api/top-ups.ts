// Top-ups as routes and doors make them: counted, and with an error that says when the outcome is not known.

import { SluiceError } from "../core/errors.ts";
import type { IsGone } from "../core/caller.ts";
import type { KeptAnswer } from "../ledger/idempotency.ts";
import type { LeaseDeps } from "../ledger/lease-rows.ts";
import { type Topup, topUp } from "../ledger/topup.ts";
import type { Metrics } from "../platform/metrics.ts";
import { isConnectionLost } from "../platform/mysql-errors.ts";
import type { OfCustomer } from "../platform/pool-shares.ts";

export type TopUps = (asked: {
  customerId: number;
  /** minor units, above 0 */
  amount: number;
  requestId: string;
  kept: KeptAnswer<Topup> | null;
  isGone: IsGone;
}) => Promise<Topup>;

type TopUpsDeps = { ledgerOf: OfCustomer<LeaseDeps>; metrics: Metrics };

/** The function it returns throws what topUp throws, and SluiceError outcome_unknown. */
export function createTopUps({ ledgerOf, metrics }: TopUpsDeps): TopUps {
  const made = metrics.counter("sluice_topups_total", { result: "made" });
  const repeated = metrics.counter("sluice_topups_total", { result: "repeated" });
  return async ({ customerId, amount, requestId, kept, isGone }) => {
    const asked = topUp(ledgerOf(customerId), customerId, amount, requestId, kept, isGone);
    const topup = await asked.catch((cause: unknown) => {
      // Lost at COMMIT or before it: repeating the request_id is safe in both cases and tells which it was.
      if (isConnectionLost(cause)) throw new SluiceError("outcome_unknown", { cause });
      throw cause;
    });
    (topup.idempotent ? repeated : made)(1);
    return topup;
  };
}
