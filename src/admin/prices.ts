// `price`: plans, the customers that have them, and what a message would cost.

import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { SluiceError } from "../core/errors.ts";
import { type Lane, LANES } from "../core/message.ts";
import { parsePhone } from "../core/phone.ts";
import { momentOf, parseRates, pricesOfText } from "../core/price-file.ts";
import { DESTINATION_REFUSED, isPrefix, NO_RATE, priceOf, type Rate } from "../core/price-plan.ts";
import { changeCustomer } from "../control/customers.ts";
import { changeRates, dropRates, endPlan, shownRate } from "../control/prices.ts";
import { findPriced, listPlans, listRates, PLAN_NAME_CHARS_MAX } from "../customers/price-plans.ts";
import type { Pool } from "../platform/mysql.ts";
import { byUser } from "./actor.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
import { label, oneOf, wholeNumber } from "./options.ts";

const anyId = wholeNumber(1, Number.MAX_SAFE_INTEGER);
/** In place of a plan's name. */
const NONE = "none";
const planOrNone = label(PLAN_NAME_CHARS_MAX);

export function declarePrices(program: Command): void {
  const price = program.command("price").description("price plans, and what a message would cost");
  declareCheck(price);
  declareRates(price);
  price
    .command("use")
    .description("give a customer a plan, or none; every process knows within 2 s")
    .argument("<plan>", `its name, or ${NONE}: the customer's own prices`, planOrNone)
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option(...jsonFlag)
    .action((plan: string, options: Json & { customer: number }) =>
      withDatabase(async (pool) => {
        const name = plan === NONE ? null : plan;
        await changeCustomer(byUser(pool), options.customer, { plan: name });
        print(options, { customer_id: String(options.customer), plan: name });
      }),
    );
}

type CheckOptions = Json & { customer: number; lane: Lane; at?: number };

function declareCheck(price: Command): void {
  price
    .command("check")
    .description("print what a part to this number costs a customer, and which rate says so")
    .argument("<phone>", "as a customer would write it")
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option("--lane <lane>", "normal or express", oneOf(...LANES), "normal")
    .option("--at <time>", "at that moment, a day or a time; now unless given", moment)
    .option(...jsonFlag)
    .action((phone: string, options: CheckOptions) => withDatabase((pool) => check(pool, phone, options)));
}

async function check(pool: Pool, given: string, options: CheckOptions): Promise<void> {
  const { customer, lane, at: atMs = Date.now() } = options;
  const priced = await findPriced(pool, customer);
  const phone = parsePhone(given, priced.region);
  if ("reason" in phone)
    throw new SluiceError("validation_failed", { errors: [{ field: "phone", reason: phone.reason }] });
  const index = priced.plan?.rateAt(phone.e164, atMs) ?? NO_RATE;
  const rate = priced.plan?.rates[index] ?? null;
  const price = priceOf(priced, lane, phone.e164, atMs);
  print(options, {
    customer_id: String(customer),
    phone: phone.e164,
    lane,
    at: new Date(atMs).toISOString(),
    price,
    currency: priced.currency,
    refused: price === null ? DESTINATION_REFUSED : null,
    plan: priced.planName,
    prefix: rate?.prefix ?? null,
    valid_from: rate === null ? null : new Date(rate.validFromMs).toISOString(),
  });
}

type SetOptions = Json & { normal?: string; express?: string; refuse?: true; from?: number };

function declareRates(price: Command): void {
  price
    .command("set")
    .description("set what numbers with a prefix cost in a plan; makes the plan if there is none")
    .argument("<plan>", "its name", planName)
    .argument("<prefix>", "such as +98912; + for all numbers", prefix)
    .option("--normal <n>", "price per part in minor units")
    .option("--express <n>", "the same for express; +200: that much more than normal")
    .option("--refuse", "instead of prices: refuse messages to such numbers")
    .option("--from <time>", "valid from then on, a day (UTC) or a time; from now unless given", moment)
    .option(...jsonFlag)
    .action((plan: string, of: string, options: SetOptions) =>
      withDatabase(async (pool) => {
        const rate = rateOf(of, options);
        await changeRates(byUser(pool), { name: plan }, [rate], { replaces: false });
        print(options, { plan, ...shownRate(rate) });
      }),
    );
  price
    .command("list")
    .description("list all plans, or the rates of one")
    .argument("[plan]", "its name")
    .option(...jsonFlag)
    .action((plan: string | undefined, options: Json) =>
      withDatabase(async (pool) =>
        plan === undefined
          ? print(options, { plans: await listPlans(pool) })
          : print(options, { plan, rates: (await listRates(pool, plan)).map(shownRate) }),
      ),
    );
  price
    .command("remove")
    .description("remove a prefix of a plan, or a plan that no customer has")
    .argument("<plan>", "its name")
    .argument("[prefix]", "such as +98912; without it the whole plan", prefix)
    .option("--from <time>", "only the rate that is valid from then on, as `list` prints it", moment)
    .option(...jsonFlag)
    .action((plan: string, of: string | undefined, options: Json & { from?: number }) =>
      withDatabase((pool) => remove(pool, plan, of ?? null, options)),
    );
  price
    .command("import")
    .description("make a plan what a file says: prefix,valid_from,normal,express with that header")
    .argument("<plan>", "its name", planName)
    .argument("<file>", "comma-separated; docs/reference/price.md has an example")
    .option(...jsonFlag)
    .action((plan: string, file: string, options: Json) =>
      withDatabase(async (pool) => {
        const read = parseRates(readFileSync(file, "utf8"), Date.now());
        if ("errors" in read) throw new SluiceError("validation_failed", { errors: read.errors });
        await changeRates(byUser(pool), { name: plan }, read.rates, { replaces: true });
        print(options, { plan, rates: read.rates.length });
      }),
    );
}

async function remove(
  pool: Pool,
  plan: string,
  of: string | null,
  options: Json & { from?: number },
): Promise<void> {
  if (of === null) {
    if (options.from !== undefined) throw new Error("--from names a rate of a prefix; say which prefix");
    await endPlan(byUser(pool), { name: plan });
    return print(options, { plan, removed: true });
  }
  const which = { prefix: of, validFromMs: options.from ?? null };
  const { removed } = await dropRates(byUser(pool), { name: plan }, which);
  print(options, { plan, prefix: of, removed });
}

function rateOf(of: string, { normal, express, refuse, from }: SetOptions): Rate {
  const validFromMs = from ?? Date.now();
  if (refuse) {
    if (normal !== undefined || express !== undefined) throw new Error("give prices or --refuse, not both");
    return { prefix: of, validFromMs, prices: null };
  }
  if (normal === undefined || express === undefined)
    throw new Error("give both --normal and --express, or --refuse");
  const read = pricesOfText(normal, express);
  if ("errors" in read) throw new SluiceError("validation_failed", { errors: read.errors });
  return { prefix: of, validFromMs, prices: read.prices };
}

function planName(given: string): string {
  if (given === NONE) throw new InvalidArgumentError("It must be another word: this one means no plan.");
  return planOrNone(given);
}

function prefix(given: string): string {
  if (!isPrefix(given)) throw new InvalidArgumentError("It must be a plus and up to 15 digits.");
  return given;
}

function moment(given: string): number {
  const ms = momentOf(given);
  if (ms === null)
    throw new InvalidArgumentError("It must be a day such as 2026-01-02, or a time: 2026-01-02T15:04Z.");
  return ms;
}
