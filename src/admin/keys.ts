// `key`: API keys, directly on the database. A key, and the secret that signs its requests, are shown once.

import { type Command, InvalidArgumentError, Option } from "commander";
import { KEY_OVERLAP_DEFAULT_MS, KEY_OVERLAP_MAX_MS } from "../core/access-limits.ts";
import { changeKey, endKey, makeKey, replaceKey } from "../control/keys.ts";
import { type KeyOptions, type NewKey, type Scope, SCOPES, SCOPES_DEFAULT } from "../customers/api-keys.ts";
import { requireCustomer } from "../customers/customers.ts";
import { listKeys } from "../customers/key-admin.ts";
import type { Pool } from "../platform/mysql.ts";
import { OutputError } from "../platform/output.ts";
import { byUser } from "./actor.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
import { duration, futureTime, wholeNumber } from "./options.ts";

const ofCustomer = ["--customer <id>", "the customer's id", wholeNumber(1, Number.MAX_SAFE_INTEGER)] as const;
const expiring = [
  "--expires-at <time>",
  "when it expires, such as 2026-12-31T23:59:59Z; never unless given",
  futureTime,
] as const;
// Its last one is `admin`.
const SCOPES_HELP = `${SCOPES.join(", ")} (which no route asks for)`;
const aKey = ["<key-id>", "from `key list`"] as const;

export function declareKeys(program: Command): void {
  const key = program.command("key").description("create, rotate, list, expire and revoke API keys");
  declareMaking(key);
  key
    .command("list")
    .description("list a customer's keys and when each was used last, without the secret keys themselves")
    .requiredOption(...ofCustomer)
    .option(...jsonFlag)
    .action((options: Json & { customer: number }) =>
      withDatabase(async (pool) => {
        await requireCustomer(pool, options.customer);
        print(options, { keys: await listKeys(pool, options.customer) });
      }),
    );
  key
    .command("expire")
    .description("change when a live key expires; every process knows within 2 s")
    .argument(...aKey)
    .argument("<time|never>", "such as 2026-12-31T23:59:59Z, or never", timeOrNever)
    .option(...jsonFlag)
    .action((keyId: string, expiresAtMs: number | null, options: Json) =>
      withDatabase(async (pool) => {
        await changeKey(byUser(pool), keyId, { expiresAtMs });
        const expiresAt = expiresAtMs === null ? null : new Date(expiresAtMs).toISOString();
        print(options, { key_id: keyId, expires_at: expiresAt });
      }),
    );
  key
    .command("revoke")
    .description("revoke a key; every process refuses it within 2 s")
    .argument(...aKey)
    .option(...jsonFlag)
    .action((keyId: string, options: Json) =>
      withDatabase(async (pool) => {
        await endKey(byUser(pool), keyId);
        print(options, { key_id: keyId, revoked: true });
      }),
    );
}

type CreateOptions = Json & { customer: number; scopes: Scope[]; expiresAt?: number; signed?: true };
type RotateOptions = Json & { overlap: number; expiresAt?: number; signed?: boolean };

function declareMaking(key: Command): void {
  key
    .command("create")
    .description("create another key; a customer may have two live ones")
    .requiredOption(...ofCustomer)
    .option("--scopes <list>", `comma-separated, from ${SCOPES_HELP}`, scopes, [...SCOPES_DEFAULT])
    .option(...expiring)
    .option("--signed", "it takes signed requests only; also prints the secret that signs them")
    .option(...jsonFlag)
    .action((options: CreateOptions) =>
      withDatabase((pool) =>
        handOver(pool, options, options.customer, {
          scopes: options.scopes,
          expiresAtMs: options.expiresAt ?? null,
          signed: options.signed === true,
        }),
      ),
    );
  key
    .command("rotate")
    .description("replace a key by a new one with the same scopes and addresses; both work for a while")
    .argument(...aKey)
    .addOption(
      new Option(
        "--overlap <time>",
        "how long the old one still works, such as 90s, 15m, 24h or 7d; 0 revokes it at once",
      )
        .argParser(duration(KEY_OVERLAP_MAX_MS))
        .default(KEY_OVERLAP_DEFAULT_MS, `${KEY_OVERLAP_DEFAULT_MS / 3_600_000}h`),
    )
    .option(...expiring)
    .option("--signed", "the new one takes signed requests only")
    .option("--no-signed", "the new one takes any request; as the old one, unless either is given")
    .option(...jsonFlag)
    .action((keyId: string, options: RotateOptions) =>
      withDatabase((pool) => {
        const { overlap: overlapMs, expiresAt: expiresAtMs = null, signed } = options;
        const wanted = { overlapMs, expiresAtMs, ...(signed === undefined ? {} : { signed }) };
        return replaceKey(byUser(pool), keyId, wanted, (made) =>
          print(options, {
            ...shown(made.customerId, made),
            replaces: keyId,
            old_expires_at: made.oldExpiresAt,
          }),
        );
      }),
    );
}

/** Creates a key and prints it. A key that could not be printed is revoked, because nobody has it. */
export async function handOver(
  pool: Pool,
  json: Json,
  customerId: number,
  { scopes: scopesOf, ...options }: KeyOptions & { scopes: readonly Scope[] },
): Promise<void> {
  const made = await makeKey(byUser(pool), customerId, scopesOf, options);
  try {
    print(json, shown(customerId, made));
  } catch (cause) {
    await endKey(byUser(pool), made.keyId);
    throw new OutputError(
      `the new key of customer ${customerId} could not be printed and was revoked; ` +
        `create another: ./sluice key create --customer ${customerId}`,
      { cause },
    );
  }
}

const shown = (customerId: number, { keyId, apiKey, signingSecret }: NewKey) => ({
  customer_id: String(customerId),
  key_id: keyId,
  api_key: apiKey,
  ...(signingSecret === undefined ? {} : { signing_secret: signingSecret }),
});

const timeOrNever = (given: string): number | null => (given === "never" ? null : futureTime(given));

function scopes(given: string): Scope[] {
  const wanted = given.split(",").map((each) => each.trim());
  const unknown = wanted.filter((each) => !(SCOPES as readonly string[]).includes(each));
  if (unknown.length > 0)
    throw new InvalidArgumentError(
      `unknown scope ${unknown.join(", ")}; known scopes: ${SCOPES.join(", ")}.`,
    );
  return [...new Set(wanted)] as Scope[];
}
