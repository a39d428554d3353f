// `route compare`: how the operators of a route did with its numbers, side by side.

import { createClickhouse } from "../platform/clickhouse.ts";
import { loadConfig } from "../platform/config.ts";
import { say } from "../platform/output.ts";
import { type OperatorRow, operatorsReport } from "../reports/operators-report.ts";
import { columns } from "./columns.ts";
import type { Json } from "./database.ts";
import { readRoutes } from "./show-routes.ts";

export type CompareOptions = Json & { file?: string; from?: number; to?: number };

const PERIOD_DEFAULT_MS = 24 * 3_600_000;
/** For a statement that reads all customers' messages of the period. */
const TIMEOUT_MS = 70_000;

/** @throws Error if there is no such route, or it decides about no numbers */
export async function compareOperators(name: string, options: CompareOptions): Promise<void> {
  const read = readRoutes(options.file);
  if (read === null) return;
  const route = read.file.routes.find((each) => each.name === name);
  if (route === undefined || route.prefixes.length === 0) {
    const known = read.file.routes.filter(({ prefixes }) => prefixes.length > 0).map((each) => each.name);
    throw new Error(
      `no route ${JSON.stringify(name)} with prefixes; ` +
        (known.length === 0 ? "the file has none" : `known: ${known.join(", ")}`),
    );
  }
  const toMs = options.to ?? Date.now();
  const fromMs = options.from ?? toMs - PERIOD_DEFAULT_MS;
  if (fromMs >= toMs) throw new Error("--from must be before --to");
  const clickhouse = createClickhouse(loadConfig(process.env), { timeoutMs: TIMEOUT_MS });
  try {
    const { prefixes, lanes, tiers } = route;
    const operators = tiers.flat().map(({ operator }) => operator);
    const rows = await operatorsReport(clickhouse, { operators, prefixes, lanes, fromMs, toMs });
    const [from, to] = [fromMs, toMs].map((ms) => new Date(ms).toISOString()) as [string, string];
    if (options.json) say(JSON.stringify({ route: name, from, to, operators: rows }));
    else {
      const head = `${name}: ${prefixes.join(" ")}, ${lanes.join(" ")}, ${from} to ${to}`;
      say(`${head}\n${asTable(rows, toMs - fromMs)}`);
    }
  } finally {
    await clickhouse.close();
  }
}

const HEADS = [
  "operator",
  "taken",
  "per s",
  "delivered",
  "not",
  "open",
  "share",
  "taken in",
  "p95",
  "delivered in",
  "p95",
];

function asTable(rows: readonly OperatorRow[], periodMs: number): string {
  const seconds = (ms: number | undefined) => (ms === undefined ? "-" : `${(ms / 1_000).toFixed(2)} s`);
  const cells = rows.map((row) => [
    row.operator,
    String(row.taken),
    ((row.taken * 1_000) / periodMs).toFixed(2),
    String(row.delivered),
    String(row.undelivered),
    String(row.open),
    row.delivered_share === null ? "-" : `${(row.delivered_share * 100).toFixed(1)} %`,
    seconds(row.taken_ms?.p50),
    seconds(row.taken_ms?.p95),
    seconds(row.delivered_ms?.p50),
    seconds(row.delivered_ms?.p95),
  ]);
  return columns(HEADS, cells, [0]).join("\n");
}
