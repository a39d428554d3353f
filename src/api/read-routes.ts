// What a customer may look up: wallet, statement, messages, reports. Each is one function of src/reports
// behind one path.

import type { KeyOwner } from "../customers/api-keys.ts";
import type { Clickhouse } from "../platform/clickhouse.ts";
import type { Pool } from "../platform/mysql.ts";
import { listMessages, MESSAGES_PARAMS, oneMessage } from "../reports/messages-list.ts";
import { messagesReport, REPORT_PARAMS } from "../reports/messages-report.ts";
import { LEDGER_PARAMS, readLedger, readWallet } from "../reports/wallet.ts";
import type { Query } from "../reports/params.ts";
import type { Route } from "./http.ts";

export type ReadDeps = { pool: Pool; clickhouse: Clickhouse; now: () => number };
type Read = (owner: KeyOwner, query: Query, id: string) => Promise<object>;

export function createReadRoutes(deps: ReadDeps): Route[] {
  const route = (path: string, query: readonly string[], read: Read): Route => ({
    method: "GET",
    path,
    scope: "read",
    query,
    handle: async (call) => ({ status: 200, body: await read(call.owner, call.query, call.params.id ?? "") }),
  });
  return [
    route("/v1/wallet", [], (owner) => readWallet(deps, owner.customerId)),
    route("/v1/wallet/ledger", LEDGER_PARAMS, (owner, query) => readLedger(deps, owner.customerId, query)),
    route("/v1/messages", MESSAGES_PARAMS, (owner, query) => listMessages(deps, owner, query)),
    route("/v1/messages/:id", [], (owner, _query, id) => oneMessage(deps, owner, id)),
    route("/v1/reports/messages", REPORT_PARAMS, (owner, query) => messagesReport(deps, owner, query)),
  ];
}
