// `customer`, `topup` and `adjust`: administration directly on the database. Keys are in keys.ts, allow-lists
// in addresses.ts.

import { createHash } from "node:crypto";
import { type Command, InvalidArgumentError } from "commander";
import { once } from "../control/audit.ts";
import { REASON_CHARS_MAX } from "../core/audit.ts";
import { REQUEST_ID_CHARS_MAX } from "../core/limits.ts";
import { MONEY_MAX } from "../core/money.ts";
import { SCOPES_DEFAULT } from "../customers/api-keys.ts";
import { changeCustomer, makeCustomer } from "../control/customers.ts";
import { adjustWallet, payIn } from "../control/wallets.ts";
import {
  NAME_CHARS_MAX,
  listCustomers,
  PRICE_EXPRESS_DEFAULT,
  PRICE_NORMAL_DEFAULT,
  RATE_LIMIT_MAX,
} from "../customers/customers.ts";
import { CUSTOMER_MODES, type CustomerMode } from "../core/customer-mode.ts";
import type { Pool } from "../platform/mysql.ts";
import { TOP_ORDERS } from "../reports/params.ts";
import { byUser } from "./actor.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
import { drain } from "./drain.ts";
import { handOver } from "./keys.ts";
import {
  type AmountOrNone,
  amountOf,
  idempotencyKey,
  label,
  oneOf,
  orNone,
  time,
  wholeNumber,
} from "./options.ts";
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
    .action((options: CreateOptions) => withDatabase((pool) => create(pool, options)));
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
      "how credit is taken: `lease` ahead of need (fast), `strict` exactly per message (balance_after is " +
        "exact), `async` when a message is about to be sent (it is accepted whatever the balance, and " +
        "rejected then if nothing can pay for it); waits until what processes hold is back",
    )
    .argument("<mode>", CUSTOMER_MODES.join(", "), oneOf(...CUSTOMER_MODES))
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option(...jsonFlag)
    .action((mode: CustomerMode, options: Json & { customer: number }) =>
      withDatabase((pool) => changeMode(pool, mode, options)),
    );

  declareSet(customer);
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
        const { requestId = `cli-${byUser(pool).id()}` } = options;
        print(options, await payIn(byUser(pool), options.customer, options.amount, requestId));
      }),
    );
}

type SetOptions = Json & {
  customer: number;
  name?: string;
  priceNormal?: number;
  priceExpress?: number;
  rateLimit?: AmountOrNone;
};

function declareSet(customer: Command): void {
  customer
    .command("set")
    .description("change a customer's name, own prices or rate limit; every process knows within 2 s")
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option("--name <name>", "its name", label(NAME_CHARS_MAX))
    .option("--price-normal <n>", "price per part in minor units", anyId)
    .option("--price-express <n>", "price per part in minor units", anyId)
    .option("--rate-limit <n>", "message parts a minute, or none", orNone(1, RATE_LIMIT_MAX))
    .option(...jsonFlag)
    .action(({ customer: customerId, rateLimit, json, ...terms }: SetOptions) =>
      withDatabase(async (pool) => {
        const wanted = { ...terms, ...(rateLimit === undefined ? {} : { rateLimit: amountOf(rateLimit) }) };
        if (Object.keys(wanted).length === 0) throw new Error("say what to change; see --help");
        print({ ...(json && { json }) }, { ...(await changeCustomer(byUser(pool), customerId, wanted)) });
      }),
    );
}

type AdjustOptions = Json & { customer: number; amount: number; reason: string; key?: string };

export function declareAdjust(program: Command): void {
  program
    .command("adjust")
    .description("correct a customer's wallet, in either direction, with a reason for the audit log")
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .requiredOption(
      "--amount <n>",
      "minor units; below 0: taken from the wallet, such as --amount=-500",
      signed,
    )
    .requiredOption("--reason <text>", "why, for the audit log", label(REASON_CHARS_MAX))
    .option("--key <text>", "repeating it has no effect, however much later", idempotencyKey)
    .option(...jsonFlag)
    .action(({ customer, amount: by, reason, key, ...json }: AdjustOptions) =>
      withDatabase(async (pool) => {
        const wanted = { customerId: customer, amount: by, reason };
        const hash = createHash("sha256").update(JSON.stringify(wanted)).digest();
        const kept = key === undefined ? null : { key, hash };
        const { answer } = await once({ ...byUser(pool), kept }, (who) => adjustWallet(who, wanted));
        print(json, JSON.parse(answer) as Record<string, unknown>);
      }),
    );
}

function signed(given: string): number {
  const value = Number(given);
  if (!/^[+-]?\d+$/.test(given) || !Number.isSafeInteger(value) || value === 0)
    throw new InvalidArgumentError("It must be a whole number other than 0.");
  return value;
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
        await changeCustomer(byUser(pool), options.customer, { resendsUnknown: isOn });
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
        await changeCustomer(byUser(pool), options.customer, { otpCode: isOn });
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
          await changeCustomer(byUser(pool), options.customer, { isSuspended });
          print(options, { customer_id: String(options.customer), suspended: isSuspended });
        }),
      );
  const refused = "refuse all requests of a customer within 2 s (403 customer_suspended)";
  declare("suspend", true, `${refused}; what is queued is still sent, and what is scheduled waits`);
  declare("resume", false, "serve a suspended customer again, within 2 s");
}

async function changeMode(pool: Pool, mode: CustomerMode, options: Json & { customer: number }) {
  await changeCustomer(byUser(pool), options.customer, { mode });
  await drain(pool, options.customer, `the mode is ${mode}`);
  print(options, { customer_id: String(options.customer), mode });
}

async function create(pool: Pool, options: CreateOptions): Promise<void> {
  const { name, priceNormal, priceExpress, rateLimit = null, balance } = options;
  const by = byUser(pool);
  const made = await makeCustomer(by, { name, priceNormal, priceExpress, rateLimit });
  const customerId = Number(made.customer_id);
  if (balance > 0) await payIn(by, customerId, balance, "create");
  await handOver(pool, options, customerId, { scopes: SCOPES_DEFAULT });
}
