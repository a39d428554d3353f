// `customer`, `key` and `topup`: what an administrator does on the database directly. A key is shown once,
// when it is made.

import type { Command } from "commander";
import { createIdFactory } from "../../core/id.ts";
import { MONEY_MAX } from "../../core/money.ts";
import {
  createKey,
  listKeys,
  revokeKey,
  type Scope,
  SCOPES,
  SCOPES_DEFAULT,
} from "../../customers/api-keys.ts";
import {
  createCustomer,
  listCustomers,
  PRICE_EXPRESS_DEFAULT,
  PRICE_NORMAL_DEFAULT,
} from "../../customers/customers.ts";
import { topUp } from "../../ledger/topup.ts";
import { loadConfig } from "../../platform/config.ts";
import { createPool, type Pool } from "../../platform/mysql.ts";
import { wholeNumber } from "./options.ts";

type Json = { json?: true };
type CreateOptions = Json & {
  name: string;
  balance: number;
  priceNormal: number;
  priceExpress: number;
  rateLimit?: number;
};

const anyId = wholeNumber(1, Number.MAX_SAFE_INTEGER);
const amount = wholeNumber(1, MONEY_MAX);
const jsonFlag = ["--json", "print JSON"] as const;

export function declareCustomers(program: Command): void {
  const customer = program.command("customer").description("create and list customers");
  customer
    .command("create")
    .description("make a customer with a wallet and an API key (scopes send, read, billing)")
    .requiredOption("--name <name>", "need not be unique")
    .option("--balance <n>", "the first top-up, in minor units", wholeNumber(0, MONEY_MAX), 0)
    .option("--price-normal <n>", "price per part", anyId, PRICE_NORMAL_DEFAULT)
    .option("--price-express <n>", "price per part", anyId, PRICE_EXPRESS_DEFAULT)
    .option("--rate-limit <n>", "parts a minute; none unless given", anyId)
    .option(...jsonFlag)
    .action((options: CreateOptions) => withDatabase((pool) => makeCustomer(pool, options)));
  customer
    .command("list")
    .description("all customers, oldest first")
    .option(...jsonFlag)
    .action((options: Json) =>
      withDatabase(async (pool) => print(options, { customers: await listCustomers(pool) })),
    );

  const key = program.command("key").description("create, list and revoke API keys");
  key
    .command("create")
    .description("make another key; a customer may have two live ones")
    .requiredOption("--customer <id>", "the customer", anyId)
    .option("--scopes <list>", `of ${SCOPES.join(", ")}`, scopes, [...SCOPES_DEFAULT])
    .option(...jsonFlag)
    .action((options: Json & { customer: number; scopes: Scope[] }) =>
      withDatabase(async (pool) => {
        const { keyId, apiKey } = await createKey(ledger(pool), options.customer, options.scopes);
        print(options, { key_id: keyId, customer_id: String(options.customer), api_key: apiKey });
      }),
    );
  key
    .command("list")
    .description("a customer's keys, without the keys themselves")
    .requiredOption("--customer <id>", "the customer", anyId)
    .option(...jsonFlag)
    .action((options: Json & { customer: number }) =>
      withDatabase(async (pool) => print(options, { keys: await listKeys(pool, options.customer) })),
    );
  key
    .command("revoke")
    .description("end a key; every process refuses it within 2 s")
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
    .requiredOption("--customer <id>", "the customer", anyId)
    .requiredOption("--amount <n>", "minor units", amount)
    .option("--request-id <text>", "the same one again has no effect; made up unless given")
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

async function makeCustomer(pool: Pool, options: CreateOptions): Promise<void> {
  const { name, priceNormal, priceExpress, rateLimit = null, balance } = options;
  const customerId = await createCustomer(pool, { name, priceNormal, priceExpress, rateLimit });
  if (balance > 0) await topUp(ledger(pool), customerId, balance, "create");
  const { apiKey } = await createKey(ledger(pool), customerId);
  print(options, { customer_id: String(customerId), api_key: apiKey });
}

const newId = createIdFactory({ now: Date.now });
const ledger = (pool: Pool) => ({ pool, id: newId, now: Date.now });

async function withDatabase(use: (pool: Pool) => Promise<void>): Promise<void> {
  const config = loadConfig(process.env);
  const pool = createPool(config, { connections: 1, multipleStatements: true });
  try {
    await use(pool);
  } catch (error) {
    throw explained(error, `${config.mysqlHost}:${config.mysqlPort}`);
  } finally {
    await pool.end();
  }
}

function explained(error: unknown, where: string): unknown {
  const { code, errno } = error as { code?: string; errno?: number };
  if (code === "ECONNREFUSED")
    return new Error(`MySQL does not answer on ${where}. Start it: ./sluice up (or make up)`, {
      cause: error,
    });
  const unmigrated = errno === 1049 || errno === 1146; // no such database, no such table
  return unmigrated
    ? new Error("the database has no tables yet. Run: ./sluice migrate", { cause: error })
    : error;
}

function scopes(given: string): Scope[] {
  const wanted = given.split(",").map((each) => each.trim());
  const unknown = wanted.filter((each) => !(SCOPES as readonly string[]).includes(each));
  if (unknown.length > 0)
    throw new Error(`unknown scope ${unknown.join(", ")}; there are: ${SCOPES.join(", ")}`);
  return wanted as Scope[];
}

/** JSON on one line, or `name: value` lines; lists as one line each. */
function print({ json }: Json, value: Record<string, unknown>): void {
  if (json) return console.log(JSON.stringify(value));
  for (const [name, each] of Object.entries(value)) {
    if (Array.isArray(each))
      console.log(each.length === 0 ? `no ${name}` : each.map((row) => JSON.stringify(row)).join("\n"));
    else console.log(`${name}: ${String(each)}`);
  }
}
