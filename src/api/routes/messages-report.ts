// GET /v1/reports/messages: messages at their latest status, from ClickHouse, newest first.

import { Type } from "typebox";
import { messagesReport, type ReportDeps } from "../../reports/messages-report.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, Cursor, Money, OrNull, Phone, Time, Ulid } from "../shapes.ts";

const Row = Type.Object(
  {
    id: Ulid,
    phone: Phone,
    type: Type.String(),
    status: Type.String(),
    parts: Count,
    cost: Money,
    reference: OrNull(Type.String()),
    operator: OrNull(Type.String()),
    operator_message_id: OrNull(Type.String()),
    created_at: Time,
    updated_at: Time,
  },
  closed,
);

export const createMessagesReport = (deps: ReportDeps): Route =>
  route({
    method: "GET",
    path: "/v1/reports/messages",
    access: "read",
    query: ["from", "to", "status", "type", "phone", "id", "limit", "cursor"],
    body: null,
    answers: {
      200: Type.Object({ messages: Type.Array(Row), next_cursor: Cursor, as_of: OrNull(Time) }, closed),
    },
    errors: ["reports_unavailable"],
    handle: async ({ owner, query }) => ({ status: 200, body: await messagesReport(deps, owner, query) }),
  });
