// GET /ready: whether this process can accept a send. A stopping process is not ready, so that load balancers
// avoid it.

import { Type } from "typebox";
import { type Readiness, readyBody } from "../../platform/health.ts";
import { type Route, route } from "../route.ts";
import { closed } from "../shapes.ts";

const Ready = Type.Object(
  {
    status: Type.Enum(["ready", "degraded", "not_ready"]),
    checks: Type.Record(Type.String(), Type.Enum(["ok", "degraded", "down"])),
  },
  closed,
);

export const createReady = ({ ready }: { ready: () => Readiness }): Route =>
  route({
    method: "GET",
    path: "/ready",
    access: "public",
    query: [],
    body: null,
    answers: { 200: Ready, 503: Ready },
    errors: [],
    about: {
      operationId: "ready",
      tag: "Service",
      summary: "Whether this process would accept a send",
      description: "Kafka and ClickHouse appear as `degraded` only. Not reachable through the edge.",
      answers: {
        200: { status: "degraded", checks: { mysql: "ok", kafka: "degraded", clickhouse: "ok" } },
        503: { status: "not_ready", checks: { process: "down" } },
      },
    },
    handle({ isStopping }) {
      const readiness: Readiness = isStopping() ? { ready: false, checks: { process: "down" } } : ready();
      return { status: readiness.ready ? 200 : 503, body: readyBody(readiness) };
    },
  });
