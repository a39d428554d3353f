// `customer`, `key` and `topup`: administration directly on the database. A key is shown once, when it is
// created.

import type { Command } from "commander";
import { createIdFactory } from "../core/id.ts";
import { REQUEST_ID_CHARS_MAX } from "../core/limits.ts";
import { MONEY_MAX } from "../core/money.ts";
import { createKey, listKeys, revokeKey, type Scope, SCOPES, SCOPES_DEFAULT } from "../customers/api-keys.ts";
import {
  createCustomer,
  NAME_CHARS_MAX,
  requireCustomer,
  listCustomers,
  PRICE_EXPRESS_DEFAULT,
  PRICE_NORMAL_DEFAULT,
  setResendUnknown,
} from "../customers/customers.ts";
import type { CustomerMode } from "../ledger/grant.ts";
import { drainsLeft, setMode } from "../ledger/lease-admin.ts";
import { topUp } from "../ledger/topup.ts";
import type { Pool } from "../platform/mysql.ts";
import { OutputError } from "../platform/output.ts";
import { sleep } from "../platform/retry.ts";
import { TOP_ORDERS } from "../reports/top-customers.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
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
    .description("create and list customers, and change how their credit is taken");
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
  declareTop(customer);

  const key = program.command("key").description("create, list and revoke API keys");
  key
    .command("create")
    .description("create another key; a customer may have two live ones")
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option("--scopes <list>", `comma-separated, from ${SCOPES.join(", ")}`, scopes, [...SCOPES_DEFAULT])
    .option(...jsonFlag)
    .action((options: Json & { customer: number; scopes: Scope[] }) =>
      withDatabase(async (pool) => {
        await handOver(pool, options, options.customer, options.scopes);
      }),
    );
  key
    .command("list")
    .description("list a customer's keys, without the secret keys themselves")
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option(...jsonFlag)
    .action((options: Json & { customer: number }) =>
      withDatabase(async (pool) => {
        await requireCustomer(pool, options.customer);
        print(options, { keys: await listKeys(pool, options.customer) });
      }),
    );
  key
    .command("revoke")
    .description("revoke a key; every process refuses it within 2 s")
    .argument("<key-id>", "from `key list`")
    .option(...jsonFlag)
    .action((keyId: string, options: Json) =>
      withDatabase(async (pool) => {
        if (!(await revokeKey(pool, keyId)))
          throw new Error(`no live key ${JSON.stringify(keyId)}; see: ./sluice key list`);
        print(options, { key_id: keyId, revoked: true });
      }),
    );

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

// Twice the longest lifetime of a dead process's lease: draining takes no longer than that.
const DRAIN_WAIT_MAX_MS = 60_000;
const PROGRESS_MS = 2_000;

async function changeMode(pool: Pool, mode: CustomerMode, options: Json & { customer: number }) {
  await setMode(pool, options.customer, mode);
  const startedMs = performance.now();
  let toldMs = startedMs;
  for (let left = 1; left > 0; ) {
    left = await drainsLeft(pool, options.customer);
    const nowMs = performance.now();
    if (left > 0 && nowMs - startedMs > DRAIN_WAIT_MAX_MS)
      throw new Error(`the mode is ${mode}, but leases still hold ${left}; see: ./sluice lease list`);
    if (left > 0 && nowMs - toldMs > PROGRESS_MS) {
      toldMs = nowMs;
      process.stderr.write(`waiting for processes to return ${left} …\n`);
    }
    if (left > 0) await sleep(100);
  }
  print(options, { customer_id: String(options.customer), mode });
}

async function makeCustomer(pool: Pool, options: CreateOptions): Promise<void> {
  const { name, priceNormal, priceExpress, rateLimit = null, balance } = options;
  const customerId = await createCustomer(pool, { name, priceNormal, priceExpress, rateLimit });
  if (balance > 0) await topUp(ledger(pool), customerId, balance, "create");
  await handOver(pool, options, customerId, SCOPES_DEFAULT);
}

/** Creates a key and prints it. A key that could not be printed is revoked, because nobody has it. */
async function handOver(
  pool: Pool,
  json: Json,
  customerId: number,
  scopesOf: readonly Scope[],
): Promise<void> {
  const { keyId, apiKey } = await createKey(ledger(pool), customerId, scopesOf);
  try {
    print(json, { customer_id: String(customerId), key_id: keyId, api_key: apiKey });
  } catch (cause) {
    await revokeKey(pool, keyId);
    throw new OutputError(
      `the new key of customer ${customerId} could not be printed and was revoked; ` +
        `create another: ./sluice key create --customer ${customerId}`,
      { cause },
    );
  }
}

const newId = createIdFactory({ now: Date.now });
const ledger = (pool: Pool) => ({ pool, id: newId, now: Date.now });

function scopes(given: string): Scope[] {
  const wanted = given.split(",").map((each) => each.trim());
  const unknown = wanted.filter((each) => !(SCOPES as readonly string[]).includes(each));
  if (unknown.length > 0)
    throw new Error(`unknown scope ${unknown.join(", ")}; known scopes: ${SCOPES.join(", ")}`);
  return wanted as Scope[];
}
