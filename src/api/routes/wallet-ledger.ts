// GET /v1/wallet/ledger: the wallet's statement, newest first.

import { Type } from "typebox";
import type { Pool } from "../../platform/mysql.ts";
import { readLedger } from "../../reports/wallet.ts";
import { type Route, route } from "../route.ts";
import { closed, Cursor, Money, Time, Ulid } from "../shapes.ts";

const Entry = Type.Object(
  {
    entry_id: Ulid,
    op: Type.Enum(["topup", "reserve", "capture", "refund"]),
    amount: Money,
    message_id: Type.Optional(Ulid),
    request_id: Type.Optional(Type.String()),
    created_at: Time,
  },
  closed,
);

export const createWalletLedger = (deps: { pool: Pool }): Route =>
  route({
    method: "GET",
    path: "/v1/wallet/ledger",
    access: "read",
    query: ["limit", "cursor"],
    body: null,
    answers: { 200: Type.Object({ entries: Type.Array(Entry), next_cursor: Cursor }, closed) },
    errors: [],
    about: {
      operationId: "getStatement",
      tag: "Wallet",
      summary: "The statement, newest first",
      description: "By message or top-up; of a message, its capture or refund before its reserve.",
      answers: {
        200: {
          entries: [
            {
              entry_id: "01M7YBCG2N0V4QK5A1T8P6WJ3D",
              op: "reserve",
              amount: 700,
              message_id: "01M7YBCG2N0V4QK5A1T8P6WJ3D",
              created_at: "2026-09-21T14:13:20.000Z",
            },
            {
              entry_id: "01M7YBCF6H3R9ZT2B8W5K0N7QX",
              op: "topup",
              amount: 100_000,
              request_id: "invoice-2026-001",
              created_at: "2026-09-21T14:13:19.000Z",
            },
          ],
          next_cursor: null,
        },
      },
    },
    handle: async ({ owner, query }) => ({
      status: 200,
      body: await readLedger(deps, owner.customerId, query),
    }),
  });
