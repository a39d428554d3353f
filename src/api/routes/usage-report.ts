// GET /v1/reports/usage: what was sent and what it cost, by minute, hour or day, from ClickHouse.

import { Type } from "typebox";
import type { ReportDeps } from "../../reports/messages-report.ts";
import type { Query } from "../../reports/params.ts";
import { exportUsage, usageReport } from "../../reports/usage-report.ts";
import { exportOf } from "../exports.ts";
import { type Route, route } from "../route.ts";
import { closed, Count, Cursor, Money, OrNull, Time } from "../shapes.ts";
import type { Streams } from "../streams.ts";

const Row = Type.Object(
  {
    start: Time,
    status: Type.Optional(Type.String()),
    lane: Type.Optional(Type.String()),
    prefix: Type.Optional(Type.String({ description: "the calling code of the recipients, with its `+`" })),
    messages: Count,
    parts: Count,
    cost: Money,
    refunded: Money,
    unique_phones: Count,
  },
  closed,
);

const ROW_EXAMPLE = {
  start: "2026-09-21T14:00:00.000Z",
  status: "delivered",
  messages: 1_200,
  parts: 1_500,
  cost: 750_000,
  refunded: 0,
  unique_phones: 1_150,
};

export const createUsageReport = (deps: ReportDeps, streams: Streams): Route =>
  route({
    method: "GET",
    path: "/v1/reports/usage",
    access: "read",
    query: ["interval", "by", "from", "to", "format", "limit", "cursor"],
    body: null,
    answers: {
      200: Type.Object({ usage: Type.Array(Row), next_cursor: Cursor, as_of: OrNull(Time) }, closed),
    },
    exported: { row: Row, example: ROW_EXAMPLE },
    errors: ["reports_unavailable"],
    about: {
      operationId: "reportUsage",
      tag: "Reports",
      summary: "Messages, parts, cost and unique phones by minute, hour or day, newest first",
      description:
        "Of `from` ≤ `created_at` < `to`, at most 1 day by the minute, 31 days by the hour, 366 by the " +
        "day; by default the last hour, 24 hours or 30 days. A message counts in the period of its " +
        "acceptance, at its latest status; `start` is when that period begins. `cost` is without what was " +
        "refunded, which is in `refunded`. `unique_phones` is exact within its row, and can't be added up. " +
        "`limit` counts periods, which a page never divides; those without messages are left out. A page " +
        "may be short, or empty: only a null `next_cursor` marks the end. All until `as_of` is included.",
      headers: ["X-As-Of"],
      answers: {
        200: {
          usage: [
            ROW_EXAMPLE,
            {
              ...ROW_EXAMPLE,
              status: "failed",
              messages: 10,
              parts: 10,
              cost: 0,
              refunded: 5_000,
              unique_phones: 10,
            },
          ],
          next_cursor: null,
          as_of: "2026-09-21T14:13:24.000Z",
        },
      },
    },
    handle: async (call) => {
      const { customerId } = call.owner;
      const read = (at: Query) => exportUsage(deps, customerId, at);
      const whole = exportOf(streams, call, { row: Row, read });
      return whole ?? { status: 200, body: await usageReport(deps, customerId, call.query) };
    },
  });
