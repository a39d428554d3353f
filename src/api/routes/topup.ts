// POST /v1/wallet/topup. Its answer is the only one in which customer_id is a number, as the public API
// requires.

import { Type } from "typebox";
import { SluiceError } from "../../core/errors.ts";
import { REQUEST_ID_CHARS_MAX } from "../../core/limits.ts";
import { MONEY_MAX } from "../../core/money.ts";
import { labelProblem } from "../../core/parts.ts";
import type { Idempotency } from "../../ingest/idempotency.ts";
import type { LeaseDeps } from "../../ledger/lease-rows.ts";
import { type Topup, topUp } from "../../ledger/topup.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { isConnectionLost } from "../../platform/mysql-errors.ts";
import type { About } from "../about.ts";
import { once } from "../idempotency-key.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, Money } from "../shapes.ts";

const Amount = Type.Integer({ minimum: 1, maximum: MONEY_MAX });
const TopupBody = Type.Object(
  { amount: Amount, request_id: Type.String({ minLength: 1, maxLength: REQUEST_ID_CHARS_MAX }) },
  closed,
);
const TopupAnswer = Type.Object(
  {
    topup: Type.Literal(true),
    idempotent: Type.Boolean(),
    amount: Amount,
    customer_id: Count,
    balance: Money,
  },
  closed,
);

const ABOUT: About = {
  operationId: "topUp",
  tag: "Wallet",
  summary: "Add money to the wallet",
  description: `A \`request_id\` is kept for ever: repeated with the same amount it changes nothing and
answers \`idempotent: true\` with the present balance; with another amount it is a 409. \`customer_id\` is a
number here, and a string everywhere else.`,
  body: { amount: 100_000, request_id: "invoice-2026-001" },
  answers: { 200: { topup: true, idempotent: false, amount: 100_000, customer_id: 1, balance: 100_000 } },
};

export type TopupDeps = { ledger: LeaseDeps; keys: Idempotency; metrics: Metrics };

export function createTopup({ ledger, keys, metrics }: TopupDeps): Route {
  const made = metrics.counter("sluice_topups_total", { result: "made" });
  const repeated = metrics.counter("sluice_topups_total", { result: "repeated" });
  return route({
    method: "POST",
    path: "/v1/wallet/topup",
    access: "billing",
    query: [],
    body: TopupBody,
    answers: { 200: TopupAnswer },
    errors: ["topup_conflict", "idempotency_in_progress", "idempotency_key_reused", "outcome_unknown"],
    about: ABOUT,
    handle: (call) =>
      once(keys, call, "topup", async (key) => {
        const { amount, request_id } = call.body;
        const problem = labelProblem(request_id);
        if (problem !== null) {
          const errors = [{ field: "request_id", reason: problem }];
          throw new SluiceError("validation_failed", { errors });
        }
        const { customerId } = call.owner;
        const answerOf = ({ idempotent, balance }: Topup) =>
          JSON.stringify({ topup: true, idempotent, amount, customer_id: customerId, balance });
        const kept = key === null ? null : { key, status: 200, answerOf };
        const topup = await topUp(ledger, customerId, amount, request_id, kept, call.isGone).catch(
          (cause: unknown) => {
            // Lost at COMMIT or before it: repeating the request_id is safe in both cases and tells which it
            // was.
            if (isConnectionLost(cause)) throw new SluiceError("outcome_unknown", { cause });
            throw cause;
          },
        );
        (topup.idempotent ? repeated : made)(1);
        return { status: 200, body: answerOf(topup) };
      }),
  });
}
