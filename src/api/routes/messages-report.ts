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

const ROW_EXAMPLE = {
  id: "01M7YBCG2N0V4QK5A1T8P6WJ3D",
  phone: "+989121234567",
  type: "express",
  status: "delivered",
  parts: 1,
  cost: 700,
  reference: "order-1234",
  operator: "A",
  operator_message_id: "7f3a",
  created_at: "2026-09-21T14:13:20.000Z",
  updated_at: "2026-09-21T14:13:23.500Z",
};

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
    about: {
      operationId: "reportMessages",
      tag: "Reports",
      summary: "Messages at their latest status, newest first",
      description:
        "Of `from` ≤ `created_at` < `to`, by default the last 24 hours. Everything up to `as_of` is " +
        "included.",
      answers: { 200: { messages: [ROW_EXAMPLE], next_cursor: null, as_of: "2026-09-21T14:13:24.000Z" } },
    },
    handle: async ({ owner, query }) => ({ status: 200, body: await messagesReport(deps, owner, query) }),
  });
