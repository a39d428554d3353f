// What a customer may look up: wallet, statement, messages, reports. Each is one function of src/reports
// behind one path.

import type { KeyOwner } from "../customers/api-keys.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import type { Pool } from "../platform/mysql.ts";
import { listMessages, oneMessage } from "../reports/messages-list.ts";
import { messagesReport } from "../reports/messages-report.ts";
import { readLedger, readWallet } from "../reports/wallet.ts";
import type { Route } from "./http.ts";

export type ReadDeps = { pool: Pool; clickhouse: Clickhouse; now: () => number };
type Read = (owner: KeyOwner, query: URLSearchParams, id: string) => Promise<object>;

export function createReadRoutes(deps: ReadDeps): Route[] {
  const reads: Record<string, Read> = {
    "/v1/wallet": (owner) => readWallet(deps, owner.customerId),
    "/v1/wallet/ledger": (owner, query) => readLedger(deps, owner.customerId, query),
    "/v1/messages": (owner, query) => listMessages(deps, owner, query),
    "/v1/messages/:id": (owner, _query, id) => oneMessage(deps, owner, id),
    "/v1/reports/messages": (owner, query) => messagesReport(deps, owner, query),
  };
  return Object.entries(reads).map(([path, read]) => ({
    method: "GET",
    path,
    scope: "read",
    handle: async ({ owner, query, params }) => ({
      status: 200,
      body: await read(owner, query, params.id ?? ""),
    }),
  }));
}
