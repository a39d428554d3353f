// POST /v1/wallet/topup. Its answer is the only one in which customer_id is a number, as the public API
// requires.

import { Type } from "typebox";
import { SluiceError } from "../../core/errors.ts";
import { REQUEST_ID_CHARS_MAX } from "../../core/limits.ts";
import { MONEY_MAX } from "../../core/money.ts";
import { labelProblem } from "../../core/parts.ts";
import type { Idempotency } from "../../ingest/idempotency.ts";
import type { Topup } from "../../ledger/topup.ts";
import type { About } from "../about.ts";
import { once } from "../idempotency-key.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, LABEL, Money } from "../shapes.ts";
import type { TopUps } from "../top-ups.ts";

const Amount = Type.Integer({ minimum: 1, maximum: MONEY_MAX });
const TopupBody = Type.Object(
  {
    amount: Amount,
    request_id: Type.String({ minLength: 1, maxLength: REQUEST_ID_CHARS_MAX, ...LABEL }),
  },
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

export type TopupDeps = { topUps: TopUps; keys: Idempotency };

export const createTopup = ({ topUps, keys }: TopupDeps): Route =>
  route({
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
        const asked = { customerId, amount, requestId: request_id, kept, isGone: call.isGone };
        const topup = await topUps(asked);
        return { status: 200, body: answerOf(topup) };
      }),
  });
