// What admins look at besides customers and routes: who sent the most, and the audit log.

import { Type } from "typebox";
import { AUDIT_ACTIONS, AUDIT_DOORS } from "../../core/audit.ts";
import type { Clickhouse } from "../../platform/clickhouse.ts";
import { listAudit } from "../../reports/audit-log.ts";
import { readParams, TOP_ORDERS } from "../../reports/params.ts";
import { topCustomers } from "../../reports/top-customers.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, Cursor, CustomerId, Money, OrNull, Sum, Time, Ulid } from "../shapes.ts";
import type { AdminDeps } from "./run.ts";
import { WHY_EXAMPLE } from "./shapes.ts";

export type GatewayDeps = AdminDeps & { clickhouse: Clickhouse };

export const createGatewayRoutes = (deps: GatewayDeps): Route[] => [topRoute(deps), auditRoute(deps)];

const PERIOD_DEFAULT_MS = 24 * 3_600_000;

const topRoute = ({ clickhouse }: GatewayDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/reports/top-customers",
    access: "admin:read",
    query: ["from", "to", "order", "limit"],
    body: null,
    answers: {
      200: Type.Object(
        {
          from: Time,
          to: Time,
          order: Type.Enum(TOP_ORDERS),
          customers: Type.Array(
            Type.Object(
              { customer_id: CustomerId, messages: Count, parts: Count, cost: Money, refunded: Money },
              closed,
            ),
          ),
        },
        closed,
      ),
    },
    errors: ["reports_unavailable"],
    about: {
      operationId: "topCustomers",
      tag: "Gateway",
      summary: "Who sent the most",
      description:
        "From the report, by the time of acceptance; the last 24 hours unless `from` and `to` say otherwise.",
      answers: {
        200: {
          from: "2026-09-20T14:13:20.000Z",
          to: "2026-09-21T14:13:20.000Z",
          order: "cost",
          customers: [{ customer_id: "1", messages: 1_000, parts: 1_200, cost: 600_000, refunded: 500 }],
        },
      },
    },
    async handle({ query }) {
      const params = readParams(query);
      const [from, to] = [params.time("from"), params.time("to")];
      const [by, count] = [params.order(), params.limit()];
      const toMs = to ?? Date.now();
      const fromMs = from ?? toMs - PERIOD_DEFAULT_MS;
      if (fromMs >= toMs) params.fail("from", "must be before `to`");
      params.check();
      const customers = await topCustomers(clickhouse, { fromMs, toMs, by, count });
      const [since, until] = [new Date(fromMs).toISOString(), new Date(toMs).toISOString()];
      return { status: 200, body: { from: since, to: until, order: by, customers } };
    },
  });

const Values = OrNull(Type.Record(Type.String(), Type.Unknown()));
const Entry = Type.Object(
  {
    audit_id: Type.String(),
    created_at: Time,
    via: Type.Enum(AUDIT_DOORS, { description: "`cli`: by a command on the database" }),
    who: Type.String({ description: "the name of the admin token, or of the operating system's user" }),
    origin: Type.String({ description: "an IP address, or a host's name" }),
    action: Type.Enum(AUDIT_ACTIONS),
    customer_id: OrNull(CustomerId),
    subject: OrNull(Type.String({ description: "the id of a key or token, the name of a plan or file" })),
    entry_id: OrNull(Ulid),
    amount: OrNull(Sum),
    reason: OrNull(Type.String()),
    old: Values,
    new: Values,
  },
  closed,
);

const auditRoute = ({ pool }: GatewayDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/audit",
    access: "admin:read",
    query: ["from", "to", "who", "action", "customer", "limit", "cursor"],
    body: null,
    answers: { 200: Type.Object({ entries: Type.Array(Entry), next_cursor: Cursor }, closed) },
    errors: [],
    about: {
      operationId: "listAudit",
      tag: "Gateway",
      summary: "Who changed what, when and from where, newest first",
      description:
        "Every change by this API and by commands, with the values before and after, but never a secret.",
      answers: {
        200: {
          entries: [
            {
              audit_id: "42",
              created_at: "2026-09-21T14:13:20.000Z",
              via: "api",
              who: "sara",
              origin: "127.0.0.1",
              action: "wallet.adjust",
              customer_id: "1",
              subject: null,
              entry_id: "01M7YBCG2N0V4QK5A1T8P6WJ3D",
              amount: -2_500,
              reason: WHY_EXAMPLE,
              old: { balance: 100_000 },
              new: { balance: 97_500 },
            },
          ],
          next_cursor: null,
        },
      },
    },
    handle: async ({ query }) => ({ status: 200, body: await listAudit({ pool }, query) }),
  });
