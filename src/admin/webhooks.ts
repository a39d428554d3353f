// `webhook`: what customers have set up, and their deliveries. A secret is shown once, when it is made.

import { type Command, InvalidArgumentError } from "commander";
import { audited, difference } from "../control/audit.ts";
import { TOLD_STATUSES } from "../core/callback.ts";
import { SluiceError } from "../core/errors.ts";
import { readUlid } from "../core/id.ts";
import { LIST_LIMIT_MAX } from "../core/limits.ts";
import type { Status } from "../core/message.ts";
import { MONEY_MAX } from "../core/money.ts";
import { readWebhook, removeWebhook, rotateSecret, setWebhook } from "../customers/webhooks.ts";
import { endPending } from "../ledger/webhook-deliveries.ts";
import { forgetFailures, resumeEndpoints } from "../ledger/webhook-endpoints.ts";
import { replayMany, replayOne, type Selection } from "../ledger/webhook-replay.ts";
import { loadConfig } from "../platform/config.ts";
import type { Pool } from "../platform/mysql.ts";
import { listDeliveries, webhookView } from "../reports/webhooks.ts";
import { byUser } from "./actor.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
import { type AmountOrNone, amountOf, oneOf, orNone, time, wholeNumber } from "./options.ts";

const anyId = wholeNumber(1, Number.MAX_SAFE_INTEGER);
const credit = orNone(1, MONEY_MAX);
const onOrOff = oneOf("on", "off");
const ofCustomer = ["--customer <id>", "the customer's id", anyId] as const;
type OfCustomer = Json & { customer: number };

export function declareWebhooks(program: Command): void {
  const webhook = program.command("webhook").description("where customers are told of status changes");
  declareSettings(webhook);
  declareDeliveries(webhook);
}

function declareSettings(webhook: Command): void {
  webhook
    .command("set")
    .description("set up a customer's webhook, and print its secret; or change URL and events of one")
    .requiredOption(...ofCustomer)
    .option("--url <url>", "where status changes are posted; without it only callback_urls are told")
    .option("--no-url", "from now on only messages with a callback_url are told")
    .option("--statuses <list>", `comma-separated, from ${TOLD_STATUSES.join(", ")}, or all`, statuses)
    .option("--pauses <on|off>", "whether it is told when an endpoint is paused (on unless set)", onOrOff)
    .option("--low-balance <n>", "below which credit, in minor units, it is told so, once; or none", credit)
    .option(...jsonFlag)
    .action((options: SetOptions) => withDatabase((pool) => set(pool, options)));
  webhook
    .command("rotate")
    .description("make a new secret; the one before signs too for 24 h")
    .requiredOption(...ofCustomer)
    .option("--now", "the secrets in use end at once: for one that is known to others")
    .option(...jsonFlag)
    .action((options: OfCustomer & { now?: true }) =>
      withDatabase(async (pool) => {
        const secret = await audited(byUser(pool), async (tx) => ({
          result: await rotateSecret(tx, options.customer, options.now === true),
          change: {
            action: "webhook.rotate",
            customerId: options.customer,
            new: { at_once: options.now === true },
          },
        }));
        print(options, { customer_id: String(options.customer), secret });
      }),
    );
  webhook
    .command("show")
    .description("show what a customer has set up, and how its endpoints are doing")
    .requiredOption(...ofCustomer)
    .option(...jsonFlag)
    .action((options: OfCustomer) =>
      withDatabase(async (pool) => print(options, { ...(await webhookView({ pool }, options.customer)) })),
    );
  webhook
    .command("remove")
    .description("tell a customer nothing any more; what is pending becomes failed, at once")
    .requiredOption(...ofCustomer)
    .option(...jsonFlag)
    .action((options: OfCustomer) =>
      withDatabase(async (pool) => {
        const removed = await remove(pool, options.customer);
        // Also after a removal that was interrupted.
        const ended = await endPending(pool, options.customer);
        await forgetFailures(pool, options.customer);
        print(options, { customer_id: String(options.customer), removed, ended });
      }),
    );
}

function declareDeliveries(webhook: Command): void {
  webhook
    .command("resume")
    .description("call endpoints again that were paused or answered 410")
    .requiredOption(...ofCustomer)
    .option("--origin <origin>", "only this one; all of the customer's unless given")
    .option(...jsonFlag)
    .action((options: OfCustomer & { origin?: string }) =>
      withDatabase(async (pool) => {
        const { customer, origin = null } = options;
        const resumed = await audited(byUser(pool), async (tx) => {
          const result = await resumeEndpoints(tx, customer, origin);
          const subject = origin === null ? {} : { subject: origin };
          const change = { action: "webhook.resume", customerId: customer, ...subject } as const;
          return { result, change: result === 0 ? null : change };
        });
        print(options, { customer_id: String(options.customer), resumed });
      }),
    );
  webhook
    .command("list")
    .description("list a customer's deliveries of the last 8 days, newest first")
    .requiredOption(...ofCustomer)
    .option("--state <state>", "pending, delivered or failed", oneOf("pending", "delivered", "failed"))
    .option("--limit <n>", "at most this many", wholeNumber(1, LIST_LIMIT_MAX), 50)
    .option(...jsonFlag)
    .action((options: OfCustomer & { state?: string; limit: number }) =>
      withDatabase(async (pool) => {
        const query = new Map([["limit", String(options.limit)]]);
        if (options.state !== undefined) query.set("state", options.state);
        const { deliveries } = await listDeliveries({ pool }, options.customer, query);
        print(options, { deliveries });
      }),
    );
  webhook
    .command("replay")
    .description("deliver events again: one, those of a span of time, or all that failed")
    .requiredOption(...ofCustomer)
    .option("--id <event>", "one event, from `webhook list`")
    .option("--from <time>", "events that occurred from then on, such as 2026-01-02T15:04:05Z", time)
    .option("--to <time>", "and before then", time)
    .option("--failed", "only those that failed")
    .option(...jsonFlag)
    .action((options: ReplayOptions) =>
      withDatabase(async (pool) => print(options, { replayed: await replay(pool, options) })),
    );
}

