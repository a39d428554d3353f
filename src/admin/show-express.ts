// What `express` prints: how the promises of express messages ended, hour by hour.

import { createClickhouse } from "../platform/clickhouse.ts";
import { loadConfig } from "../platform/config.ts";
import { say } from "../platform/output.ts";
import { type ExpressHour, expressReport } from "../reports/express-report.ts";
import type { Json } from "./database.ts";

export type ExpressOptions = Json & { from?: number; to?: number };

const PERIOD_DEFAULT_MS = 24 * 3_600_000;
/** For a statement that reads all customers' messages of the period. */
const TIMEOUT_MS = 70_000;

/** @throws Error if the period is none; SluiceError reports_unavailable */
export async function showExpress(options: ExpressOptions): Promise<void> {
  const toMs = options.to ?? Date.now();
  const fromMs = options.from ?? toMs - PERIOD_DEFAULT_MS;
  if (fromMs >= toMs) throw new Error("--from must be before --to");
  const clickhouse = createClickhouse(loadConfig(process.env), { timeoutMs: TIMEOUT_MS });
  try {
    const hours = await expressReport(clickhouse, { fromMs, toMs });
    const [from, to] = [fromMs, toMs].map((ms) => new Date(ms).toISOString()) as [string, string];
    if (options.json) say(JSON.stringify({ from, to, hours }));
    else say(hours.length === 0 ? `no express messages from ${from} to ${to}` : asTable(hours));
  } finally {
    await clickhouse.close();
  }
}

const COLUMNS = ["hour", "accepted", "kept", "late", "expired", "failed", "open", "share kept"] as const;

/** Columns as wide as their widest cell; the first is aligned to the left. */
function asTable(hours: readonly ExpressHour[]): string {
  const cells = hours.map((row) => [
    row.hour,
    ...[row.accepted, row.kept, row.late, row.expired, row.failed, row.open].map(String),
    row.kept_share === null ? "-" : `${(row.kept_share * 100).toFixed(2)} %`,
  ]);
  const widths = COLUMNS.map((head, at) =>
    Math.max(head.length, ...cells.map((row) => row[at]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join("  ");
  return [COLUMNS, ...cells].map(line).join("\n");
}
