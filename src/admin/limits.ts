// `limit`: how many message parts and requests a minute are taken of a customer.

import type { Command } from "commander";
import { changeCustomer } from "../control/customers.ts";
import { type CustomerRow, RATE_LIMIT_MAX, readCustomer } from "../customers/customers.ts";
import type { Pool } from "../platform/mysql.ts";
import { byUser } from "./actor.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
import { type AmountOrNone, amountOf, orNone, wholeNumber } from "./options.ts";

const anyId = wholeNumber(1, Number.MAX_SAFE_INTEGER);
const perMinute = orNone(1, RATE_LIMIT_MAX);
type OfCustomer = Json & { customer: number };
type SetOptions = OfCustomer & { parts?: AmountOrNone; requests?: AmountOrNone };

export function declareLimits(program: Command): void {
  const limit = program.command("limit").description("how much is taken of a customer in a minute");
  limit
    .command("set")
    .description("set or remove limits; all ingest processes together keep them within 2 s")
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option("--parts <n>", "message parts a minute, or none; as it is unless given", perMinute)
    .option("--requests <n>", "requests a minute, or none; as it is unless given", perMinute)
    .option(...jsonFlag)
    .action((options: SetOptions) => withDatabase((pool) => set(pool, options)));
  limit
    .command("show")
    .description("show a customer's limits")
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option(...jsonFlag)
    .action((options: OfCustomer) =>
      withDatabase(async (pool) => show(options, await readCustomer(pool, options.customer))),
    );
}

async function set(pool: Pool, options: SetOptions): Promise<void> {
  const { customer, parts, requests } = options;
  if (parts === undefined && requests === undefined)
    throw new Error("say which limit: --parts or --requests");
  const changed = await changeCustomer(byUser(pool), customer, {
    ...(parts === undefined ? {} : { rateLimit: amountOf(parts) }),
    ...(requests === undefined ? {} : { requestLimit: amountOf(requests) }),
  });
  show(options, changed);
}

function show(options: OfCustomer, { rate_limit, request_limit }: CustomerRow): void {
  print(options, {
    customer_id: String(options.customer),
    parts: rate_limit ?? "none",
    requests: request_limit ?? "none",
  });
}
