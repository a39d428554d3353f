// GET /v1/wallet/ledger: the wallet's statement, newest first.

import { Type } from "typebox";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import type { Query } from "../../reports/params.ts";
import { exportLedger, readLedger } from "../../reports/wallet.ts";
import { exportOf } from "../exports.ts";
import { type Route, route } from "../route.ts";
import { closed, Cursor, Money, Time, Ulid } from "../shapes.ts";
import type { Streams } from "../streams.ts";

export const Entry = Type.Object(
  {
    entry_id: Ulid,
    op: Type.Enum(["topup", "reserve", "capture", "refund", "adjust_up", "adjust_down"]),
    amount: Money,
    message_id: Type.Optional(Ulid),
    request_id: Type.Optional(Type.String()),
    created_at: Time,
  },
  closed,
);

export const ENTRY_EXAMPLE = {
  entry_id: "01M7YBCG2N0V4QK5A1T8P6WJ3D",
  op: "reserve",
  amount: 700,
  message_id: "01M7YBCG2N0V4QK5A1T8P6WJ3D",
  created_at: "2026-09-21T14:13:20.000Z",
};

type LedgerDeps = OfCustomer<{ pool: Pool; now: () => number }>;

export const createWalletLedger = (reads: LedgerDeps, streams: Streams): Route =>
  route({
    method: "GET",
    path: "/v1/wallet/ledger",
    access: "read",
    query: ["from", "to", "format", "limit", "cursor"],
    body: null,
    answers: { 200: Type.Object({ entries: Type.Array(Entry), next_cursor: Cursor }, closed) },
    exported: { row: Entry, example: ENTRY_EXAMPLE },
    errors: [],
    about: {
      operationId: "getStatement",
      tag: "Wallet",
      summary: "The statement, newest first",
      description:
        "By message or top-up; of a message, its capture or refund before its reserve. `adjust_up` and " +
        "`adjust_down` are corrections by whoever runs the gateway. An export has all that was entered " +
        "until a minute ago.",
      headers: ["X-As-Of"],
      answers: {
        200: {
          entries: [
            ENTRY_EXAMPLE,
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
    handle: async (call) => {
      const { customerId } = call.owner;
      const deps = reads(customerId);
      const read = (at: Query) => exportLedger(deps, customerId, at);
      const whole = exportOf(streams, call, { row: Entry, read });
      return whole ?? { status: 200, body: await readLedger(deps, customerId, call.query) };
    },
  });
