// POST /v1/wallet/topup. The one answer in which customer_id is a number, as the contract was asked for.

import { labelProblem } from "../core/parts.ts";
import { SluiceError } from "../core/errors.ts";
import { parseJson } from "../core/json.ts";
import type { RequestKey } from "../ledger/idempotency.ts";
import type { LeaseDeps } from "../ledger/lease.ts";
import { type Topup, topUp } from "../ledger/topup.ts";
import type { Metrics } from "../platform/metrics.ts";
import { isConnectionLost } from "../platform/mysql-errors.ts";
import type { Idempotency } from "../ingest/idempotency.ts";
import { type Call, type Reply, type Route, readBody } from "./http.ts";
import { once } from "./idempotency-key.ts";
import { checkerOf, TopupBody } from "./schemas.ts";

const check = checkerOf(TopupBody);

export type TopupDeps = { ledger: LeaseDeps; keys: Idempotency; metrics: Metrics };

export function createTopup({ ledger, keys, metrics }: TopupDeps): Route {
  const made = metrics.counter("sluice_topups_total", { result: "made" });
  const repeated = metrics.counter("sluice_topups_total", { result: "repeated" });
  const run = async ({ owner, isGone }: Call, bytes: Uint8Array, key: RequestKey | null): Promise<Reply> => {
    const { amount, request_id } = check(parseJson(bytes));
    const problem = labelProblem(request_id);
    if (problem !== null) {
      throw new SluiceError("validation_failed", { errors: [{ field: "request_id", reason: problem }] });
    }
    const { customerId } = owner;
    const answerOf = ({ idempotent, balance }: Topup) =>
      JSON.stringify({ topup: true, idempotent, amount, customer_id: customerId, balance });
    const kept = key === null ? null : { key, status: 200, answerOf };
    const topup = await topUp(ledger, customerId, amount, request_id, kept, isGone).catch(
      (cause: unknown) => {
        // Lost at COMMIT or before: the same request_id again is safe in both cases, and says which it was.
        if (isConnectionLost(cause)) throw new SluiceError("outcome_unknown", { cause });
        throw cause;
      },
    );
    (topup.idempotent ? repeated : made)(1);
    return { status: 200, body: answerOf(topup) };
  };
  return {
    method: "POST",
    path: "/v1/wallet/topup",
    scope: "billing",
    query: [],
    async handle(call) {
      const body = await readBody(call.request);
      return once(keys, call, { operation: "topup", body }, (key) => run(call, body, key));
    },
  };
}