type SetOptions = OfCustomer & {
  url?: string | false;
  statuses?: Status[];
  pauses?: "on" | "off";
  lowBalance?: AmountOrNone;
};

async function set(pool: Pool, options: SetOptions): Promise<void> {
  const { customer, url, statuses: wanted, pauses, lowBalance } = options;
  const rules = { allowPrivate: loadConfig(process.env).webhookAllowPrivate === 1 };
  const given = {
    ...(url === undefined ? {} : { url: url === false ? null : url }),
    ...(wanted === undefined ? {} : { statuses: wanted }),
    ...(pauses === undefined ? {} : { tellPauses: pauses === "on" }),
    ...(lowBalance === undefined ? {} : { lowBalance: amountOf(lowBalance) }),
  };
  const secret = await audited(byUser(pool), async (tx) => {
    const before = await settingsOf(tx, customer);
    const made = await setWebhook(tx, customer, given, rules);
    const changed = difference(before, await settingsOf(tx, customer));
    const change = { action: "webhook.change", customerId: customer, ...changed } as const;
    return { result: made, change: changed === null ? null : change };
  });
  if (typeof url === "string") await resumeEndpoints(pool, customer, "");
  const view = await webhookView({ pool }, customer);
  print(options, {
    customer_id: String(customer),
    url: view.url,
    statuses: view.statuses.join(","),
    tell_pauses: view.tell_pauses,
    low_balance: view.low_balance,
    ...(secret === null ? {} : { secret }),
  });
}

/** Without what signs calls; empty if nothing is set up. */
async function settingsOf(pool: Pool, customerId: number): Promise<Record<string, unknown>> {
  const settings = await readWebhook(pool, customerId).catch((error: unknown) => {
    if (error instanceof SluiceError && error.code === "not_found") return null;
    throw error;
  });
  if (settings === null) return {};
  const { url, statuses: told, tellPauses, lowBalance } = settings;
  return { url, statuses: told, tell_pauses: tellPauses, low_balance: lowBalance };
}

const remove = (pool: Pool, customerId: number): Promise<boolean> =>
  audited(byUser(pool), async (tx) => {
    const old = await settingsOf(tx, customerId);
    const removed = await removeWebhook(tx, customerId);
    return { result: removed, change: removed ? { action: "webhook.remove", customerId, old } : null };
  });

type ReplayOptions = OfCustomer & { id?: string; from?: number; to?: number; failed?: true };

async function replay(pool: Pool, options: ReplayOptions): Promise<number> {
  const { customer, id, from = null, to = null, failed = false } = options;
  if (id !== undefined) {
    const known = readUlid(id);
    const isReplayed =
      known !== null &&
      (await audited(byUser(pool), async (tx) => {
        const done = await replayOne(tx, customer, known);
        const change = { action: "webhook.replay", customerId: customer, subject: known } as const;
        return { result: done, change: done ? change : null };
      }));
    if (isReplayed) return 1;
    throw new Error(`no delivery ${JSON.stringify(id)}; see: ./sluice webhook list --customer ${customer}`);
  }
  if (from === null && !failed) throw new Error("say which: --id, --from (and --to), or --failed");
  const selection: Selection = { fromMs: from, toMs: to, state: failed ? "failed" : null };
  let total = 0;
  for (let after: string | null = null; ; ) {
    const at: string | null = after;
    const { replayed, next } = await audited(byUser(pool), async (tx) => {
      const done = await replayMany(tx, customer, selection, at);
      const { replayed: count } = done;
      const change = { action: "webhook.replay", customerId: customer, new: { replayed: count } } as const;
      return { result: done, change: count === 0 ? null : change };
    });
    total += replayed;
    if (next === null) return total;
    after = next;
  }
}

function statuses(given: string): Status[] {
  if (given === "all") return [...TOLD_STATUSES];
  const wanted = given.split(",").map((each) => each.trim());
  const unknown = wanted.filter((each) => !(TOLD_STATUSES as readonly string[]).includes(each));
  if (unknown.length > 0)
    throw new InvalidArgumentError(
      `unknown status ${unknown.join(", ")}; known: ${TOLD_STATUSES.join(", ")}.`,
    );
  return wanted as Status[];
}
