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
    handle: async ({ owner, query }) => ({
      status: 200,
      body: await readLedger(deps, owner.customerId, query),
    }),
  });
