// GET /v1/wallet: the customer's exact balance.

import { Type } from "typebox";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { readWallet } from "../../reports/wallet.ts";
import { type Route, route } from "../route.ts";
import { closed, Currency, CustomerId, Money } from "../shapes.ts";

const Wallet = Type.Object(
  { customer_id: CustomerId, balance: Money, reserved: Money, available: Money, currency: Currency },
  closed,
);

export const createWallet = (reads: OfCustomer<{ pool: Pool }>): Route =>
  route({
    method: "GET",
    path: "/v1/wallet",
    access: "read",
    query: [],
    body: null,
    answers: { 200: Wallet },
    errors: [],
    about: {
      operationId: "getWallet",
      tag: "Wallet",
      summary: "The exact balance, now",
      description:
        "`balance` and `available` are all that can still be spent; `reserved` is the cost of messages " +
        "that are neither captured nor refunded yet.",
      answers: {
        200: { customer_id: "1", balance: 99_300, reserved: 700, available: 99_300, currency: "IRR" },
      },
    },
    handle: async ({ owner }) => ({
      status: 200,
      body: await readWallet(reads(owner.customerId), owner.customerId),
    }),
  });
