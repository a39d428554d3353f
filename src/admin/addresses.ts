// `address`: from which addresses a customer, or one of its keys, may be used.

import type { Command } from "commander";
import { changeCustomer } from "../control/customers.ts";
import { changeKey } from "../control/keys.ts";
import { type ListOwner, listAddresses } from "../customers/addresses.ts";
import { byUser } from "./actor.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
import { wholeNumber } from "./options.ts";

type Owner = Json & { customer?: number; key?: string };
const anyId = wholeNumber(1, Number.MAX_SAFE_INTEGER);
const ofCustomer = ["--customer <id>", "the list of all keys of this customer", anyId] as const;
const ofKey = ["--key <key-id>", "the list of this key, from `key list`"] as const;

export function declareAddresses(program: Command): void {
  const address = program
    .command("address")
    .description("the addresses from which customers and keys may be used; from anywhere unless set");
  address
    .command("set")
    .description(
      "replace a list within 2 s; a client must be in the customer's and in the key's, if there are both",
    )
    .argument("<addresses...>", "addresses and CIDR blocks, such as 203.0.113.9 192.0.2.0/24 2001:db8::/32")
    .option(...ofCustomer)
    .option(...ofKey)
    .option(...jsonFlag)
    .action((addresses: string[], options: Owner) => change(options, addresses));
  address
    .command("clear")
    .description("remove a list")
    .option(...ofCustomer)
    .option(...ofKey)
    .option(...jsonFlag)
    .action((options: Owner) => change(options, null));
  address
    .command("list")
    .description("show a customer's list, and those of its keys")
    .requiredOption("--customer <id>", "the customer's id", anyId)
    .option(...jsonFlag)
    .action((options: Json & { customer: number }) =>
      withDatabase(async (pool) =>
        print(options, { addresses: await listAddresses(pool, options.customer) }),
      ),
    );
}

const change = (options: Owner, addresses: string[] | null): Promise<void> =>
  withDatabase(async (pool) => {
    const owner = ownerOf(options);
    if ("keyId" in owner) await changeKey(byUser(pool), owner.keyId, { addresses });
    else await changeCustomer(byUser(pool), owner.customerId, { addresses });
    const of = "keyId" in owner ? { key_id: owner.keyId } : { customer_id: String(owner.customerId) };
    print(options, { ...of, addresses: addresses === null ? null : [...new Set(addresses)] });
  });

function ownerOf({ customer, key }: Owner): ListOwner {
  if (customer !== undefined && key === undefined) return { customerId: customer };
  if (key !== undefined && customer === undefined) return { keyId: key };
  throw new Error("say whose list: --customer or --key");
}
