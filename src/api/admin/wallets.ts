// A customer's money in the admin API: its wallet, statement, top-ups, adjustments and spend caps.

import { Type } from "typebox";
import { adjustWallet, changeCaps, payIn, readCapsView } from "../../control/wallets.ts";
import { REASON_CHARS_MAX } from "../../core/audit.ts";
import { REQUEST_ID_CHARS_MAX } from "../../core/limits.ts";
import { MONEY_MAX } from "../../core/money.ts";
import { readLedger, readWallet } from "../../reports/wallet.ts";
import { requireCustomer } from "../../customers/customers.ts";
import { type Route, route } from "../route.ts";
import { ENTRY_EXAMPLE, Entry } from "../routes/wallet-ledger.ts";
import { closed, Currency, Cursor, CustomerId, LABEL, Money, Sum, Ulid } from "../shapes.ts";
import { type AdminDeps, change, customerIdOf } from "./run.ts";
import { Caps, CAPS_EXAMPLE, OF_CUSTOMER, OrNone, WHY_EXAMPLE } from "./shapes.ts";

const MONEY_ERRORS = [
  "not_found",
  "outcome_unknown",
  "idempotency_in_progress",
  "idempotency_key_reused",
] as const;

export const createWalletRoutes = (deps: AdminDeps): Route[] => [
  walletRoute(deps),
  statementRoute(deps),
  topUpRoute(deps),
  adjustRoute(deps),
  capsRoute(deps),
];

const walletRoute = ({ pool }: AdminDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/customers/:id/wallet",
    access: "admin:read",
    query: [],
    body: null,
    answers: {
      200: Type.Object(
        {
          customer_id: CustomerId,
          balance: Money,
          reserved: Money,
          available: Money,
          currency: Currency,
          caps: Caps,
        },
        closed,
      ),
    },
    errors: ["not_found"],
    about: {
      operationId: "getWallet",
      tag: "Wallets",
      summary: "A customer's balance and spend caps",
      description: "As the customer sees them: credit in leases counts as balance.",
      path: OF_CUSTOMER,
      answers: {
        200: {
          customer_id: "1",
          balance: 99_300,
          reserved: 700,
          available: 99_300,
          currency: "IRR",
          caps: CAPS_EXAMPLE,
        },
      },
    },
    async handle(call) {
      const customerId = customerIdOf(call);
      const wallet = await readWallet({ pool }, customerId);
      return { status: 200, body: { ...wallet, caps: await readCapsView(pool, customerId) } };
    },
  });

const statementRoute = ({ pool }: AdminDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/customers/:id/statement",
    access: "admin:read",
    query: ["from", "to", "limit", "cursor"],
    body: null,
    answers: { 200: Type.Object({ entries: Type.Array(Entry), next_cursor: Cursor }, closed) },
    errors: ["not_found"],
    about: {
      operationId: "getStatement",
      tag: "Wallets",
      summary: "A customer's statement, newest first, as the customer sees it",
      path: OF_CUSTOMER,
      answers: { 200: { entries: [ENTRY_EXAMPLE], next_cursor: null } },
    },
    async handle(call) {
      const customerId = customerIdOf(call);
      await requireCustomer(pool, customerId);
      return { status: 200, body: await readLedger({ pool }, customerId, call.query) };
    },
  });

