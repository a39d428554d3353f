// POST /v1/wallet/topup. The one answer in which customer_id is a number, as the contract was asked for.

import { labelProblem } from "../core/parts.ts";
import { SluiceError } from "../core/errors.ts";
import type { LeaseDeps } from "../ledger/lease.ts";
import { topUp } from "../ledger/topup.ts";
import { isConnectionLost } from "../platform/mysql.ts";
import { type Route, readJson } from "./http.ts";
import { checkerOf, TopupBody } from "./schemas.ts";

const check = checkerOf<TopupBody>(TopupBody);

export function createTopup(deps: LeaseDeps): Route {
  return {
    method: "POST",
    path: "/v1/wallet/topup",
    scope: "billing",
    async handle({ owner, request }) {
      const { amount, request_id } = check(await readJson(request));
      const problem = labelProblem(request_id);
      if (problem !== null) {
        throw new SluiceError("validation_failed", { errors: [{ field: "request_id", reason: problem }] });
      }
      const { idempotent, balance } = await topUp(deps, owner.customerId, amount, request_id).catch(
        (cause: unknown) => {
          // Lost at COMMIT or before: the same request_id again is safe in both cases, and says which it was.
          if (isConnectionLost(cause)) throw new SluiceError("outcome_unknown", { cause });
          throw cause;
        },
      );
      return {
        status: 200,
        body: { topup: true, idempotent, amount, customer_id: owner.customerId, balance },
      };
    },
  };
}
