// `cap`: how much a customer may spend in a day and in a month.

import type { Command } from "commander";
import { MONEY_MAX } from "../core/money.ts";
import { CAP_PERIODS } from "../core/spend-cap.ts";
import { changeCaps } from "../control/wallets.ts";
import { showCaps } from "../ledger/cap-admin.ts";
import type { Pool } from "../platform/mysql.ts";
import { byUser } from "./actor.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
import { drain } from "./drain.ts";
import { type AmountOrNone, amountOf, orNone, wholeNumber } from "./options.ts";

const anyId = wholeNumber(1, Number.MAX_SAFE_INTEGER);
const limit = orNone(0, MONEY_MAX);
type OfCustomer = Json & { customer: number };
type SetOptions = OfCustomer & { daily?: AmountOrNone; monthly?: AmountOrNone };

export function declareCaps(program: Command): void {
  const cap = program.command("cap").description("how much a customer may spend in a UTC day and month");
  cap
    .command("set")
    .description("set or remove caps; waits until what processes hold is back: from then on they hold")
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option("--daily <n>", "minor units, or none; as it is unless given", limit)
    .option("--monthly <n>", "minor units, or none; as it is unless given", limit)
    .option(...jsonFlag)
    .action((options: SetOptions) => withDatabase((pool) => set(pool, options)));
  cap
    .command("show")
    .description("show a customer's caps, what is left of them, and when they begin anew")
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option(...jsonFlag)
    .action((options: OfCustomer) => withDatabase((pool) => show(pool, options)));
}

async function set(pool: Pool, options: SetOptions): Promise<void> {
  const { customer, daily, monthly } = options;
  if (daily === undefined && monthly === undefined) throw new Error("say which cap: --daily or --monthly");
  await changeCaps(byUser(pool), customer, {
    ...(daily === undefined ? {} : { daily: amountOf(daily) }),
    ...(monthly === undefined ? {} : { monthly: amountOf(monthly) }),
  });
  await drain(pool, customer, "the caps are stored");
  await show(pool, options);
}

async function show(pool: Pool, options: OfCustomer): Promise<void> {
  const caps = await showCaps(pool, options.customer);
  const told = CAP_PERIODS.map((period) => {
    const found = caps.find(({ cap }) => cap === period);
    return [period, found?.limit ?? "none", found] as const;
  });
  print(options, {
    customer_id: String(options.customer),
    ...Object.fromEntries(
      told.flatMap(([period, limitOf, found]) => [
        [period, limitOf],
        ...(found === undefined
          ? []
          : [
              [`${period}_left`, found.left],
              [`${period}_resets_at`, new Date(found.resetsAtMs).toISOString()],
            ]),
      ]),
    ),
  });
}
