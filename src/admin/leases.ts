// `lease list`: which process holds how much credit of which customer, and how long until its lifetime is
// over.

import type { Command } from "commander";
import { requireCustomer } from "../customers/customers.ts";
import { LEASE_LIST_MAX, type LeaseRow, listLeases } from "../ledger/lease-admin.ts";
import { say } from "../platform/output.ts";
import { columns } from "./columns.ts";
import { type Json, jsonFlag, withDatabase } from "./database.ts";
import { wholeNumber } from "./options.ts";

const anyId = wholeNumber(1, Number.MAX_SAFE_INTEGER);

export function declareLeases(program: Command): void {
  program
    .command("lease")
    .description("show credit that ingest processes hold")
    .command("list")
    .description(
      "list leases by customer: credit granted, credit spent, and when the process expires unless renewed",
    )
    .option("--customer <id>", "only this customer", anyId)
    .option("--limit <n>", "at most this many", wholeNumber(1, LEASE_LIST_MAX), 1_000)
    .option(...jsonFlag)
    .action((options: Json & { customer?: number; limit: number }) =>
      withDatabase(async (pool) => {
        const { customer: customerId = null, limit } = options;
        if (customerId !== null) await requireCustomer(pool, customerId);
        const leases = await listLeases(pool, { customerId, limit });
        say(options.json ? JSON.stringify({ leases }) : asTable(leases, limit));
      }),
    );
}

const HEADS = ["customer", "node", "epoch", "granted", "spent", "unspent", "expires in"] as const;

/** One line a lease, and their sum. */
export function asTable(leases: readonly LeaseRow[], limit: number): string {
  if (leases.length === 0) return "no leases: no process holds credit";
  const cells = leases.map((l) => [
    l.customer_id,
    l.node_id,
    String(l.epoch),
    String(l.granted),
    String(l.spent),
    String(l.unspent),
    `${(l.expires_in_ms / 1_000).toFixed(1)} s${l.recall ? ", recalled" : ""}`,
  ]);
  const held = leases.reduce((sum, l) => sum + l.unspent, 0);
  const nodes = new Set(leases.map((l) => l.node_id)).size;
  const cut = leases.length === limit ? ` (the first ${limit}: --limit shows more)` : "";
  return [
    ...columns(HEADS, cells, [1, 6]),
    `${leases.length} leases of ${nodes} processes hold ${held} unspent${cut}`,
  ].join("\n");
}
