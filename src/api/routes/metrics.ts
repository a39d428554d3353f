// GET /metrics: this process's metrics in Prometheus's text format.

import { Type } from "typebox";
import type { Metrics } from "../../platform/metrics.ts";
import { type Route, route } from "../route.ts";

export const createMetricsRoute = ({ metrics }: { metrics: Metrics }): Route =>
  route({
    method: "GET",
    path: "/metrics",
    access: "public",
    query: [],
    body: null,
    answers: { 200: Type.String() },
    errors: [],
    about: {
      operationId: "metrics",
      tag: "Service",
      summary: "This process's metrics, in Prometheus' text format",
      description: "Not reachable through the edge.",
      answers: { 200: 'sluice_ready{role="ingest"} 1\n' },
      mediaType: "text/plain",
    },
    handle: async () => ({
      status: 200,
      body: await metrics.text(),
      headers: { "content-type": metrics.contentType },
    }),
  });
