// `sender`: the sender ids that a customer may use as `from`.

import type { Command } from "commander";
import { audited, difference } from "../control/audit.ts";
import {
  allowSenders,
  clearSenders,
  listSenders,
  removeSenders,
  type Senders,
} from "../customers/senders.ts";
import type { Pool } from "../platform/mysql.ts";
import { byUser } from "./actor.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
import { wholeNumber } from "./options.ts";

const customerArgument = [
  "<customer>",
  "the customer's id",
  wholeNumber(1, Number.MAX_SAFE_INTEGER),
] as const;
const idsArgument = ["<ids...>", "names of up to 11 characters (GSM 7-bit), or numbers"] as const;

export function declareSenders(program: Command): void {
  const sender = program
    .command("sender")
    .description("the sender ids that a customer may use as `from`; any unless it has a list");
  sender
    .command("allow")
    .description("add ids to the list within 2 s; from the first one on no others may be used")
    .argument(...customerArgument)
    .argument(...idsArgument)
    .option(...jsonFlag)
    .action((customerId: number, ids: string[], options: Json) =>
      show(options, customerId, (pool) =>
        changed(pool, customerId, (tx) => allowSenders(tx, customerId, ids)),
      ),
    );
  sender
    .command("remove")
    .description("remove ids from the list; an empty list allows none")
    .argument(...customerArgument)
    .argument(...idsArgument)
    .option(...jsonFlag)
    .action((customerId: number, ids: string[], options: Json) =>
      show(options, customerId, (pool) =>
        changed(pool, customerId, (tx) => removeSenders(tx, customerId, ids)),
      ),
    );
  sender
    .command("clear")
    .description("remove the list: the customer may use any sender id")
    .argument(...customerArgument)
    .option(...jsonFlag)
    .action((customerId: number, options: Json) =>
      show(options, customerId, (pool) => changed(pool, customerId, (tx) => clearSenders(tx, customerId))),
    );
  sender
    .command("list")
    .description("show the list; null: the customer may use any")
    .argument(...customerArgument)
    .option(...jsonFlag)
    .action((customerId: number, options: Json) =>
      show(options, customerId, (pool) => listSenders(pool, customerId)),
    );
}

const show = (options: Json, customerId: number, sendersOf: (pool: Pool) => Promise<Senders>) =>
  withDatabase(async (pool) =>
    print(options, { customer_id: String(customerId), senders: await sendersOf(pool) }),
  );

/** Runs a change, and logs the list before and after it. */
const changed = (pool: Pool, customerId: number, run: (tx: Pool) => Promise<Senders>): Promise<Senders> =>
  audited(byUser(pool), async (tx) => {
    const old = await listSenders(tx, customerId);
    const result = await run(tx);
    const change = difference({ senders: old }, { senders: result });
    return { result, change: change && { action: "senders.change", customerId, ...change } };
  });