const topUpRoute = (deps: AdminDeps): Route =>
  route({
    method: "POST",
    path: "/admin/v1/customers/:id/topups",
    access: "admin:write",
    query: [],
    body: Type.Object(
      {
        amount: Type.Integer({ minimum: 1, maximum: MONEY_MAX }),
        request_id: Type.String({ minLength: 1, maxLength: REQUEST_ID_CHARS_MAX, ...LABEL }),
      },
      closed,
    ),
    answers: {
      200: Type.Object(
        {
          customer_id: CustomerId,
          amount: Money,
          request_id: Type.String(),
          entry_id: Ulid,
          idempotent: Type.Boolean(),
          balance: Money,
        },
        closed,
      ),
    },
    errors: [...MONEY_ERRORS, "topup_conflict"],
    about: {
      operationId: "topUp",
      tag: "Wallets",
      needs: ["Idempotency-Key"],
      summary: "Add money to a customer's wallet",
      description: `Needs an \`Idempotency-Key\`. A \`request_id\`, such as the number of a payment, counts
once for ever, whoever used it: repeated with the same amount it changes nothing and answers
\`idempotent: true\`.`,
      path: OF_CUSTOMER,
      body: { amount: 100_000, request_id: "invoice-2026-001" },
      answers: {
        200: {
          customer_id: "1",
          amount: 100_000,
          request_id: "invoice-2026-001",
          entry_id: "01M7YBCF6H3R9ZT2B8W5K0N7QX",
          idempotent: false,
          balance: 100_000,
        },
      },
    },
    handle: (call) => {
      const customerId = customerIdOf(call);
      const { amount, request_id } = call.body;
      return change(deps, call, { status: 200, key: "needs" }, (by) =>
        payIn(by, customerId, amount, request_id),
      );
    },
  });

const adjustRoute = (deps: AdminDeps): Route =>
  route({
    method: "POST",
    path: "/admin/v1/customers/:id/adjustments",
    access: "admin:write",
    query: [],
    body: Type.Object(
      {
        amount: Type.Integer({
          minimum: -MONEY_MAX,
          maximum: MONEY_MAX,
          documented: { not: { const: 0 } },
          description: "minor units, not 0; below 0: taken from the wallet",
        }),
        reason: Type.String({ minLength: 1, maxLength: REASON_CHARS_MAX, ...LABEL }),
      },
      closed,
    ),
    answers: {
      201: Type.Object({ customer_id: CustomerId, entry_id: Ulid, amount: Sum, balance: Money }, closed),
    },
    errors: [...MONEY_ERRORS, "insufficient_balance", "credit_elsewhere"],
    about: {
      operationId: "adjust",
      tag: "Wallets",
      needs: ["Idempotency-Key"],
      summary: "Correct a customer's wallet, in either direction",
      description: `Needs an \`Idempotency-Key\`. Takes at most what the customer could still spend: what its
messages have reserved stays theirs. Credit that ingest processes hold is called back for that; while one
doesn't return it, for 20 s after it died, the answer is 503 \`credit_elsewhere\`. The reason is in the
audit log only; the customer sees an entry \`adjust_up\` or \`adjust_down\`.`,
      path: OF_CUSTOMER,
      body: { amount: -2_500, reason: WHY_EXAMPLE },
      answers: {
        201: { customer_id: "1", entry_id: "01M7YBCG2N0V4QK5A1T8P6WJ3D", amount: -2_500, balance: 97_500 },
      },
    },
    handle: (call) => {
      const customerId = customerIdOf(call);
      return change(deps, call, { status: 201, key: "needs" }, (by) =>
        adjustWallet(by, { customerId, ...call.body }),
      );
    },
  });

const Limit = Type.Optional(OrNone(Type.Integer({ minimum: 0, maximum: MONEY_MAX })));

const capsRoute = (deps: AdminDeps): Route =>
  route({
    method: "PATCH",
    path: "/admin/v1/customers/:id/caps",
    access: "admin:write",
    query: [],
    body: Type.Object({ daily: Limit, monthly: Limit }, closed),
    answers: { 200: Caps },
    errors: ["not_found", "outcome_unknown"],
    about: {
      operationId: "changeCaps",
      tag: "Wallets",
      summary: "Set or remove what a customer may spend in a UTC day and month",
      description:
        "What is left out stays. Processes are asked for the credit that they hold: once it is back, " +
        "within a second unless one died, the caps hold everywhere.",
      path: OF_CUSTOMER,
      body: { daily: 50_000, monthly: "none" },
      answers: { 200: CAPS_EXAMPLE },
    },
    handle: (call) => {
      const customerId = customerIdOf(call);
      const { daily, monthly } = call.body;
      const limitOf = (given: number | "none") => (given === "none" ? null : given);
      const wanted = {
        ...(daily === undefined ? {} : { daily: limitOf(daily) }),
        ...(monthly === undefined ? {} : { monthly: limitOf(monthly) }),
      };
      return change(deps, call, { status: 200, key: "none" }, (by) => changeCaps(by, customerId, wanted));
    },
  });
