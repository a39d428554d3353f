// What `customer top` prints: who sent the most within a period.

import { createClickhouse } from "../platform/clickhouse.ts";
import { loadConfig } from "../platform/config.ts";
import { say } from "../platform/output.ts";
import type { TopOrder } from "../reports/params.ts";
import { type TopCustomer, topCustomers } from "../reports/top-customers.ts";
import { columns } from "./columns.ts";
import type { Json } from "./database.ts";

export type TopOptions = Json & { from?: number; to?: number; by: TopOrder; limit: number };

const PERIOD_DEFAULT_MS = 24 * 3_600_000;
/** For a statement that reads all customers' messages of the period. */
const TIMEOUT_MS = 70_000;
const HEADS = ["customer", "messages", "parts", "cost", "refunded"];

/** @throws Error if the period is none; SluiceError reports_unavailable */
export async function showTop({ json, from, to, by, limit }: TopOptions): Promise<void> {
  const toMs = to ?? Date.now();
  const fromMs = from ?? toMs - PERIOD_DEFAULT_MS;
  if (fromMs >= toMs) throw new Error("--from must be before --to");
  const clickhouse = createClickhouse(loadConfig(process.env), { timeoutMs: TIMEOUT_MS });
  try {
    const customers = await topCustomers(clickhouse, { fromMs, toMs, by, count: limit });
    const [since, until] = [fromMs, toMs].map((ms) => new Date(ms).toISOString()) as [string, string];
    if (json) say(JSON.stringify({ from: since, to: until, by, customers }));
    else say(customers.length === 0 ? `no messages from ${since} to ${until}` : asTable(customers));
  } finally {
    await clickhouse.close();
  }
}

const asTable = (customers: readonly TopCustomer[]): string =>
  columns(
    HEADS,
    customers.map((row) => [
      row.customer_id,
      ...[row.messages, row.parts, row.cost, row.refunded].map(String),
    ]),
    [],
  ).join("\n");
