// `quiet`: the quiet hours of a customer, in which its normal messages wait.

import { type Command, InvalidArgumentError } from "commander";
import { audited, difference } from "../control/audit.ts";
import { hoursOf, hoursText, isZone, quietPrefixOf, type QuietRule } from "../core/quiet-hours.ts";
import { clearQuiet, listQuiet, setQuiet } from "../customers/quiet-hours.ts";
import type { Pool } from "../platform/mysql.ts";
import { byUser } from "./actor.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
import { wholeNumber } from "./options.ts";

const customerArgument = [
  "<customer>",
  "the customer's id",
  wholeNumber(1, Number.MAX_SAFE_INTEGER),
] as const;
type SetOptions = Json & { prefix?: string; zone?: string };

export function declareQuiet(program: Command): void {
  const quiet = program
    .command("quiet")
    .description("quiet hours: normal messages of a customer wait until they end where the phone is");
  quiet
    .command("set")
    .description("set quiet hours within 2 s; those of the longest prefix of a number count")
    .argument(...customerArgument)
    .argument("<hours>", "from when until when, such as 22:00-08:00", hours)
    .option("--prefix <digits>", "for numbers that begin so, such as 98; all others unless given", prefix)
    .option(
      "--zone <name>",
      "by the clock of this IANA zone, such as Asia/Tehran, not the number's own",
      zone,
    )
    .option(...jsonFlag)
    .action((customerId: number, given: Pick<QuietRule, "fromMin" | "untilMin">, options: SetOptions) =>
      show(options, customerId, (pool) =>
        changed(pool, customerId, (tx) =>
          setQuiet(tx, customerId, { ...given, prefix: options.prefix ?? "", zone: options.zone ?? null }),
        ),
      ),
    );
  quiet
    .command("clear")
    .description("remove the quiet hours of a prefix, or all of them; what waits already goes on waiting")
    .argument(...customerArgument)
    .option("--prefix <digits>", "only those of this prefix", prefix)
    .option(...jsonFlag)
    .action((customerId: number, options: Json & { prefix?: string }) =>
      show(options, customerId, (pool) =>
        changed(pool, customerId, (tx) => clearQuiet(tx, customerId, options.prefix ?? null)),
      ),
    );
  quiet
    .command("list")
    .description("show a customer's quiet hours")
    .argument(...customerArgument)
    .option(...jsonFlag)
    .action((customerId: number, options: Json) =>
      show(options, customerId, (pool) => listQuiet(pool, customerId)),
    );
}

const show = (options: Json, customerId: number, rulesOf: (pool: Pool) => Promise<QuietRule[]>) =>
  withDatabase(async (pool) => {
    const rules = await rulesOf(pool);
    print(options, {
      customer_id: String(customerId),
      quiet_hours: rules.map((rule) => ({
        prefix: rule.prefix === "" ? null : rule.prefix,
        hours: hoursText(rule),
        zone: rule.zone,
      })),
    });
  });

/** Runs a change, and logs the rules before and after it. */
const changed = (pool: Pool, customerId: number, run: (tx: Pool) => Promise<QuietRule[]>) =>
  audited(byUser(pool), async (tx) => {
    const old = await listQuiet(tx, customerId);
    const result = await run(tx);
    const change = difference({ quiet_hours: old }, { quiet_hours: result });
    return { result, change: change && { action: "quiet.change", customerId, ...change } };
  });

function hours(given: string): Pick<QuietRule, "fromMin" | "untilMin"> {
  const read = hoursOf(given);
  if (read === null) throw new InvalidArgumentError("It must be two times of a day, such as 22:00-08:00.");
  return read;
}

function prefix(given: string): string {
  const read = quietPrefixOf(given);
  if (read === null)
    throw new InvalidArgumentError("It must be up to 15 digits that begin a number, such as 98.");
  return read;
}

function zone(given: string): string {
  if (!isZone(given))
    throw new InvalidArgumentError("It must be the name of an IANA zone, such as Asia/Tehran.");
  return given;
}
