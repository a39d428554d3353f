// `customer` and `topup`: administration directly on the database. Keys are in keys.ts, allow-lists in
// addresses.ts.

import type { Command } from "commander";
import { createIdFactory } from "../core/id.ts";
import { REQUEST_ID_CHARS_MAX } from "../core/limits.ts";
import { MONEY_MAX } from "../core/money.ts";
import { SCOPES_DEFAULT } from "../customers/api-keys.ts";
import {
  createCustomer,
  NAME_CHARS_MAX,
  listCustomers,
  PRICE_EXPRESS_DEFAULT,
  PRICE_NORMAL_DEFAULT,
  setOtpCode,
  setResendUnknown,
  setSuspended,
} from "../customers/customers.ts";
import type { CustomerMode } from "../ledger/grant.ts";
import { setMode } from "../ledger/lease-admin.ts";
import { topUp } from "../ledger/topup.ts";
import type { Pool } from "../platform/mysql.ts";
import { TOP_ORDERS } from "../reports/top-customers.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
import { drain } from "./drain.ts";
import { handOver } from "./keys.ts";
import { label, oneOf, time, wholeNumber } from "./options.ts";
import type { TopOptions } from "./show-top.ts";

type CreateOptions = Json & {
  name: string;
  balance: number;
  priceNormal: number;
  priceExpress: number;
  rateLimit?: number;
};

const anyId = wholeNumber(1, Number.MAX_SAFE_INTEGER);
const amount = wholeNumber(1, MONEY_MAX);

export function declareCustomers(program: Command): void {
  const customer = program
    .command("customer")
    .description("create, list and suspend customers, and change how their credit is taken");
  customer
    .command("create")
    .description("create a customer with a wallet and an API key (scopes send, read, billing)")
    .requiredOption("--name <name>", "its name; need not be unique", label(NAME_CHARS_MAX))
    .option("--balance <n>", "the first top-up, in minor units", wholeNumber(0, MONEY_MAX), 0)
    .option("--price-normal <n>", "price per part in minor units", anyId, PRICE_NORMAL_DEFAULT)
    .option("--price-express <n>", "price per part in minor units", anyId, PRICE_EXPRESS_DEFAULT)
    .option("--rate-limit <n>", "message parts a minute; no limit unless given", anyId)
    .option(...jsonFlag)
    .action((options: CreateOptions) => withDatabase((pool) => makeCustomer(pool, options)));
  customer
    .command("list")
    .description("list all customers, oldest first")
    .option(...jsonFlag)
    .action((options: Json) =>
      withDatabase(async (pool) => print(options, { customers: await listCustomers(pool) })),
    );

  customer
    .command("mode")
    .description(
      "how credit is taken: `lease` ahead of need (fast), `strict` exactly per message " +
        "(balance_after is exact); waits until what processes hold is back",
    )
    .argument("<mode>", "lease or strict", oneOf("lease", "strict"))
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option(...jsonFlag)
    .action((mode: CustomerMode, options: Json & { customer: number }) =>
      withDatabase((pool) => changeMode(pool, mode, options)),
    );

  declareResendUnknown(customer);
  declareOtpCode(customer);
  declareTop(customer);

  declareSuspension(customer);

  program
    .command("topup")
    .description("add money to a customer's wallet")
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .requiredOption("--amount <n>", "amount in minor units", amount)
    .option(
      "--request-id <text>",
      "repeating it has no effect; generated unless given",
      label(REQUEST_ID_CHARS_MAX),
    )
    .option(...jsonFlag)
    .action((options: Json & { customer: number; amount: number; requestId?: string }) =>
      withDatabase(async (pool) => {
        const { requestId = `cli-${newId()}` } = options;
        const { idempotent, balance } = await topUp(
          ledger(pool),
          options.customer,
          options.amount,
          requestId,
        );
        print(options, {
          customer_id: String(options.customer),
          amount: options.amount,
          request_id: requestId,
          idempotent,
          balance,
        });
      }),
    );
}

function declareTop(customer: Command): void {
  customer
    .command("top")
    .description("who sent the most, from the report: messages by the time of their acceptance")
    .option("--from <time>", "messages accepted since then, RFC 3339; by default a day before --to", time)
    .option("--to <time>", "messages accepted before then; by default now", time)
    .option("--by <what>", `the order: ${TOP_ORDERS.join(", ")}`, oneOf(...TOP_ORDERS), "cost")
    .option("--limit <n>", "how many", wholeNumber(1, TOP_MAX), TOP_DEFAULT)
    .option(...jsonFlag)
    .action(async (options: TopOptions) => {
      const { showTop } = await import("./show-top.ts");
      await showTop(options);
    });
}

const TOP_DEFAULT = 20;
const TOP_MAX = 1_000;

function declareResendUnknown(customer: Command): void {
  customer
    .command("express-resend-unknown")
    .description(
      "send an express message whose answer was lost once more, through another operator, while its " +
        "promise can be kept: it may arrive twice, and is paid once",
    )
    .argument("<on|off>", "off unless it was set", oneOf("on", "off"))
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option(...jsonFlag)
    .action((setting: "on" | "off", options: Json & { customer: number }) =>
      withDatabase(async (pool) => {
        const isOn = setting === "on";
        await setResendUnknown(pool, options.customer, isOn);
        print(options, { customer_id: String(options.customer), express_resend_unknown: isOn });
      }),
    );
}

function declareOtpCode(customer: Command): void {
  customer
    .command("otp-code")
    .description(
      "put the code into the answer to POST /v1/otp, as otp_code, for a customer that also checks codes by " +
        "itself; everyone who reads such an answer has the code",
    )
    .argument("<on|off>", "off unless it was set", oneOf("on", "off"))
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option(...jsonFlag)
    .action((setting: "on" | "off", options: Json & { customer: number }) =>
      withDatabase(async (pool) => {
        const isOn = setting === "on";
        await setOtpCode(pool, options.customer, isOn);
        print(options, { customer_id: String(options.customer), otp_code: isOn });
      }),
    );
}

function declareSuspension(customer: Command): void {
  const declare = (name: string, isSuspended: boolean, description: string) =>
    customer
      .command(name)
      .description(description)
      .requiredOption("--customer <id>", "the customer's id", anyId)
      .option(...jsonFlag)
      .action((options: Json & { customer: number }) =>
        withDatabase(async (pool) => {
          await setSuspended(pool, options.customer, isSuspended);
          print(options, { customer_id: String(options.customer), suspended: isSuspended });
        }),
      );
  const refused = "refuse all requests of a customer within 2 s (403 customer_suspended)";
  declare("suspend", true, `${refused}; what is queued is still sent, and what is scheduled waits`);
  declare("resume", false, "serve a suspended customer again, within 2 s");
}

async function changeMode(pool: Pool, mode: CustomerMode, options: Json & { customer: number }) {
  await setMode(pool, options.customer, mode);
  await drain(pool, options.customer, `the mode is ${mode}`);
  print(options, { customer_id: String(options.customer), mode });
}

async function makeCustomer(pool: Pool, options: CreateOptions): Promise<void> {
  const { name, priceNormal, priceExpress, rateLimit = null, balance } = options;
  const customerId = await createCustomer(pool, { name, priceNormal, priceExpress, rateLimit });
  if (balance > 0) await topUp(ledger(pool), customerId, balance, "create");
  await handOver(pool, options, customerId, { scopes: SCOPES_DEFAULT });
}

const newId = createIdFactory({ now: Date.now });
const ledger = (pool: Pool) => ({ pool, id: newId, now: Date.now });
