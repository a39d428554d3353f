// `number`: at which numbers customers are reached. `opt-out`: which phones don't want their messages.

import type { Command } from "commander";
import { audited } from "../control/audit.ts";
import { SluiceError } from "../core/errors.ts";
import { LIST_LIMIT_MAX } from "../core/limits.ts";
import { EVERY_SENDER, senderKey } from "../core/opt-out.ts";
import { senderProblem } from "../core/parts.ts";
import { parsePhone } from "../core/phone.ts";
import { readCustomer } from "../customers/customers.ts";
import { addNumber, listNumbers, removeNumber } from "../customers/numbers.ts";
import { addOptOut, listOptOuts, type OptOut, removeOptOuts } from "../ledger/opt-outs.ts";
import type { Pool } from "../platform/mysql.ts";
import { byUser } from "./actor.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
import { wholeNumber } from "./options.ts";

const anyId = wholeNumber(1, Number.MAX_SAFE_INTEGER);
const ofCustomer = ["--customer <id>", "the customer's id", anyId] as const;
const withKeyword = ["--keyword <word>", "only what begins with this word"] as const;
type Keyword = Json & { keyword?: string };

export function declareNumbers(program: Command): void {
  const number = program
    .command("number")
    .description("the numbers at which customers are reached: what comes in there is told to their owners");
  number
    .command("add")
    .description("give a number, a short code or a name to a customer, or one keyword of it")
    .argument("<number>", "as operators write it, or without its country's code")
    .requiredOption(...ofCustomer)
    .option(...withKeyword)
    .option(...jsonFlag)
    .action((given: string, options: Keyword & { customer: number }) =>
      withDatabase(async (pool) => {
        const { customer, keyword = null } = options;
        await audited(byUser(pool), async (tx) => ({
          result: await addNumber(tx, customer, given, keyword),
          change: { action: "number.add", customerId: customer, subject: given, new: { keyword } },
        }));
        print(options, { number: given, keyword, customer_id: String(customer) });
      }),
    );
  number
    .command("remove")
    .description("take it back; what comes in there is acknowledged, and told to nobody")
    .argument("<number>", "as it was added")
    .option(...withKeyword)
    .option(...jsonFlag)
    .action((given: string, options: Keyword) =>
      withDatabase(async (pool) => {
        const { keyword = null } = options;
        await audited(byUser(pool), async (tx) => {
          const customerId = await removeNumber(tx, given, keyword);
          const change = { action: "number.remove", customerId, subject: given, old: { keyword } } as const;
          return { result: undefined, change };
        });
        print(options, { number: given, keyword, removed: true });
      }),
    );
  number
    .command("list")
    .description("show all numbers and their owners")
    .option("--customer <id>", "only this customer's", anyId)
    .option(...jsonFlag)
    .action((options: Json & { customer?: number }) =>
      withDatabase(async (pool) =>
        print(options, { numbers: await listNumbers(pool, options.customer ?? null) }),
      ),
    );
}

type Sender = Json & { customer: number; sender?: string };
const ofSender = ["--sender <from>", "only of messages from this sender; of all unless given"] as const;

export function declareOptOuts(program: Command): void {
  const optOut = program
    .command("opt-out")
    .description("the phones that don't want a customer's messages; sends to them are refused within 2 s");
  optOut
    .command("add")
    .description("refuse sends to a phone, and cancel what is scheduled")
    .argument("<phone>", "the phone's number")
    .requiredOption(...ofCustomer)
    .option(...ofSender)
    .option(...jsonFlag)
    .action((phone: string, options: Sender) =>
      withDatabase(async (pool) => {
        const key = await keyOf(pool, phone, options);
        const { customerId, phone: subject, sender } = key;
        const from = sender ?? EVERY_SENDER;
        const added = await audited(byUser(pool), async (tx) => {
          const [known] = await listOptOuts(tx, { ...key, senders: [from], after: null, limit: 1 });
          if (known !== undefined) return { result: known, change: null };
          const result = await addOptOut(tx, { ...key, sender: from, source: "cli" });
          const change = { action: "opt_out.add", customerId, subject, new: { sender } } as const;
          return { result, change };
        });
        print(options, shown(added));
      }),
    );
  optOut
    .command("remove")
    .description("end a phone's opt-outs, or that of one sender")
    .argument("<phone>", "the phone's number")
    .requiredOption(...ofCustomer)
    .option(...ofSender)
    .option(...jsonFlag)
    .action((phone: string, options: Sender) =>
      withDatabase(async (pool) => {
        const key = await keyOf(pool, phone, options);
        const { customerId, phone: subject, sender } = key;
        const removed = await audited(byUser(pool), async (tx) => {
          const count = await removeOptOuts(tx, key);
          const change = { action: "opt_out.remove", customerId, subject, old: { sender } } as const;
          return { result: count, change: count === 0 ? null : change };
        });
        print(options, { removed });
      }),
    );
  optOut
    .command("list")
    .description(`show a customer's opt-outs by phone, the first ${LIST_LIMIT_MAX} of them`)
    .requiredOption(...ofCustomer)
    .option("--phone <number>", "only this phone's")
    .option(...jsonFlag)
    .action((options: Json & { customer: number; phone?: string }) =>
      withDatabase(async (pool) => {
        const { customer: customerId } = options;
        const phone = options.phone === undefined ? null : (await keyOf(pool, options.phone, options)).phone;
        const all = { customerId, phone, senders: null, after: null, limit: LIST_LIMIT_MAX };
        print(options, { opt_outs: (await listOptOuts(pool, all)).map(shown) });
      }),
    );
}

/** @throws SluiceError not_found, validation_failed */
async function keyOf(pool: Pool, phone: string, { customer: customerId, sender }: Sender) {
  const { region } = await readCustomer(pool, customerId);
  const parsed = parsePhone(phone);
  const problem = sender === undefined ? null : senderProblem(sender);
  const errors = [
    ...("reason" in parsed ? [{ field: "phone", reason: parsed.reason }] : []),
    ...(problem === null ? [] : [{ field: "sender", reason: problem }]),
  ];
  if (errors.length > 0 || "reason" in parsed) throw new SluiceError("validation_failed", { errors });
  const key = sender === undefined ? null : senderKey(sender);
  return { customerId, phone: parsed.e164, sender: key, region };
}

const shown = ({ phone, sender, source, createdAtMs }: OptOut) => ({
  phone,
  sender: sender === EVERY_SENDER ? null : sender,
  source,
  created_at: new Date(createdAtMs).toISOString(),
});
