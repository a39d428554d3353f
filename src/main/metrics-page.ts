// The page of all metrics, in Markdown, generated from the table in the code. docs.ts writes it.

import { fileURLToPath } from "node:url";
import type { MetricRole, MetricRow } from "../platform/metric-rows.ts";
import { ROWS } from "../platform/metrics-table.ts";

export const METRICS_PAGE = fileURLToPath(new URL("../../docs/reference/metrics.md", import.meta.url));

const HEADINGS: Record<MetricRole, string> = {
  all: "Every process",
  http: "Processes with an HTTP API: ingest, admin",
  ingest: "Ingest",
  relay: "Relay",
  sender: "Senders",
  dlr: "dlr",
  webhook: "Webhooks",
  routes: "Processes that read the routes file: ingest, senders, dlr",
};

export function metricsPage(): string {
  const roles = Object.keys(HEADINGS) as MetricRole[];
  return `<!-- Written by \`bun src/main/docs.ts\` from src/platform/metrics-table.ts: change that. -->

# Metrics

Every process serves \`GET /metrics\` in Prometheus' text format on its own health port; an ingest process
also on the API's port. \`deploy/prometheus/\` has a scrape configuration and alerts;
[OPERATIONS.md](../OPERATIONS.md#alerts) says what each alert means.

- Every series also has the label \`role\`: the process's, such as \`ingest\` or \`webhook\`.
- Units are seconds and bytes. Counters count from the start of the process. Counters and histograms exist
  from the start, at 0, except those of HTTP, which appear with their first answer. A gauge whose value isn't
  known yet is left out.
- No label holds a customer, a phone, a message or anything else that comes from a request.
- Most figures are read from memory when they are scraped. Those that cost a query are sampled in the
  background.
${roles.map(section).join("")}`;
}

function section(role: MetricRole): string {
  const rows = Object.entries(ROWS).filter(([, row]) => row.role === role);
  return `
## ${HEADINGS[role]}

| name | kind | labels | what |
|---|---|---|---|
${rows.map(line).join("\n")}
`;
}

function line([name, row]: [string, MetricRow]): string {
  const buckets = row.buckets.length === 0 ? "" : `; buckets up to ${row.buckets.at(-1)}`;
  return `| \`${name}\` | ${row.kind} | ${labelsOf(row)} | ${row.help}${buckets} |`;
}

function labelsOf({ labels }: MetricRow): string {
  return Object.entries(labels)
    .map(([label, values]) => `\`${label}\`: ${"max" in values ? values.from : values.join(", ")}`)
    .join("<br>");
}
