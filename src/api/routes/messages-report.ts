// GET /v1/reports/messages: messages at their latest status, from ClickHouse, newest first.

import { Type } from "typebox";
import { exportMessages, messagesReport, type ReportDeps } from "../../reports/messages-report.ts";
import type { Query } from "../../reports/params.ts";
import { exportOf } from "../exports.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, Cursor, Money, OrNull, Phone, Time, Ulid } from "../shapes.ts";
import type { Streams } from "../streams.ts";

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

export const createMessagesReport = (deps: ReportDeps, streams: Streams): Route =>
  route({
    method: "GET",
    path: "/v1/reports/messages",
    access: "read",
    query: ["from", "to", "status", "type", "phone", "id", "format", "limit", "cursor"],
    body: null,
    answers: {
      200: Type.Object({ messages: Type.Array(Row), next_cursor: Cursor, as_of: OrNull(Time) }, closed),
    },
    exported: { row: Row, example: ROW_EXAMPLE },
    errors: ["reports_unavailable"],
    about: {
      operationId: "reportMessages",
      tag: "Reports",
      summary: "Messages at their latest status, newest first",
      description:
        "Of `from` ≤ `created_at` < `to`, by default the last 24 hours. Everything up to `as_of` is " +
        "included. With a filter a page may be short, or empty, before the end, which a null `next_cursor` " +
        "marks.",
      headers: ["X-As-Of"],
      answers: { 200: { messages: [ROW_EXAMPLE], next_cursor: null, as_of: "2026-09-21T14:13:24.000Z" } },
    },
    handle: async (call) => {
      const { owner, query } = call;
      const read = (at: Query) => exportMessages(deps, owner, at);
      const whole = exportOf(streams, call, { row: Row, read });
      return whole ?? { status: 200, body: await messagesReport(deps, owner, query) };
    },
  });
